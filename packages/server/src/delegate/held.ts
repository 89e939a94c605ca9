/** Mandates as agents see them: those that they hold, and whatever came of these. */

import type { Instance } from '../agents/instance.ts';
import { findInstance } from '../agents/instance-store.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { copiesOf, type Holder, isHeldBy } from '../mandates/holder.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { type ShownMandate, showMandates } from '../mandates/shown.ts';
import { mandateWithAncestors, selectMandates } from '../mandates/store.ts';
import { findResource } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';
import type { Caller } from '../web/caller.ts';
import type { Answer } from '../web/idempotency.ts';
import { parsedQuery } from '../web/invalid.ts';
import { pageLimits, pageOf, readCursor } from '../web/paging.ts';
import { notFound } from '../web/problem.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope } from '../web/service.ts';
import { heldQuery } from './body.ts';

/** Who asks, and by which running copy. */
export async function holderOf(
  q: Queries,
  { agent, org, claims }: Caller,
): Promise<Holder & { instance: Instance | undefined }> {
  return { agent, org, instance: claims.instance === undefined ? undefined : await findInstance(q, claims.instance) };
}

/**
 * A mandate that this one holds or that came, at any depth, of one that it holds: with those above it.
 * @throws Problem 404 for what isn't there and what is others' alone
 */
export async function reachableLine(q: Queries, holder: Holder, id: string): Promise<[Mandate, ...Mandate[]]> {
  const line = isId('mandate', id) ? await mandateWithAncestors(q, id) : undefined;
  if (line?.some((each) => isHeldBy(each, holder))) return line as [Mandate, ...Mandate[]];
  throw notFound('mandate', id);
}

/** @throws Problem 404 */
export async function showHeld(deps: Deps, caller: Caller, id: string): Promise<Answer> {
  return recorded(deps, caller, { type: 'mandate.refused', operation: 'showMandate', reads: true }, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const [mandate] = await reachableLine(deps.db, await holderOf(deps.db, caller), id);
    return json(await shown(deps.db, mandate, deps.clock.now()));
  });
}

/** Those that the caller holds, unless they are over; or, with `parent`, those that were passed on from that one. */
export async function listHeld(deps: Deps, caller: Caller, query: unknown): Promise<Answer> {
  return recorded(deps, caller, { type: 'mandate.refused', operation: 'listMandates', reads: true }, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const { parent, limit = pageLimits.default, cursor } = parsedQuery(heldQuery, query);
    const now = deps.clock.now();
    const holder = await holderOf(deps.db, caller);
    if (parent !== undefined) await reachableLine(deps.db, holder, parent);
    const found = await selectMandates(deps.db, {
      org: caller.org,
      ...(parent === undefined ? { agent: caller.agent, instances: copiesOf(holder.instance) } : { parent }),
      living: true,
      now,
      after: readCursor('mandate', cursor),
      limit: limit + 1,
    });
    const all = new Map(
      (await showMandates(deps.db, found, { now, identifierOf: identifierOf(deps.db) })).map((each) => [each.id, each]),
    );
    return json(pageOf(found, limit, ({ id }) => all.get(id)));
  });
}

/** A mandate as it stands now. */
export async function shown(q: Queries, mandate: Mandate, now: number): Promise<ShownMandate> {
  const [one] = await showMandates(q, [mandate], { now, identifierOf: identifierOf(q) });
  return one as ShownMandate;
}

const identifierOf = (q: Queries) => async (resource: string) =>
  (await findResource(q, resource))?.identifier ?? resource;

const json = (body: object): Answer => ({ status: 200, headers: {}, body: JSON.stringify(body) });
