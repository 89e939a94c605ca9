/** The one road of every revocation that somebody orders: what it takes is done, numbered and told, in one transaction. */
import type { Deps } from '../deps.ts';
import { asOf, lastStop } from '../liveness/liveness.ts';
import type { Tx } from '../store/database.ts';
import { keepingLastOperator } from './last-operator.ts';
import type { Order, RevocationEvent, Target } from './revocable.ts';
import { setCause } from './store.ts';
import { type RevocableKind, revocable } from './subjects.ts';

export interface Revoked {
  /** The number of the revocation, or of the first that came with it. Of what had ended before: of that end, if it was no matter of time. */
  rev: number | undefined;
  /** The number of the last that came with it. */
  last: number | undefined;
  /** What is to be told in the log; empty if it had ended already. */
  events: RevocationEvent[];
}

/**
 * Revokes something, with all that hangs on it. In `Database.transaction` alone. Who may do that is the caller's to decide; that somebody can
 * still administer the server afterwards is looked at here. The caller appends the events.
 * @throws LastOperatorError
 */
export async function revoke(
  tx: Tx,
  deps: Deps,
  { kind, target }: { kind: RevocableKind; target: Target },
  order: Order,
): Promise<Revoked> {
  const row = revocable(kind);
  const before = (await asOf(tx)).rev;
  const run = () => row.run(tx, deps, target, order);
  const concerned = row.locksOut === 'agent' ? target.agent?.id : undefined;
  const events = row.locksOut === 'nobody' ? await run() : await keepingLastOperator(tx, concerned, run);
  const last = (await asOf(tx)).rev;
  if (last === before) {
    const rev = await lastStop(tx, target.id);
    return { rev, last: rev, events };
  }
  const first = before + 1;
  if (last > first) await setCause(tx, { first, last });
  return { rev: first, last, events: events.map((event) => ({ ...event, changed: { ...event.changed, rev: first } })) };
}
