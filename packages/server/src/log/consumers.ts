/**
 * Who takes the log elsewhere: each consumer has a name and a position that lasts, and is handed what follows, in order, by one node at a
 * time. It moves on when the other end has it: after a crash or a failure the same events come again, with the same ids. Each goes at its
 * own pace, so that one that hangs holds up nobody.
 */
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Random } from '../lib/random.ts';
import type { Database } from '../store/database.ts';
import type { LogConsumerRow } from '../store/log-tables.ts';
import { type Consumer, consumerTimes, Refused } from './consumer.ts';
import {
  beatConsumers,
  claimConsumer,
  findConsumer,
  insertDeadLetter,
  moveOn,
  noteFailure,
  passOver,
  releaseConsumers,
} from './consumers-store.ts';
import { retryOne } from './dead-letters.ts';
import { readOn, type StoredEvent } from './read-on.ts';

export interface Consumers {
  /** Hands this consumer what it lacks, from now on; its row must be there (`createConsumer`). One of the same name is replaced. */
  add(consumer: Consumer): void;
  /** Resolves when nothing is delivered to it any more by this node. */
  remove(name: string): Promise<void>;
  /** Looks for news now and not with the next turn. */
  wake(): void;
  /** Resolves when nobody can be handed anything more for now: all is delivered, another node does it, or it is paused after a failure. */
  settled(): Promise<void>;
  /** Gives everything back, so that other nodes go on at once. */
  stop(): Promise<void>;
}

/** How often one event alone may be refused before it is set aside. */
const refusalsAllowed = 6;

interface ConsumerDeps {
  db: Database;
  clock: Clock;
  random: Random;
  log: Logger;
}

interface Runner {
  consumer: Consumer;
  running: Promise<void> | undefined;
  /** Held by this node: where it is, and as of when (monotonic) that was written. */
  held: { position: number; savedAt: number } | undefined;
  /** At most so many events next time: halved by each refusal. */
  limit: number;
  /** Monotonic: nothing before. */
  notBefore: number;
  failures: number;
  /** Of another node: its beat, and when (monotonic) it was first seen so. */
  seen: { beat: number; at: number } | undefined;
  cut: AbortController | undefined;
  removed: boolean;
}

/** Nothing runs until the first consumer is added. */
export function newConsumers(deps: ConsumerDeps): Consumers {
  const { db, clock } = deps;
  const me = deps.random.bytes(16).toString('base64url');
  const runners = new Map<string, Runner>();
  let stopped = false;
  let cancelPoll: (() => void) | undefined;
  let cancelBeat: (() => void) | undefined;
  let cancelWatch: (() => void) | undefined;

  function poll(): void {
    cancelPoll?.();
    cancelPoll = undefined;
    if (stopped || runners.size === 0) return;
    for (const runner of runners.values()) run(runner);
    // not at once: a clock that leaps over weeks would poll millions of times before anything can happen
    queueMicrotask(() => {
      if (!stopped) cancelPoll ??= clock.after(consumerTimes.poll, poll);
    });
  }

  function run(runner: Runner): Promise<void> {
    runner.running ??= goOn(runner).finally(() => {
      runner.running = undefined;
    });
    return runner.running;
  }

  async function goOn(runner: Runner): Promise<void> {
    try {
      while (!stopped && !runner.removed && clock.monotonic() >= runner.notBefore && (await step(runner)));
    } catch (err) {
      // the database, not the other end
      runner.notBefore = clock.monotonic() + consumerTimes.firstPause;
      deps.log.error({ err, consumer: runner.consumer.name }, 'reading the log on failed; it is tried again');
    }
  }

  /** Answers whether there may be more to do at once. */
  async function step(runner: Runner): Promise<boolean> {
    runner.held ??= await claimed(runner);
    const { held } = runner;
    if (!held) return false;
    const { name, wants } = runner.consumer;
    const { events, position, more } = await readOn(deps, { ...wants, after: held.position, limit: runner.limit });
    if (events.length > 0) return delivered(runner, held, events, position);
    held.position = Math.max(held.position, position);
    if (more || clock.monotonic() - held.savedAt < consumerTimes.save) return more;
    held.savedAt = clock.monotonic();
    await db.settle((tx) => passOver(tx, me, name, held.position));
    const turn = async () => (await retryOne(deps, name, (letters) => attempt(runner, letters))) && !runner.removed;
    while (runner.held && !stopped && (await turn()));
    return more;
  }

  async function claimed(runner: Runner): Promise<Runner['held']> {
    const { name } = runner.consumer;
    const found = await findConsumer(db, name);
    if (!found) return undefined;
    if (found.holder !== null && !standsStill(runner, found)) return undefined;
    const since = clock.monotonic();
    const row = await db.settle((tx) => claimConsumer(tx, found, me));
    if (!row) return undefined;
    runner.seen = undefined;
    runner.failures = row.failures;
    if (!holding().length) watch(since);
    cancelBeat ??= clock.after(consumerTimes.beat, () => void beat());
    return { position: row.position, savedAt: since };
  }

  /** Whether another node that held it is gone. Where one server has the data to itself, whoever held it before is. */
  function standsStill(runner: Runner, { beat, holder }: LogConsumerRow): boolean {
    if (db.dialect === 'sqlite' || holder === me) return true;
    if (runner.seen?.beat !== beat) runner.seen = { beat, at: clock.monotonic() };
    return clock.monotonic() - runner.seen.at >= consumerTimes.takeOver;
  }

  async function delivered(
    runner: Runner,
    held: { position: number; savedAt: number },
    events: StoredEvent[],
    position: number,
  ): Promise<boolean> {
    const { name, batch } = runner.consumer;
    // who slept through its time may have lost it, and an administrator may have ended it
    if ((await findConsumer(db, name))?.holder !== me) return lose(runner);
    const error = await attempt(runner, events);
    const now = clock.now();
    if (error === undefined) {
      const moved = await db.settle((tx) => moveOn(tx, me, { name, position, delivered: events.length, now }));
      if (!moved) return lose(runner);
      runner.failures = 0;
      runner.limit = Math.min(batch, runner.limit * 2);
    } else {
      // taken away or ended meanwhile: whoever has it next tries again
      if (runner.held === undefined || runner.removed || stopped) return false;
      const refused = error instanceof Refused;
      if (refused && events.length > 1) {
        runner.limit = Math.ceil(events.length / 2);
        return true;
      }
      runner.failures += 1;
      if (!refused || runner.failures < refusalsAllowed) {
        runner.notBefore = clock.monotonic() + pauseAfter(runner.failures);
        await db.settle((tx) => noteFailure(tx, me, name, error.message, now));
        return false;
      }
      const [letter] = events as [StoredEvent];
      const moved = await db.settle(async (tx) => {
        if (!(await moveOn(tx, me, { name, position, delivered: 0, now }))) return false;
        const { arrival, id } = letter;
        await insertDeadLetter(tx, { consumer: name, arrival, event: id, reason: error.message, at: now });
        return true;
      });
      if (!moved) return lose(runner);
      deps.log.error(
        { consumer: name, event: letter.id, reason: error.message },
        'an event was refused for good: it is kept as a dead letter',
      );
      runner.failures = 0;
    }
    held.position = position;
    held.savedAt = clock.monotonic();
    return true;
  }

  /** What went wrong, if something did. */
  async function attempt(runner: Runner, events: StoredEvent[]): Promise<Error | undefined> {
    const { consumer } = runner;
    const cut = new AbortController();
    runner.cut = cut;
    const cancel = clock.after(consumer.timeoutMs, () =>
      cut.abort(new Error(`it took more than ${consumer.timeoutMs / 1000} s`)),
    );
    try {
      await consumer.deliver(events, cut.signal);
      return undefined;
    } catch (error) {
      if (cut.signal.aborted) return cut.signal.reason as Error;
      return error instanceof Error ? error : new Error('it failed');
    } finally {
      cancel();
      runner.cut = undefined;
    }
  }

  /** Another node has it, or it is no more. */
  function lose(runner: Runner): false {
    runner.held = undefined;
    runner.cut?.abort(new Error('another node delivers now'));
    return false;
  }

  const holding = () => [...runners.values()].filter(({ held }) => held);

  /** What this node can't say in time that it holds, it lets go: before others may take it. */
  function watch(since: number): void {
    cancelWatch?.();
    cancelWatch = clock.after(since + consumerTimes.lost - clock.monotonic(), () => holding().forEach(lose));
  }

  /** Says that this node is alive, for all that it holds, and lets go what was taken from it. */
  async function beat(): Promise<void> {
    const before = holding();
    const since = clock.monotonic();
    try {
      if (before.length > 0) {
        const names = new Set(await db.settle((tx) => beatConsumers(tx, me)));
        watch(since);
        for (const runner of before) if (!names.has(runner.consumer.name)) lose(runner);
      }
    } catch (err) {
      deps.log.error({ err }, 'holding what reads the log on failed');
    }
    if (!stopped) cancelBeat = clock.after(consumerTimes.beat, () => void beat());
  }

  async function end(runner: Runner): Promise<void> {
    runner.removed = true;
    runner.cut?.abort(new Error('it was stopped'));
    await runner.running;
  }

  return {
    add(consumer) {
      const before = runners.get(consumer.name);
      const fresh: Runner = {
        consumer,
        running: before && end(before).then(() => undefined),
        held: undefined,
        limit: consumer.batch,
        notBefore: 0,
        failures: 0,
        seen: undefined,
        cut: undefined,
        removed: false,
      };
      fresh.running = fresh.running?.finally(() => {
        fresh.running = undefined;
      });
      runners.set(consumer.name, fresh);
      cancelPoll ??= clock.after(0, poll);
    },
    async remove(name) {
      const runner = runners.get(name);
      if (!runner) return;
      runners.delete(name);
      await end(runner);
      if (runner.held) await db.settle((tx) => releaseConsumers(tx, me, name));
    },
    wake: poll,
    async settled() {
      for (const runner of runners.values()) await runner.running;
      await Promise.all([...runners.values()].map(run));
    },
    async stop() {
      stopped = true;
      cancelPoll?.();
      cancelBeat?.();
      cancelWatch?.();
      await Promise.all([...runners.values()].map(end));
      if (holding().length > 0) await db.settle((tx) => releaseConsumers(tx, me));
      runners.clear();
    },
  };
}

const pauseAfter = (failures: number): number =>
  Math.min(consumerTimes.longestPause, consumerTimes.firstPause * 2 ** Math.min(failures - 1, 20));
