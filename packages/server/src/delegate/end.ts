/** A mandate is ended by whoever it came from, or given up by its holder: a revocation of all that rests on it. */
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { isHeldBy } from '../mandates/holder.ts';
import { endMandate } from '../mandates/standing.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import type { Answer } from '../web/idempotency.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope, serviceResource } from '../web/service.ts';
import { holderOf, reachableMandate } from './held.ts';

/**
 * Ends a mandate. One that has ended stays so: asking again changes nothing.
 * @throws Problem 404 for what isn't there and what is others' alone
 */
export async function endHeld(deps: Deps, caller: Caller, id: string): Promise<Answer> {
  return recorded(deps, caller, { type: 'mandate.refused', operation: 'endMandate' }, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const holder = await holderOf(deps.db, caller);
    const mandate = await reachableMandate(deps.db, holder, id);
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
