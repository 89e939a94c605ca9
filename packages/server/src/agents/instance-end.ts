import { endSubject } from '../liveness/liveness.ts';
import type { Tx } from '../store/database.ts';
import type { Instance } from './instance.ts';
import { freePlace } from './instance-count-store.ts';
import { livingDescendants, setInstanceEnd } from './instance-store.ts';

/**
 * Ends an instance for good, with its children and all their tokens. In `Database.transaction` alone. Answers the ids of
 * what it ended, the instance's own first; none if it had ended already.
 */
export async function endInstance(
  tx: Tx,
  instance: Instance,
  change: { reason: string; by: string; now: number },
): Promise<string[]> {
  const ended: string[] = [];
  for (const one of [instance, ...(await livingDescendants(tx, instance.id, change.now))]) {
    if (one.expiresAt <= change.now) continue; // its time was up: no token of it lives
    if ((await endSubject(tx, { ...change, id: one.id })) === undefined) continue;
    await freePlace(tx, one.agent, { endsAt: one.expiresAt, now: change.now });
    await setInstanceEnd(tx, one.id, change.now);
    ended.push(one.id);
  }
  return ended;
}
