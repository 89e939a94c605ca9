import { type AuthorizationDetail, isPrintable } from '@bailiwick/protocol';
import type { Agent } from './agent.ts';
import { type AtTask, atTask, scopeList, type TaskReference } from './asked.ts';
import { BailiwickError } from './errors.ts';
import type { AgentFetch } from './fetch.ts';
import type { Deps } from './options.ts';
import { callOwn, type OwnApi } from './own-api.ts';
import { resultOf, type TaskReports } from './task-reports.ts';

/** What a task is about, and what its tokens may be for. */
export interface TaskWork {
  /** Lowercase letters, digits, dots, hyphens: it stands in tokens, so it says nothing about people. */
  workflow: string;
  step?: string;
  environment?: string;
  /** In words for people. It stays in the log, sealed. */
  purpose?: string;
  /** What its tokens may be for: each API with at least one of the three. Left out: all that the agent may. */
  resources?: readonly {
    resource: string;
    scope?: string | readonly string[];
    operations?: readonly string[];
    details?: readonly AuthorizationDetail[];
  }[];
  /** Seconds; an hour by default, a day at most. */
  lifetimeSeconds?: number;
}

export interface TaskOptions extends TaskWork {
  /** The id of the agent that it is for. Left out, the one that opens it. */
  agent?: string;
}

/** A task that was opened: whoever opened it can end it. */
export interface OpenTask extends AsyncDisposable {
  /** `tsk_…`: what the agent that it is for says with its token requests. */
  readonly id: string;
  readonly agent: string;
  /** In ms. */
  readonly endsAt: number;
  /** Ends it, and all its tokens. Again does nothing. */
  end(): Promise<void>;
}

/** An agent at a task: its tokens name the task, are for nothing else, and end with it. */
export interface Task extends Agent {
  readonly id: string;
}

const usualSeconds = 3600;

const tasksApi: OwnApi = {
  scope: 'tasks:open',
  code: 'task_refused',
  hint: 'opening tasks takes the role orchestrator; the agent and what it names must be of the same organization',
};

/** The members that say what a task is about, as the issuer reads them. */
export function wireOf(work: TaskWork): Record<string, unknown> {
  const { workflow, step, environment, purpose, resources } = work;
  return {
    workflow,
    ...(step !== undefined && { step }),
    ...(environment !== undefined && { environment }),
    ...(purpose !== undefined && { purpose }),
    ...(resources !== undefined && {
      resources: resources.map(({ resource, scope, operations, details }) => ({
        resource,
        ...(scope !== undefined && { scope: (scopeList(scope) ?? []).join(' ') }),
        ...(operations !== undefined && { operations: [...operations] }),
        ...(details !== undefined && { authorization_details: details }),
      })),
    }),
  };
}

/** @throws BailiwickError `bad_option` */
export function lifetimeOf({ lifetimeSeconds = usualSeconds }: TaskWork): number {
  if (Number.isSafeInteger(lifetimeSeconds) && lifetimeSeconds > 0 && lifetimeSeconds <= 86_400) return lifetimeSeconds;
  throw new BailiwickError('bad_option', 'lifetimeSeconds must be a whole number from 1 to 86400');
}

/**
 * Opens a task at the issuer.
 * @param send `fetch` of the orchestrator
 * @throws BailiwickError `task_refused`, and whatever getting a token throws
 */
export async function openTask(deps: Deps, send: AgentFetch, options: TaskOptions): Promise<OpenTask> {
  const { agent = deps.clientId, ...work } = options;
  const body = { agent, ...wireOf(work), lifetime_seconds: lifetimeOf(work) };
  const step = 'opening a task';
  const { status, json } = await callOwn(deps, send, tasksApi, { step, method: 'POST', path: '/tasks', body });
  const { id, ends_at } = json ?? {};
  const endsAt = typeof ends_at === 'string' ? Date.parse(ends_at) : Number.NaN;
  if (status !== 201 || !isPrintable(id, 64) || !/^tsk_[0-9a-z]{26}$/.test(id) || Number.isNaN(endsAt)) {
    throw new BailiwickError('bad_answer', `${step}: ${deps.issuer} answered with something that is no task`);
  }
  let ending: Promise<void> | undefined;
  const end = () => {
    ending ??= endTask(deps, send, id);
    return ending;
  };
  return Object.freeze({
    id,
    agent,
    endsAt,
    end,
    /** Leaving a block is no place for an error: a task that can't be ended now ends by itself. */
    [Symbol.asyncDispose]: () =>
      end().catch(({ message }: Error) => {
        const until = new Date(endsAt).toISOString();
        process.emitWarning(`${message}; task ${id} ends by itself at ${until}`, { code: 'BAILIWICK_NOT_ENDED' });
      }),
  });
}

async function endTask(deps: Deps, send: AgentFetch, id: string): Promise<void> {
  const step = 'ending the task';
  await callOwn(deps, send, tasksApi, { step, method: 'DELETE', path: `/tasks/${id}`, also: [404] });
}

/** Who works at a task, and who hears of it. */
interface Worker {
  agent: Agent;
  /** The same agent, at a task. */
  at(task: AtTask): Agent;
  reports: TaskReports;
}

/** Does the work at a task, and ends the task if it was opened for that, whatever became of the work. */
export async function workAt<Result>(
  worker: Worker,
  task: TaskReference | TaskOptions,
  work: (task: Task) => Promise<Result>,
): Promise<Result> {
  const { agent } = worker;
  if (typeof task === 'string' || 'jwt' in task) return reported(worker, atTask(task), work);
  if (task.agent !== undefined && task.agent !== agent.clientId) {
    throw new BailiwickError('bad_option', 'an agent works at its own tasks', {
      hint: 'openTask opens one for another',
    });
  }
  await using opened = await agent.openTask(task);
  return await reported(worker, atTask(opened.id), work);
}

async function reported<Result>(
  { at, reports }: Worker,
  task: AtTask,
  work: (task: Task) => Promise<Result>,
): Promise<Result> {
  const own: Task = Object.freeze({ ...at(task), id: task.id });
  const ended = reports.begin(task);
  try {
    const result = await work(own);
    ended('ok');
    return result;
  } catch (error) {
    ended(resultOf(error));
    throw error;
  }
}
