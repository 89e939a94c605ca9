/** A task as its orchestrator sees it. */
import type { Deps } from '../deps.ts';
import { rfc3339 } from '../lib/clock.ts';
import { isId } from '../lib/ids.ts';
import { findResource } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';
import { taskOpen } from '../tasks/standing.ts';
import { findTask } from '../tasks/store.ts';
import type { Task } from '../tasks/task.ts';
import type { Caller } from '../web/caller.ts';
import type { Answer } from '../web/idempotency.ts';
import { notFound } from '../web/problem.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope } from '../web/service.ts';

/** @throws Problem 404 for what isn't there and what another orchestrator opened */
export async function showTask(deps: Deps, caller: Caller, id: string): Promise<Answer> {
  return recorded(deps, caller, { type: 'task.refused', operation: 'showTask', reads: true }, async () => {
    mustHaveScope(deps, caller, 'tasks:open');
    const task = await ownTask(deps.db, caller, id);
    const body = await shownTask(deps.db, task, await taskOpen(deps.db, task, deps.clock.now()));
    return { status: 200, headers: {}, body: JSON.stringify(body) };
  });
}

/** @throws Problem 404 */
export async function ownTask(q: Queries, { agent }: Caller, id: string): Promise<Task> {
  const task = isId('task', id) ? await findTask(q, id) : undefined;
  if (task?.orchestrator === agent) return task;
  throw notFound('task', id);
}

/** In the words in which it was opened. */
export async function shownTask(q: Queries, task: Task, open: boolean): Promise<Record<string, unknown>> {
  const resources: object[] = [];
  for (const { resource, scope, details } of task.resources ?? []) {
    resources.push({
      resource: (await findResource(q, resource))?.identifier ?? resource,
      ...(scope.length > 0 && { scope: scope.join(' ') }),
      ...(details.length > 0 && { authorization_details: details }),
    });
  }
  return {
    id: task.id,
    agent: task.agent,
    workflow: task.workflow,
    ...(task.step !== undefined && { step: task.step }),
    ...(task.environment !== undefined && { environment: task.environment }),
    purpose: task.purpose,
    ...(task.resources && { resources }),
    status: open ? 'open' : 'ended',
    created_at: rfc3339(task.createdAt),
    ends_at: rfc3339(task.endsAt),
    ...(task.endedAt !== undefined && { ended_at: rfc3339(task.endedAt) }),
  };
}
