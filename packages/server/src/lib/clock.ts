/** Where time comes from. Tests own it; nothing outside this file reads the machine's clock. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  now(): number;
}

/** How far ahead of ours the clock of whoever makes a DPoP proof may be, in seconds: at every endpoint of ours. */
export const futureSeconds = 5;

/** The machine's clock. */
export const systemClock: Clock = { now: () => Date.now() };

/** A clock that stands still until it is told to move. Durations are milliseconds. */
export interface FakeClock extends Clock {
  advance(ms: number): void;
}

/** @param start milliseconds since the epoch */
export function fakeClock(start: number): FakeClock {
  let now = start;
  return {
    now: () => now,
    advance(ms) {
      now += ms;
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
