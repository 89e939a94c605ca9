import { randomBytes } from 'node:crypto';
import { followFetch } from './follow-fetch.ts';

/** What the guard takes from the world. Everything else is pure, so that tests own time and the network. */
export interface Runtime {
  /** The wall clock, ms since 1970. */
  now(): number;
  /** Milliseconds since some moment: never goes back, whatever is done to the wall clock. */
  monotonic(): number;
  fetch: typeof globalThis.fetch;
  /** The same for what is there for as long as it likes: a connection that is waited on keeps no process alive. */
  follow: typeof globalThis.fetch;
  /** `bytes` random bytes, base64url. */
  random(bytes: number): string;
  /**
   * Runs something soon and then about every so often, without keeping the process alive; the returned function ends it. Guards that were started
   * together don't do it together.
   */
  every(ms: number, work: () => void): () => void;
  /** Runs something once, after so many ms; the returned function takes it back. */
  after(ms: number, work: () => void): () => void;
  /** The same, without keeping the process alive. */
  later(ms: number, work: () => void): () => void;
  /** Tells the operator of this API what is wrong, in a sentence. Never called with a secret. */
  report(problem: string): void;
}

/** The only place in the guard that touches the clock, the network, randomness or the terminal. */
export const systemRuntime: Runtime = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  fetch: (input, init) => globalThis.fetch(input, init),
  follow: followFetch,
  random: (bytes) => randomBytes(bytes).toString('base64url'),
  every(ms, work) {
    let timer: NodeJS.Timeout;
    const after = (delay: number) => {
      timer = setTimeout(() => {
        after(ms * jitter(systemRuntime));
        work();
      }, delay).unref();
    };
    const first = setImmediate(work);
    after(ms * Math.random());
    return () => {
      clearImmediate(first);
      clearTimeout(timer);
    };
  },
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
  later(ms, work) {
    const timer = setTimeout(work, ms).unref();
    return () => clearTimeout(timer);
  },
  report: (problem) => process.emitWarning(problem, { type: 'BailiwickGuard' }),
};

/** Tells the same problem at most once a minute: an outage must not fill the disk of those it hits. */
export function reportingOnce(runtime: Pick<Runtime, 'now' | 'report'>): Runtime['report'] {
  const last = new Map<string, number>();
  return (problem) => {
    const now = runtime.now();
    const before = last.get(problem);
    if (before !== undefined && now >= before && now - before < 60_000) return;
    if (last.size >= 100) last.clear();
    last.set(problem, now);
    runtime.report(problem);
  };
}

/** A number around 1 (from 0.8 to 1.2), so that a thousand guards that started together don't ask together for ever. */
export function jitter(runtime: Pick<Runtime, 'random'>): number {
  return 0.8 + (0.4 * Buffer.from(runtime.random(4), 'base64url').readUInt32BE()) / 2 ** 32;
}
