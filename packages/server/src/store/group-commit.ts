import type { Tx } from './database.ts';
import { type Standstill, standstillOf } from './standstill.ts';

/** The connection that a group of settlements shares. `exec` takes constant statements alone. */
export interface Writer {
  readonly tx: Tx;
  exec(sql: string): Promise<void>;
  /** What is to be run once what was done so far is durable. What is undone takes its own away. */
  readonly afterCommit: (() => void)[];
  /** Statements that open a transaction and take the liveness lock. */
  readonly begin: readonly string[];
  /** Takes these locks, in this order, until the transaction ends. Absent where only one writer writes. */
  lock?(names: readonly string[]): Promise<void>;
  /** Whether a settlement that failed so may simply be tried again: it lost a deadlock. */
  retriable(error: unknown): boolean;
  /** Leaves whoever won a deadlock some time to end, longer each time: or both would meet again, a second each time. */
  rest(attempt: number): Promise<void>;
}

interface Job {
  work: (tx: Tx) => Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
  attempts: number;
  alone: string | undefined;
}

const largestGroup = 128;
const attemptsAllowed = 4;

/**
 * Concurrent settlements share one transaction, so that the disk is waited for once and not once each. They run
 * one after the other; should one fail, the group is rolled back and run again with a savepoint for each, so that
 * what fails takes nothing else with it. Nobody is answered before the commit that all of them share is durable; if
 * the commit fails, all of them fail.
 */
export function groupCommit(writers: readonly Writer[]) {
  const queue: Job[] = [];
  const idle = [...writers];
  const waiting: (() => void)[] = [];
  let standstill: Standstill | undefined;

  function settle<Result>(work: (tx: Tx) => Promise<Result>, alone?: string): Promise<Result> {
    return new Promise((resolve, reject) => {
      queue.push({ work, resolve: resolve as (value: unknown) => void, reject, attempts: 0, alone });
      wake();
    });
  }

  function wake(): void {
    const writer = idle.pop();
    if (!writer) return;
    // setImmediate lets every request that this turn of the event loop has read join the group
    setImmediate(async () => {
      while (queue.length > 0) await commitGroup(writer, queue.splice(0, largestGroup));
      idle.push(writer);
      if (queue.length > 0) wake();
      else if (idle.length === writers.length) {
        for (const done of waiting.splice(0)) done();
      }
    });
  }

  async function commitGroup(writer: Writer, jobs: Job[]): Promise<void> {
    try {
      if (await committedAtOnce(writer, jobs)) return;
      await commitEach(writer, jobs);
    } catch (error) {
      // the transaction itself broke: whatever ran in it is gone, so everyone hears of it
      await writer.exec('rollback').catch(() => undefined);
      writer.afterCommit.length = 0;
      standstill = standstillOf(error) ?? standstill;
      for (const job of jobs) job.reject(error);
    }
  }

  /** All locks of a group at once and before anything else, in one order, so that no two groups wait for each other. */
  async function begin(writer: Writer, jobs: Job[]): Promise<void> {
    for (const statement of writer.begin) await writer.exec(statement);
    if (!writer.lock) return;
    const names = new Set(jobs.map(({ alone }) => alone).filter((name) => name !== undefined));
    if (names.size > 0) await writer.lock([...names]);
  }

  /** The common case: nothing fails, so nothing needs a savepoint. Answers false, with nothing done, if something does. */
  async function committedAtOnce(writer: Writer, jobs: Job[]): Promise<boolean> {
    const values: unknown[] = [];
    await begin(writer, jobs);
    for (const job of jobs) {
      try {
        values.push(await job.work(writer.tx));
      } catch (error) {
        // what failed may have ended the transaction by itself, as a full disk does
        await writer.exec('rollback').catch(() => undefined);
        writer.afterCommit.length = 0;
        if (writer.retriable(error)) await writer.rest(0);
        return false;
      }
    }
    await writer.exec('commit');
    committed(writer);
    if (standstill === 'away') standstill = undefined;
    for (const [i, job] of jobs.entries()) job.resolve(values[i]);
    return true;
  }

  /** Each in its savepoint: what fails takes nothing else with it. */
  async function commitEach(writer: Writer, jobs: Job[]): Promise<void> {
    const answers: (() => void)[] = [];
    const again: Job[] = [];
    await begin(writer, jobs);
    for (const job of jobs) {
      const { length } = writer.afterCommit;
      await writer.exec('savepoint settlement');
      try {
        const value = await job.work(writer.tx);
        await writer.exec('release savepoint settlement');
        answers.push(() => job.resolve(value));
      } catch (error) {
        await writer.exec('rollback to savepoint settlement').catch(() => {
          throw error; // the whole transaction is gone: this is why, and not that it is gone
        });
        standstill = standstillOf(error) ?? standstill;
        writer.afterCommit.length = length;
        await writer.exec('release savepoint settlement');
        if (writer.retriable(error) && ++job.attempts < attemptsAllowed) again.push(job);
        else answers.push(() => job.reject(error));
      }
    }
    await writer.exec('commit');
    committed(writer);
    for (const answer of answers) answer();
    if (again.length > 0) await writer.rest(Math.max(...again.map(({ attempts }) => attempts)));
    queue.push(...again);
  }

  function committed(writer: Writer): void {
    for (const work of writer.afterCommit.splice(0)) work();
  }

  return {
    settle,
    /** Why writing failed, as long as nothing has shown that it works again. */
    standstill: () => standstill,
    /** Something has shown it. */
    works() {
      standstill = undefined;
    },
    /** Resolves when nothing is under way any more. */
    async drained(): Promise<void> {
      if (queue.length === 0 && idle.length === writers.length) return;
      await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}
