/** When mandates and requests for them are forgotten, and what is forgotten of them with a person. */
import type { Config } from '../config.ts';
import { longestTokenMs } from '../keys/schedule.ts';
import type { Clock } from '../lib/clock.ts';
import { forgetSubjects } from '../liveness/liveness.ts';
import type { Database, Tx } from '../store/database.ts';
import type { Mandate } from './mandate.ts';
import { clearRequestsOf, deleteRequestsBefore } from './request-store.ts';
import { endMandate, type MandateChange } from './standing.ts';
import { clearContent, deleteMandatesBefore, mandatesOfPerson } from './store.ts';

const forgottenAtOnce = 500;

/**
 * Forgets mandates that ended longer ago than they are listed and than any token can live. What was passed on goes first: a line is known
 * up to its root for as long as anything of it is.
 */
export async function forgetMandates(deps: { config: Config; db: Database; clock: Clock }): Promise<void> {
  const { config, clock, db } = deps;
  const needed = longestTokenMs + (2 * config.clock_skew_seconds + 60) * 1000;
  const time = clock.now() - Math.max(config.instances.keep_ended_seconds * 1000, needed);
  for (let more = true; more; ) {
    more = await db.transaction(async (tx) => {
      const ended = await deleteMandatesBefore(tx, time, forgottenAtOnce);
      await forgetSubjects(tx, ended);
      return ended.length > 0; // what they were passed on from may be the next
    });
  }
}

/** Forgets requests whose time was up longer ago than they are listed, whatever became of them. */
export async function forgetRequests(deps: { config: Config; db: Database; clock: Clock }): Promise<void> {
  const time = deps.clock.now() - deps.config.instances.keep_ended_seconds * 1000;
  for (let forgotten = forgottenAtOnce; forgotten === forgottenAtOnce; ) {
    forgotten = await deps.db.settle((tx) => deleteRequestsBefore(tx, time, forgottenAtOnce));
  }
}

/** Ends all that a person let agents do, and forgets what they saw and said of it. Answers what was ended. In `Database.transaction` alone. */
export async function endMandatesOf(tx: Tx, person: string, change: MandateChange): Promise<Mandate[]> {
  const ended: Mandate[] = [];
  for (const mandate of await mandatesOfPerson(tx, person)) {
    if (mandate.endsAt > change.now && (await endMandate(tx, mandate, change)) !== undefined) ended.push(mandate);
    await clearContent(tx, mandate);
    await clearRequestsOf(tx, mandate.id);
  }
  return ended;
}
