/** What callers hear while the database takes no writes: nothing is decided then, and it is nobody's fault who asks. */
import type { Deps } from '../deps.ts';
import { type Standstill, standstillOf } from '../store/standstill.ts';

/** In words for whoever asks. @see health.ts */
export const standstillWords: Record<Standstill, string> = {
  full: 'there is no space left where the data of this server lies: nothing is issued or changed until there is',
  away: 'the database of this server can not be reached or written: nothing is issued or changed until it can',
};

/** After how many seconds one should come again. */
export const standstillRetrySeconds = 5;

/** A line for each request would fill what is left of the disk. */
const logEveryMs = 60_000;
const logged = new WeakMap<object, Map<Standstill, number>>();

/** What to tell a caller whose request failed by this, if the database stands still; the log has a line once a minute. */
export function standstillSaid(deps: Pick<Deps, 'db' | 'clock' | 'log'>, error: unknown): string | undefined {
  const reason = standstillOf(error);
  if (reason === undefined) return undefined;
  const known = logged.get(deps.db) ?? new Map<Standstill, number>();
  logged.set(deps.db, known);
  const now = deps.clock.monotonic();
  const last = known.get(reason);
  if (last === undefined || now - last >= logEveryMs) {
    known.set(reason, now);
    deps.log.error({ err: error }, `requests are refused: ${standstillWords[reason]}`);
  }
  return standstillWords[reason];
}
