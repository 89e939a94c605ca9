/** When single tokens that were ended are forgotten: they come by thousands, and nobody else would. */
import type { Config } from '../config.ts';
import { longestTokenMs } from '../keys/schedule.ts';
import type { Clock } from '../lib/clock.ts';
import { forgetTokens, reachMarginMs } from '../liveness/liveness.ts';
import type { Database } from '../store/database.ts';

/**
 * Forgets tokens that were ended and would have been over for longer than what ended is listed, and than any clock is believed to be wrong:
 * one that is forgotten too early lives again.
 */
export async function forgetEndedTokens(deps: { config: Config; db: Database; clock: Clock }): Promise<void> {
  const { config, clock, db } = deps;
  const time = clock.now() - Math.max(config.instances.keep_ended_seconds * 1000, longestTokenMs + reachMarginMs);
  for (let more = true; more; ) {
    const { forgotten, atMost } = await db.transaction((tx) => forgetTokens(tx, time));
    more = forgotten === atMost;
  }
}
