/**
 * Failed authentication is counted, not written one by one, or anyone could make us write a line per packet: once a
 * minute each address and reason stands in the log, with how often.
 */
import type { Logger } from './log.ts';

export interface Failures {
  counts: Map<string, { address: string; reason: string; count: number }>;
  /** Failures that no longer fitted: from too many different addresses within the minute. */
  beyond: number;
}

const kindsKept = 10_000;

export const newFailures = (): Failures => ({ counts: new Map(), beyond: 0 });

export function countFailure(failures: Failures, address: string, reason: string): void {
  const key = `${address}\0${reason}`;
  const known = failures.counts.get(key);
  if (known) known.count++;
  else if (failures.counts.size < kindsKept) failures.counts.set(key, { address, reason, count: 1 });
  else failures.beyond++;
}

/** Writes what was counted and begins anew. Call it once a minute, and at the end. */
export function logFailures(failures: Failures, log: Logger): void {
  for (const entry of failures.counts.values()) log.warn(entry, 'client authentication failed');
  if (failures.beyond > 0)
    log.warn({ count: failures.beyond }, 'client authentication failed, from many more addresses');
  failures.counts.clear();
  failures.beyond = 0;
}
