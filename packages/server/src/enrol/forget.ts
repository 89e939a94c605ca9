/** Instances of the past, and the tokens that enrolled them, are forgotten in parts: the log keeps what they did. */
import { deleteInstancesAfter } from '../agents/instance-store.ts';
import { deleteEnrolmentTokens, deleteUnusedTokens } from '../credentials/enrolment-store.ts';
import type { Deps } from '../deps.ts';
import { longestTokenMs } from '../keys/schedule.ts';
import { forgetSubjects } from '../liveness/liveness.ts';
import { longestTaskMs } from '../tasks/task.ts';

const lookedAtOnce = 500;

/**
 * Forgets what ended longer ago than it is listed, and than any token or task that it opened can last: one of an instance that was
 * ended must not come back, and one of an instance whose time was up goes on. Nobody waits for more than a part.
 */
export async function forgetInstances(deps: Deps, atOnce = lookedAtOnce): Promise<void> {
  const { config, clock, db } = deps;
  const needed = Math.max(longestTokenMs, longestTaskMs) + config.clock_skew_seconds * 1000;
  const kept = Math.max(config.instances.keep_ended_seconds * 1000, needed);
  const time = clock.now() - kept;
  for (let after: string | undefined = ''; after !== undefined; ) {
    const from: string = after;
    after = await db.transaction(async (tx) => {
      const { after: to, instances, credentials } = await deleteInstancesAfter(tx, from, time, atOnce);
      await forgetSubjects(tx, [...instances, ...(await deleteEnrolmentTokens(tx, credentials))]);
      return to;
    });
  }
  for (let more = true; more; ) {
    more = await db.transaction(async (tx) => {
      const unused = await deleteUnusedTokens(tx, time, atOnce);
      await forgetSubjects(tx, unused);
      return unused.length === atOnce;
    });
  }
}
