import { oldestReportMs } from '@bailiwick/protocol';
import type { Clock } from '../lib/clock.ts';
import type { Database } from '../store/database.ts';
import { deleteReportedBefore } from './store.ts';

export const dayMs = 24 * 60 * 60 * 1000;
const forgottenAtOnce = 5000;

/** Forgets which reports were taken, a day and more after they would be refused for their age. */
export async function forgetReported({ db, clock }: { db: Database; clock: Clock }): Promise<void> {
  const day = Math.floor((clock.now() - oldestReportMs - dayMs) / dayMs);
  for (let forgotten = forgottenAtOnce; forgotten === forgottenAtOnce; ) {
    forgotten = await db.settle((tx) => deleteReportedBefore(tx, day, forgottenAtOnce));
  }
}
