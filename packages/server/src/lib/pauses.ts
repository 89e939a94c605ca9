/** Long work in one thread: others get their turn in between. */
import { setImmediate } from 'node:timers/promises';

/** Milliseconds that work takes at a stretch. */
const stretch = 8;

export type Pause = () => Promise<void>;

/**
 * To be awaited after every piece of work: returns at once until the pieces since the last pause took 8 ms together, then lets
 * everything else go first that is waiting. By time, not by count: nobody knows what a piece costs.
 * @param now milliseconds, of a clock that only goes forward
 * @param others resolves when everybody else had a turn
 */
export function pauses(
  now: () => number = () => performance.now(),
  others: () => Promise<unknown> = () => setImmediate(),
): Pause {
  let since = now();
  return async () => {
    if (now() - since < stretch) return;
    await others();
    since = now();
  };
}

/** Does work that stops at every `yield`, with pauses. */
export async function withPauses<Result>(work: Generator<void, Result>, pause: Pause = pauses()): Promise<Result> {
  let step = work.next();
  while (!step.done) {
    await pause();
    step = work.next();
  }
  return step.value;
}

/** Does the same work at a stretch. */
export function atOnce<Result>(work: Generator<void, Result>): Result {
  let step = work.next();
  while (!step.done) step = work.next();
  return step.value;
}
