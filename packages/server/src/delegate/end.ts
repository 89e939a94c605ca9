/** A mandate is ended by whoever it came from, or given up by its holder: a revocation of all that rests on it. */

import type { Instance } from '../agents/instance.ts';
import { findInstance } from '../agents/instance-store.ts';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { isHeldBy } from '../mandates/holder.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { endMandate } from '../mandates/standing.ts';
import type { Queries } from '../store/database.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import type { Answer } from '../web/idempotency.ts';
import { Problem } from '../web/problem.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope, serviceResource } from '../web/service.ts';
import { holderOf, reachableLine } from './held.ts';

/**
 * Ends a mandate. One that has ended stays so: asking again changes nothing.
 * @throws Problem 404 for what isn't there and what is others' alone, 403 for what an instance with less than its agent's power has no part in
 */
export async function endHeld(deps: Deps, caller: Caller, id: string): Promise<Answer> {
  return recorded(deps, caller, { type: 'mandate.refused', operation: 'endMandate' }, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const holder = await holderOf(deps.db, caller);
    const line = await reachableLine(deps.db, holder, id);
    const [mandate] = line;
    if (holder.instance?.allowed !== undefined && !(await cameOf(deps.db, holder.instance, line))) {
      throw new Problem(
        'insufficient-scope',
        'an instance that was given less than its agent ends only what came of it',
      );
    }
    const sealing = await sealingFor(deps, caller.asOf.version, mandate.person);
    const now = deps.clock.now();
    await deps.db.transaction(async (tx) => {
      await mayWrite(tx, serviceResource(deps.config), caller);
      if (mandate.endsAt <= now) return; // its time was up: no token of it lives
      const reason = isHeldBy(mandate, holder) ? 'given up by its holder' : 'ended by whoever it was passed on from';
      if ((await endMandate(tx, mandate, { reason, by: caller.agent, now })) === undefined) return;
      await appendEvent(tx, deps, sealing, {
        type: 'mandate.ended',
        outcome: 'allowed',
        org: mandate.org,
        agent: caller.agent,
        instance: caller.claims.instance,
        resource: serviceResource(deps.config),
        target: mandate.id,
        jti: caller.jti,
        trace: caller.trace,
        reason,
        decided_on: { scope: caller.scopes },
        personal: { person: mandate.person },
      });
    });
    return { status: 204, headers: {}, body: undefined };
  });
}

/** Whether a mandate, or one above it, is for an instance alone, or for one below it, or was passed on by one of these. */
async function cameOf(q: Queries, { id }: Instance, line: readonly Mandate[]): Promise<boolean> {
  for (const copy of line.flatMap(({ instance, given }) => [instance, given.instance])) {
    if (copy === undefined) continue;
    if (copy === id || (await findInstance(q, copy))?.ancestors.includes(id)) return true;
  }
  return false;
}
