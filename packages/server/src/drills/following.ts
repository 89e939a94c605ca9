/** What a drill says of guards: who acknowledged it, who lost its lease, and who holds none and is told nothing. */
import type { Deps } from '../deps.ts';
import { orderAcknowledged } from '../feed-leases/acknowledgement.ts';
import type { Reach } from '../revocations/reach.ts';
import type { Revoked } from '../revocations/revoke.ts';
import type { Row } from './verdict.ts';

/** Of a guard that is not waited for. */
export const withoutLease =
  'it holds no lease of the feed: it asks about every token, or believes them until they end (offline), as it is set';

const waiting = 'it may still believe what it knew, and has not said that it knows better';
const silent = 'it said nothing: its lease has run out, and it accepts nothing by what it knew';
const asks = 'it asks about tokens, and believes no earlier answer any more';

/**
 * One row for each guard that had to be waited for, and for each other that is registered for something that the revocation reaches.
 * @param order when it was ordered, and how long to wait at most (milliseconds)
 */
export async function guardRows(
  deps: Deps,
  revoked: Revoked,
  reached: Reach['resources'],
  { orderedAt, waitMs }: { orderedAt: number; waitMs: number },
): Promise<Row[]> {
  const { rev, last } = revoked;
  if (rev === undefined) return [];
  const { resources } = await orderAcknowledged(deps, { first: rev, last: last ?? rev }, waitMs);
  const named = new Map(reached.flatMap(({ guards }) => guards.map(({ id, name }) => [id, name])));
  const rows = resources.flatMap(({ guards, acknowledgedAt }) =>
    guards.map(({ guard, appliedAt, lapsed, asked }): Row => {
      const about = { probe: 'guard' as const, what: named.get(guard) ?? guard, id: guard };
      if (appliedAt !== undefined)
        return { ...about, outcome: 'acknowledged', after_ms: Math.max(0, appliedAt - orderedAt) };
      if (!lapsed && !(asked && acknowledgedAt !== undefined)) return { ...about, outcome: 'waiting', note: waiting };
      const after = acknowledgedAt === undefined ? {} : { after_ms: Math.max(0, acknowledgedAt - orderedAt) };
      return { ...about, outcome: 'lapsed', ...after, note: asked ? asks : silent };
    }),
  );
  const told = new Set(rows.map(({ id }) => id));
  const others = [...named].filter(([id]) => !told.has(id));
  return [
    ...rows,
    ...others.map(([id, what]): Row => ({ probe: 'guard', what, id, outcome: 'not_asked', note: withoutLease })),
  ];
}
