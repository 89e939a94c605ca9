/** How long is waited before something is tried again: longer each time, and never together with others. */
import { jitter, type Runtime } from '../runtime.ts';

const firstMs = 50;

/** @param failures so far, one after the other; from 1 @param mostMs never much longer than that */
export function backoff(runtime: Pick<Runtime, 'random'>, failures: number, mostMs: number): number {
  return jitter(runtime) * Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 20));
}

/** Any time up to so many ms: who lost something at one moment doesn't come back at one moment. */
export function anyTimeUpTo(runtime: Pick<Runtime, 'random'>, ms: number): number {
  return (ms * (jitter(runtime) - 0.8)) / 0.4;
}

/** A pause that can be ended early. */
export interface Pause {
  /** Resolves after so many ms, or as soon as it is woken; at once if it was woken since the last one ended, or nothing is left. */
  wait(ms: number): Promise<void>;
  wake(): void;
}

export function pause(runtime: Pick<Runtime, 'later'>): Pause {
  let isWoken = false;
  let end: (() => void) | undefined;
  return {
    async wait(ms) {
      // what was still to come when it was looked at may be over by now
      if (!isWoken && ms > 0) {
        await new Promise<void>((resolve) => {
          const stop = runtime.later(ms, resolve);
          end = () => {
            stop();
            resolve();
          };
        });
      }
      end = undefined;
      isWoken = false;
    },
    wake() {
      isWoken = true;
      end?.();
    },
  };
}

/** What comes of some work, unless the signal comes first: a network that ignores it must not hold us. */
export function orAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Error('the identity provider did not answer in time'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
