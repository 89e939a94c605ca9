/**
 * The piece of work that a token is for: a task that an orchestrator opened or signed, or what the agent says of itself, which
 * policy hears as `declared`.
 */

import type { AccessTokenClaims } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import { mayOrchestrate, orchestratorOf } from '../decide/orchestrator.ts';
import type { Client, Form, OrchestratedTask, PlannedTask } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Counter } from '../liveness/liveness.ts';
import type { MandateTask } from '../mandates/mandate.ts';
import { taskOpen } from '../tasks/standing.ts';
import { findTask } from '../tasks/store.ts';
import type { Task, TaskResource } from '../tasks/task.ts';
import { single } from '../tokens/form.ts';
import { authoritiesOf, type Subject } from './subject.ts';
import { signedTask } from './task-jwt.ts';

/** The parameters that are read here, for the documentation. */
export const taskParameters = ['task', 'declared_workflow', 'declared_step', 'declared_purpose'] as const;

const longestDeclared = { workflow: 100, step: 100, purpose: 2000 };

/**
 * What the request says that its token is for.
 * @throws OAuthError `invalid_request` for what can't be read, or for a task beside a declared one; `invalid_grant` for a task that
 *   isn't this agent's, or isn't open: an agent hears the difference of its own alone
 */
export async function requestedTask(deps: Deps, client: Client, form: Form): Promise<PlannedTask | undefined> {
  const task = single(form, 'task');
  const declared = declaredTask(form);
  if (task === undefined) return declared;
  if (declared) {
    throw new OAuthError(
      'invalid_request',
      'a task is either an orchestrator’s (task) or declared (declared_…), not both',
    );
  }
  if (isId('task', task)) return planned(deps, client, await findTask(deps.db, task), 'opened');
  if (!task.includes('.'))
    throw new OAuthError('invalid_request', 'task must be the id of a task, tsk_…, or a signed one');
  const signed = await signedTask(deps, client, task);
  const known = await findTask(deps.db, signed.id);
  if (known && !isSame(known, signed)) {
    throw new OAuthError('invalid_grant', 'task: this jti was another task’s: sign each with a jti of its own', {
      reason: 'signed task reused',
    });
  }
  return planned(deps, client, known ?? signed, known ? 'opened' : 'new');
}

/**
 * The task, if this agent may work at it.
 * @param now milliseconds
 * @throws OAuthError `invalid_grant`
 */
export async function planned(
  deps: Deps,
  { agent, asOf }: { agent: Pick<Agent, 'id'>; asOf: Counter },
  task: Task | undefined,
  state: 'opened' | 'new',
  now: number = deps.clock.now(),
): Promise<OrchestratedTask> {
  if (task?.agent !== agent.id) throw noSuchTask('no such task of this agent');
  const by = await orchestratorOf(deps, asOf.version, task.orchestrator);
  const rests = by?.by;
  if (!by || !rests || !mayOrchestrate(by, task.org, now)) throw ended('its orchestrator may open no tasks');
  if (state === 'opened' && !(await taskOpen(deps.db, task, now))) throw ended('task has ended');
  return {
    provenance: 'orchestrated',
    task,
    isNew: state === 'new',
    links: [task.orchestrator, ...task.restsOn, rests.role, rests.grant],
    owner: by.agent.owner,
  };
}

/**
 * The task of an exchanged token: the one that the subject token carries, or the one that the request names. A mandate may be for no other.
 * @throws OAuthError `invalid_grant` where it is for another task; as {@link requestedTask} does
 */
export async function exchangedTask(
  deps: Deps,
  client: Client,
  form: Form,
  subject: Pick<Subject, 'line' | 'rule'> & { token: Pick<AccessTokenClaims, 'task'> | undefined },
): Promise<PlannedTask | undefined> {
  const carried = subject.token?.task;
  const task = carried ? await carriedTask(deps, client, form, carried.id) : await requestedTask(deps, client, form);
  for (const { by, task: wanted } of authoritiesOf(subject)) {
    if (wanted === undefined || isTask(wanted, task)) continue;
    throw new OAuthError('invalid_grant', `${by} is for a task that this request does not name`);
  }
  return task;
}

/** Whoever was called goes on with the task of whoever called. */
async function carriedTask(deps: Deps, client: Client, form: Form, id: string): Promise<OrchestratedTask> {
  const others = taskParameters.some((name) => single(form, name) !== undefined && single(form, name) !== id);
  if (others) throw new OAuthError('invalid_grant', 'the subject_token is for another task');
  const task = await findTask(deps.db, id);
  return planned(deps, { agent: { id: task?.agent ?? '' }, asOf: client.asOf }, task, 'opened');
}

function isTask({ id, workflow, environment }: MandateTask, task: PlannedTask | undefined): boolean {
  if (task?.provenance !== 'orchestrated') return false;
  const is = (wanted: string | undefined, said: string | undefined) => wanted === undefined || wanted === said;
  return is(id, task.task.id) && is(workflow, task.task.workflow) && is(environment, task.task.environment);
}

/** Presented again, a signed task is the same in all that it says. */
const isSame = (known: Task, signed: Task): boolean =>
  JSON.stringify(contentOf(known)) === JSON.stringify(contentOf(signed));

const contentOf = (task: Task) => [
  task.agent,
  task.orchestrator,
  task.workflow,
  task.step ?? null,
  task.environment ?? null,
  task.purpose,
  task.resources ?? null,
  task.endsAt,
];

function declaredTask(form: Form): PlannedTask | undefined {
  const declared: Partial<Record<keyof typeof longestDeclared, string>> = {};
  for (const [name, longest] of Object.entries(longestDeclared) as [keyof typeof longestDeclared, number][]) {
    const value = single(form, `declared_${name}`);
    if (value === undefined) continue;
    if (value.length > longest || !/^(?:[^\p{C}]|[\n\r\t])*$/u.test(value)) {
      throw new OAuthError('invalid_request', `declared_${name} must be at most ${longest} printable characters`);
    }
    declared[name] = value;
  }
  return Object.keys(declared).length === 0 ? undefined : { provenance: 'declared', ...declared };
}

/**
 * What is asked for where the request itself names nothing: what the orchestrator named on this resource, if it did.
 * @returns undefined where the request, or the registration, has the say
 */
export function namedByTask(
  task: PlannedTask | undefined,
  resource: { id: string },
  form: Form,
): Pick<TaskResource, 'scope' | 'details'> | undefined {
  if (single(form, 'scope') !== undefined || single(form, 'authorization_details') !== undefined) return undefined;
  if (task?.provenance !== 'orchestrated') return undefined;
  return task.task.resources?.find((each) => each.resource === resource.id);
}

const noSuchTask = (reason: string) =>
  new OAuthError('invalid_grant', 'there is no such task for this agent', { reason });
const ended = (reason: string) => new OAuthError('invalid_grant', 'this task has ended', { reason });
