/** Whether a task is open, how it ends, and when it is forgotten. */
import type { Config } from '../config.ts';
import { longestTokenMs } from '../keys/schedule.ts';
import type { Clock } from '../lib/clock.ts';
import { endSubject, firstNotAlive, forgetSubjects, registerSubject } from '../liveness/liveness.ts';
import type { Database, Queries, Tx } from '../store/database.ts';
import { deleteTasksBefore, setTaskEnded } from './store.ts';
import type { Task } from './task.ts';

/**
 * Whether a task is open at `now` (ms): its time is not up, and nothing that it rests on was stopped since it was opened, be it
 * resumed meanwhile. Whether its orchestrator may still open tasks is for the roles to say.
 */
export async function taskOpen(q: Queries, task: Task, now: number): Promise<boolean> {
  const { rev } = task;
  if (task.endsAt <= now || task.endedAt !== undefined) return false;
  const ended = await firstNotAlive(q, [task.id, task.agent, task.orchestrator, task.org], { rev, now });
  if (ended !== undefined) return false;
  // by time nothing of this ends it: a key that was replaced has done its part, an instance whose time was up was not stopped, and
  // the task above ends no earlier. Instances are remembered for as long as a task that they opened can last (`enrol/forget.ts`)
  return (await firstNotAlive(q, task.restsOn, { rev, now: Number.NEGATIVE_INFINITY })) === undefined;
}

/** Says that a task is alive, in the transaction that has inserted it. */
export async function registerTask(tx: Tx, { id, agent, endsAt, createdAt }: Task): Promise<void> {
  await registerSubject(tx, { id, kind: 'task', parent: agent, endsAt, now: createdAt });
}

/**
 * Ends a task before its time, with all its tokens and the tasks that were opened by them. In `Database.transaction` alone.
 * Answers false if it had ended already.
 */
export async function endTask(
  tx: Tx,
  task: Task,
  change: { reason: string; by: string; now: number },
): Promise<boolean> {
  if (task.endsAt <= change.now) return false; // its time was up: no token of it lives
  if ((await endSubject(tx, { ...change, id: task.id })) === undefined) return false;
  await setTaskEnded(tx, task.id, change.now);
  return true;
}

const forgottenAtOnce = 500;

/**
 * Forgets tasks that ended longer ago than they are listed, than any token can live, and than what was signed for one can be
 * presented: it would come back otherwise.
 */
export async function forgetTasks(deps: { config: Config; db: Database; clock: Clock }): Promise<void> {
  const { config, clock, db } = deps;
  const needed = longestTokenMs + (2 * config.clock_skew_seconds + 60) * 1000;
  const time = clock.now() - Math.max(config.instances.keep_ended_seconds * 1000, needed);
  for (let more = true; more; ) {
    more = await db.transaction(async (tx) => {
      const ended = await deleteTasksBefore(tx, time, forgottenAtOnce);
      await forgetSubjects(tx, ended);
      return ended.length === forgottenAtOnce;
    });
  }
}
