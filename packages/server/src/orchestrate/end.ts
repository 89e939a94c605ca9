/** An orchestrator ends a task that it opened: a revocation of all its tokens. */
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { endTask } from '../tasks/standing.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import type { Answer } from '../web/idempotency.ts';
import { ownerOf } from '../web/own-api.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope, serviceResource } from '../web/service.ts';
import { ownTask } from './show.ts';

/**
 * Ends a task. One that has ended stays so: asking again changes nothing.
 * @throws Problem 404 for what isn't there and what another orchestrator opened
 */
export async function endOwnTask(deps: Deps, caller: Caller, id: string): Promise<Answer> {
  return recorded(deps, caller, { type: 'task.refused', operation: 'endTask' }, async () => {
    mustHaveScope(deps, caller, 'tasks:open');
    const owner = await ownerOf(deps, caller);
    const sealing = await sealingFor(deps, caller.asOf.version, owner);
    await deps.db.transaction(async (tx) => {
      await mayWrite(tx, serviceResource(deps.config), caller);
      const task = await ownTask(tx, caller, id);
      const change = { reason: 'ended by its orchestrator', by: caller.agent, now: deps.clock.now() };
      if (!(await endTask(tx, task, change))) return;
      await appendEvent(tx, deps, sealing, {
        type: 'task.ended',
        outcome: 'allowed',
        org: task.org,
        agent: caller.agent,
        resource: serviceResource(deps.config),
        target: task.id,
        jti: caller.jti,
        trace: caller.trace,
        decided_on: { for: task.agent, scope: caller.scopes },
        personal: { owner, address: caller.address },
      });
    });
    return { status: 204, headers: {}, body: undefined };
  });
}
