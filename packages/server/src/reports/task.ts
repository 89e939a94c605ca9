/** What an agent says of its own tasks. Nobody vouches for it, and the event says so. */
import type { AuditEvent } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import { findTask } from '../tasks/store.ts';
import type { Task } from '../tasks/task.ts';
import { toleranceMs } from './access.ts';
import type { TaskReported } from './report.ts';
import type { Reporter } from './reporter.ts';

/** The tasks that these reports are about, as far as they are the caller's own. */
export async function ownTasks(
  { db }: Deps,
  { caller, ownTasks }: Reporter,
  ids: Iterable<string>,
): Promise<Map<string, Task>> {
  const found = new Map<string, Task>();
  if (!ownTasks) return found;
  for (const id of new Set(ids)) {
    const task = await findTask(db, id);
    if (task?.agent === caller.agent) found.set(id, task);
  }
  return found;
}

/** The event, or why there is none: of a task that isn't there and of another agent's one hears the same. */
export function taskEvent(
  { caller, ownTasks }: Reporter,
  report: TaskReported,
  task: Task | undefined,
): AuditEvent | 'not_allowed' | 'no_such_task' | 'outside_of_the_task' {
  if (!ownTasks) return 'not_allowed';
  if (!task) return 'no_such_task';
  if (report.at < task.createdAt - toleranceMs) return 'outside_of_the_task';
  return {
    type: report.type,
    outcome: 'allowed',
    org: task.org,
    agent: caller.agent,
    instance: caller.claims.instance,
    target: task.id,
    jti: caller.jti,
    trace: report.trace ?? caller.trace,
    decided_on: {
      provenance: 'declared',
      report: report.id,
      ...('result' in report && { result: report.result }),
      ...(task.step !== undefined && { step: task.step }),
      used_at: report.at,
      workflow: task.workflow,
    },
    personal: { address: caller.address },
  };
}
