/** For how long a guard may trust what it knows. */
import type { Runtime } from '../runtime.ts';

/** Of what the server grants, a guard uses so much: the rest is for clocks that don't run alike. */
const usedPart = 0.9;
/** Readings that are closer together (ms) are no ground for the next: sums of small maxima would run fast. */
const groundMs = 100;

/**
 * Milliseconds since some moment, by whichever clock says that more has passed: the wall clock goes on while a machine sleeps, the other one while
 * somebody sets the wall clock back. It may run fast, and never slow.
 */
export function elapsedClock({ now, monotonic }: Pick<Runtime, 'now' | 'monotonic'>): () => number {
  let wall: number | undefined;
  let steady = 0;
  let sum = 0;
  return () => {
    const wallNow = now();
    const steadyNow = monotonic();
    if (wall === undefined) {
      wall = wallNow;
      steady = steadyNow;
    }
    const passed = Math.max(wallNow - wall, steadyNow - steady, 0);
    // a wall clock that was set back is read from there on, or the time until it has caught up would count for nothing
    if (passed >= groundMs || wallNow < wall) {
      sum += passed;
      wall = wallNow;
      steady = steadyNow;
      return sum;
    }
    return sum + passed;
  };
}

export interface Lease {
  /** Whether it runs. Cheap: for every request. */
  holds(): boolean;
  /** What is left of it, ms; 0 if it has run out. */
  leftMs(): number;
  /** How long it was granted for, ms; 0 if it never was. */
  readonly grantedMs: number;
  /** A new one. @param askedAt by the lease's clock, when it was asked for: it counts from there @param ms as the server granted it */
  renew(askedAt: number, ms: number): void;
  /** Ends it now. */
  drop(): void;
  /** Its clock: ms, never slow. */
  elapsed(): number;
}

/** A lease that nobody has granted yet. */
export function feedLease(runtime: Pick<Runtime, 'now' | 'monotonic'>): Lease {
  const elapsed = elapsedClock(runtime);
  let endsAt = Number.NEGATIVE_INFINITY;
  let grantedMs = 0;
  return {
    holds: () => elapsed() < endsAt,
    leftMs: () => Math.max(0, endsAt - elapsed()),
    get grantedMs() {
      return grantedMs;
    },
    renew(askedAt, ms) {
      grantedMs = ms;
      // an answer that was overtaken by a later one takes nothing away
      endsAt = Math.max(endsAt, askedAt + ms * usedPart);
    },
    drop() {
      endsAt = Number.NEGATIVE_INFINITY;
    },
    elapsed,
  };
}
