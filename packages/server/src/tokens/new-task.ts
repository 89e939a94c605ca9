/** A task that came signed, along with a token request, is written with the first token that it gets; and never again. */
import { appendEvent, type Sealing, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { DecidedPlan, OrchestratedTask } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Tx } from '../store/database.ts';
import { registerTask } from '../tasks/standing.ts';
import { deleteTask, insertTask } from '../tasks/store.ts';
import { openAtMost, type Task } from '../tasks/task.ts';

/** The plan's task, if the settlement of its token has to write it. */
export interface TaskSettlement {
  /** Takes the id of the task. `known`: somebody was faster, so that it has to be planned again; nothing was written. */
  claim(tx: Tx): Promise<'known' | OAuthError | undefined>;
  /** Takes it back, for a settlement that turns out to be a refusal. */
  release(tx: Tx): Promise<void>;
  /** Says that it is alive, and who opened it. */
  open(tx: Tx): Promise<void>;
}

/** What is left to do for a plan's task in its settlement; undefined where it has none, or one that was open before. */
export async function settleTask(deps: Deps, { task, client }: DecidedPlan): Promise<TaskSettlement | undefined> {
  if (task?.provenance !== 'orchestrated' || !task.isNew) return undefined;
  const sealing = await sealingFor(deps, client.asOf.version, task.owner);
  return {
    async claim(tx) {
      const known = await insertTask(tx, task.task, openAtMost);
      return known === 'full' ? tooManyTasks() : known;
    },
    release: (tx) => deleteTask(tx, task.task.id),
    open: (tx) => opened(tx, deps, sealing, task),
  };
}

async function opened(tx: Tx, deps: Deps, sealing: Sealing, { task, owner }: OrchestratedTask): Promise<void> {
  await registerTask(tx, task);
  await appendEvent(tx, deps, sealing, taskOpened(task, owner, { signed: true }));
}

/** The event of a task's opening. What people and models wrote (its purpose, its details) is personal. */
export function taskOpened(
  task: Task,
  owner: string,
  decidedOn: Readonly<Record<string, unknown>>,
  more: Partial<AuditEvent> & { address?: string } = {},
): AuditEvent {
  const { address, ...members } = more;
  const details = task.resources?.filter((each) => each.details.length > 0);
  return {
    type: 'task.opened',
    outcome: 'allowed',
    org: task.org,
    agent: task.orchestrator,
    target: task.id,
    ...members,
    decided_on: {
      ends_at: task.endsAt,
      ...(task.environment !== undefined && { environment: task.environment }),
      for: task.agent,
      ...(task.resources && {
        resources: task.resources.map((each) => ({
          details: each.details.map(({ type }) => type),
          resource: each.resource,
          scope: each.scope,
        })),
      }),
      rests_on: task.restsOn,
      rev: task.rev,
      ...(task.step !== undefined && { step: task.step }),
      workflow: task.workflow,
      ...decidedOn,
    },
    personal: {
      ...(address !== undefined && { address }),
      owner,
      purpose: task.purpose,
      ...(details &&
        details.length > 0 && { details: details.map((each) => ({ resource: each.resource, details: each.details })) }),
    },
  };
}

const tooManyTasks = () =>
  new OAuthError('temporarily_unavailable', `${openAtMost} tasks of this agent are open already`, {
    status: 429,
    retryAfter: 60,
  });
