/** Work that becomes due: found where all nodes see it, and done so many at once, each for itself. */
import type { Clock } from './clock.ts';

export interface DueWork {
  clock: Clock;
  /** So many are worked on at once. */
  atOnce: number;
  /** Ids of at most `limit` that are due by `now` (ms), the longest due first. */
  due(now: number, limit: number): Promise<readonly string[]>;
  /** When the next of all is due (ms); undefined if none ever is. */
  next(): Promise<number | undefined>;
  /** Does one. Others may have taken it meanwhile: that is for the work to see. @param ending aborted when the work is to be left */
  work(id: string, ending: AbortSignal): Promise<void>;
  /** Calls back when something may have become due. The returned function ends it. */
  listen(look: () => void): () => void;
  /** Nobody waits for it: what went wrong with one, or with looking (no id), goes here. */
  failed(error: unknown, id?: string): void;
}

/** At the latest after so long it is looked again, whatever was heard (ms). */
const lookEveryMs = 30_000;
/** So long is waited after a look that failed, and before work that failed is begun again, whatever it says is due (ms). */
const retryMs = 1_000;

/**
 * Begins, and looks again on a notice, when one is through, and when the next is due. One that hangs or fails holds up no other.
 * `stop` waits for what is under way.
 */
export function startDueWork({ clock, atOnce, due, next, work, listen, failed }: DueWork): { stop(): Promise<void> } {
  const running = new Map<string, Promise<void>>();
  const resting = new Set<string>();
  const ending = new AbortController();
  let looking: Promise<void> | undefined;
  let again = false;
  let cancel = () => {};

  function look(): void {
    if (ending.signal.aborted) return;
    again = true;
    looking ??= lookOnce().finally(() => {
      looking = undefined;
      if (again) look();
    });
  }

  async function lookOnce(): Promise<void> {
    again = false;
    cancel();
    let wait = lookEveryMs;
    try {
      const now = clock.now(); // what becomes due between the two reads is waited for, not taken for what is under way
      // those under way may be due, too: their time may be over
      for (const id of await due(now, atOnce * 2 + resting.size)) begin(id);
      // whoever is through makes room, and has it looked again
      const coming = running.size < atOnce ? await next() : undefined;
      // what is due now is under way here or elsewhere: whoever has it says when it is through
      if (coming !== undefined && coming > now) {
        again ||= coming <= clock.now();
        wait = Math.min(Math.max(coming - clock.now(), 0), lookEveryMs);
      }
    } catch (error) {
      failed(error);
      wait = retryMs;
    }
    if (!ending.signal.aborted) cancel = clock.after(wait, look);
  }

  function begin(id: string): void {
    if (ending.signal.aborted || running.size >= atOnce || running.has(id) || resting.has(id)) return;
    const one = work(id, ending.signal)
      .catch((error) => {
        failed(error, id);
        // it may not even have been able to say when it is due again, as on a full disk
        resting.add(id);
        clock.after(retryMs, () => {
          resting.delete(id);
          look();
        });
      })
      .finally(() => {
        running.delete(id);
        look();
      });
    running.set(id, one);
  }

  const unlisten = listen(look);
  look();
  return {
    async stop() {
      ending.abort();
      cancel();
      unlisten();
      await looking;
      await Promise.all(running.values());
    },
  };
}

/** How long is waited after so many failures in a row (ms): twice as long each time. */
export const pauseAfter = (failures: number, { first, longest }: { first: number; longest: number }): number =>
  Math.min(longest, first * 2 ** Math.min(failures, 20));
