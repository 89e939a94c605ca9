/** Where time comes from. Tests own it; nothing outside this file reads the machine's clock. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  now(): number;
  /** Milliseconds since some moment: it never goes back, whatever is done to the wall clock. For how long something took or may take. */
  monotonic(): number;
  /** Runs `work` once after so many milliseconds, without keeping the process alive; the returned function takes it back. */
  after(ms: number, work: () => void): () => void;
}

/** How far ahead of ours the clock of whoever makes a DPoP proof may be, in seconds: at every endpoint of ours. */
export const futureSeconds = 5;

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** A clock that stands still until it is told to move. Durations are milliseconds. */
export interface FakeClock extends Clock {
  /** Moves on, and runs what became due on the way, in its order and at its time. */
  advance(ms: number): void;
}

/** @param start milliseconds since the epoch */
export function fakeClock(start: number): FakeClock {
  let now = start;
  const waiting = new Set<{ at: number; work: () => void }>();
  const nextBefore = (end: number) => [...waiting].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
  return {
    now: () => now,
    monotonic: () => now - start,
    after(ms, work) {
      const timer = { at: now + ms, work };
      waiting.add(timer);
      return () => waiting.delete(timer);
    },
    advance(ms) {
      const end = now + ms;
      for (let due = nextBefore(end); due; due = nextBefore(end)) {
        waiting.delete(due);
        now = Math.max(now, due.at);
        due.work();
      }
      now = end;
    },
  };
}

/** A JWT NumericDate: whole seconds. @see RFC 7519 §2 */
export const numericDate = (ms: number): number => Math.floor(ms / 1000);

let written = { ms: Number.NaN, text: '' };

/** RFC 3339 in UTC, as the admin API and the log write times. */
export function rfc3339(ms: number): string {
  // many events fall into one millisecond
  if (written.ms !== ms) written = { ms, text: new Date(ms).toISOString() };
  return written.text;
}
