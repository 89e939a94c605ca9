import { timeAt } from '../audit/store.ts';
import type { Queries } from '../store/database.ts';
import type { Stretch } from './search-store.ts';

/**
 * Arrivals and times grow together, but for this much (ms): how far apart the clocks of nodes may be, and how long an event may wait for its
 * transaction.
 */
const skew = 120_000;

/** The part of a stretch outside of which nothing is of this time: found by bisection, so it costs the same in any log. */
export async function withinTimes(
  q: Queries,
  { from, to }: Stretch,
  { since, until }: { since?: number | undefined; until?: number | undefined },
): Promise<Stretch> {
  return {
    from: since === undefined ? from : await firstSince(q, { from, to }, since - skew),
    to: until === undefined ? to : (await firstSince(q, { from, to }, until + skew)) - 1,
  };
}

/** The first arrival of the stretch at or after this time; the one behind the stretch if there is none. */
async function firstSince(q: Queries, { from, to }: Stretch, time: number): Promise<number> {
  let low = from;
  let high = to + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const at = await timeAt(q, middle);
    if (at === undefined || at >= time) high = middle;
    else low = middle + 1;
  }
  return low;
}
