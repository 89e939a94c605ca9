/** What it takes to be handed the log, event by event: see `consumers.ts`. */
import type { Tx } from '../store/database.ts';
import { deleteConsumer, insertConsumer } from './consumers-store.ts';
import type { StoredEvent } from './read-on.ts';
import { greatestArrival, type Wanted } from './store.ts';

export interface Consumer {
  /** For ever the same, such as `export:xpt_…`. */
  name: string;
  /** Absent: every event. */
  wants?: Wanted;
  /** At most so many events are handed over at once. */
  batch: number;
  /** After so many milliseconds the signal is aborted. */
  timeoutMs: number;
  /**
   * Resolves once the other end has the events for good. It must end soon after the signal is aborted, and its errors' messages are
   * shown to administrators: they name no secret. @throws Refused for what will be refused whenever it comes; anything else is tried again
   */
  deliver(events: readonly StoredEvent[], signal: AbortSignal): Promise<void>;
}

/** The other end has understood the events and won't have them. They are tried one by one, and what is refused again and again becomes a dead letter. */
export class Refused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Refused';
  }
}

export const consumerTimes = {
  /** How often is looked for news, ms. */
  poll: 500,
  beat: 5_000,
  /** A node that couldn't say that it is alive for so long delivers nothing more … */
  lost: 15_000,
  /** … and this is how long others wait that see its beat stand still. */
  takeOver: 30_000,
  firstPause: 1_000,
  longestPause: 300_000,
  /** How often, while there is nothing to deliver, the position is written and dead letters are looked after. */
  save: 10_000,
} as const;

/**
 * Gives a consumer its place in the log, within the transaction that makes it known.
 * @param from `start`: all that is there; `now`: what comes from now on (the transaction must be one of `db.transaction`)
 */
export async function createConsumer(
  tx: Tx,
  { name, from, now }: { name: string; from: 'start' | 'now'; now: number },
): Promise<void> {
  await insertConsumer(tx, name, from === 'now' ? await greatestArrival(tx) : 0, now);
}

/** Forgets a consumer and its dead letters: it delivers nothing more once the transaction is durable. */
export const removeConsumer = (tx: Tx, name: string): Promise<void> => deleteConsumer(tx, name);
