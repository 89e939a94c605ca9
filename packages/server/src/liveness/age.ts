/**
 * What is old enough to be forgotten. The wall clock may be wrong for a while, and whoever forgets a revocation by it lets dead tokens live: so age is what
 * this process has seen pass by the clock that nobody sets, and a wall clock is believed once it has run like that one for an hour.
 */
import type { Clock } from '../lib/clock.ts';
import type { Database } from '../store/database.ts';

interface Ages {
  /** Which entry was the newest, and when (monotonic); oldest first. */
  seen: { rev: number; at: number }[];
  /** Both clocks as they were looked at last, and since when (monotonic) they have run alike. */
  alike: { wall: number; steady: number; since: number } | undefined;
}

const byDatabase = new WeakMap<Database, Ages>();

/** What this process has seen of this database. */
export function ages(db: Database): Ages {
  const known = byDatabase.get(db) ?? { seen: [], alike: undefined };
  byDatabase.set(db, known);
  return known;
}

/**
 * Notes the newest entry there is now, and answers which was the newest `ms` milliseconds ago or earlier: it and what came before are at least that old.
 * 0 if nothing is known to be.
 * @param look `now` in milliseconds of the clock that nobody sets
 */
export function seenLongAgo({ seen }: Ages, look: { rev: number; now: number; ms: number }): number {
  const { rev, now, ms } = look;
  seen.push({ rev, at: now });
  while (seen[1] !== undefined && seen[1].at <= now - ms) seen.shift();
  const [first] = seen as [Ages['seen'][number]];
  return first.at <= now - ms ? first.rev : 0;
}

const believedAfterMs = 60 * 60_000;
/** So much one clock may run differently from the other between two looks. */
const slackMs = 60_000;

/** What time it is (milliseconds), or undefined as long as the wall clock can't be believed. To be asked every few minutes. */
export function believedTime(ages: Ages, clock: Pick<Clock, 'now' | 'monotonic'>): number | undefined {
  const wall = clock.now();
  const steady = clock.monotonic();
  const { alike } = ages;
  const isAlike = alike !== undefined && Math.abs(wall - alike.wall - (steady - alike.steady)) <= slackMs;
  const since = isAlike ? alike.since : steady;
  ages.alike = { wall, steady, since };
  return steady - since >= believedAfterMs ? wall : undefined;
}
