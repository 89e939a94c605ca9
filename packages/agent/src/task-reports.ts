/**
 * Tells the issuer when the work at a task begins, and how it comes to its end. Whatever goes wrong with that, the work hears nothing of it, and who may
 * not report is silent.
 */
import type { TaskFinishedReport, TaskStartedReport } from '@bailiwick/protocol';
import type { AtTask } from './asked.ts';
import { BailiwickError } from './errors.ts';
import type { AgentFetch } from './fetch.ts';
import { discard } from './http.ts';
import type { Deps } from './options.ts';
import { traceFor } from './trace.ts';

export type TaskResult = TaskFinishedReport['result'];

export interface TaskReports {
  /** Work begins. Gives what says how it ended. */
  begin(task: AtTask): (result: TaskResult) => void;
}

type TaskReport = TaskStartedReport | TaskFinishedReport;

/** Short work is told in one request. */
const waitMs = 250;
const mostWaiting = 500;
const silentMs = 10 * 60_000;
const patienceMs = 5000;

/**
 * @param send `fetch` of the agent, at no task: what tells of a task's end must not end with it
 * @param now the issuer's time, in ms
 */
export function createTaskReports(deps: Deps, send: AgentFetch, now: () => number): TaskReports {
  let waiting: { task: AtTask; report: TaskReport }[] = [];
  let silentUntil = 0;
  let underWay = false;
  let cancel = () => {};

  function add(task: AtTask, report: TaskReport): void {
    if (waiting.length < mostWaiting && deps.now() >= silentUntil) waiting.push({ task, report });
  }

  /** A task that came signed is told of once the issuer knows it: with its first token. */
  async function flush(): Promise<void> {
    cancel();
    if (underWay) return;
    const ready = waiting.filter(({ task }) => task.isKnown());
    if (ready.length === 0) return;
    waiting = waiting.filter((each) => !ready.includes(each));
    underWay = true;
    try {
      const response = await send(`${deps.issuer.replace(/\/$/, '')}/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ reports: ready.map(({ report }) => report) }),
        resource: deps.issuer,
        scope: 'tasks:report',
        signal: AbortSignal.timeout(patienceMs),
      });
      discard(response);
      if (response.status >= 500 || response.status === 429) again(ready);
      else if (response.status !== 200) beSilent();
    } catch (error) {
      // a refusal won't be another in a moment; a failure may be gone
      if (error instanceof BailiwickError && error.status !== undefined && error.status < 500) beSilent();
      else again(ready);
    } finally {
      underWay = false;
    }
    if (waiting.some(({ task }) => task.isKnown()) && deps.now() >= silentUntil) cancel = deps.timer(waitMs, flushing);
  }

  const flushing = () => void flush();

  function again(reports: typeof waiting): void {
    waiting = [...reports, ...waiting].slice(0, mostWaiting);
    silentUntil = deps.now() + patienceMs; // what is kept goes with the next one after that
    cancel = deps.timer(patienceMs, flushing);
  }

  function beSilent(): void {
    waiting = [];
    silentUntil = deps.now() + silentMs;
  }

  function common(task: AtTask) {
    const trace = traceFor(deps, task.id);
    const id = deps.uuid();
    return { id, at: new Date(now()).toISOString(), task: task.id, ...(trace !== undefined && { trace }) };
  }

  return {
    begin(task) {
      add(task, { type: 'task.started', ...common(task) });
      cancel();
      cancel = deps.timer(waitMs, flushing);
      return (result) => {
        add(task, { type: 'task.finished', ...common(task), result });
        // what the issuer never heard of, there is nothing to tell of
        if (!task.isKnown()) waiting = waiting.filter((each) => each.task !== task);
        void flush();
      };
    },
  };
}

/** Nobody is told. */
export const noTaskReports: TaskReports = { begin: () => () => {} };

/** How work came to its end that has thrown: given up by whoever wanted it, or failed. */
export function resultOf(error: unknown): TaskResult {
  const { name } = (error ?? {}) as { name?: unknown };
  return name === 'AbortError' || name === 'TimeoutError' ? 'abandoned' : 'failed';
}
