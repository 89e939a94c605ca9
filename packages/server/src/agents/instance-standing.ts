import { firstStopped, type Subjects, subjectsNow } from '../liveness/liveness.ts';
import type { Queries } from '../store/database.ts';
import type { Instance } from './instance.ts';

/** Everything that an instance rests on: when one of them ends or is stopped, it has ended for good. */
export const restsOn = (instance: Instance): string[] => [
  instance.id,
  ...instance.ancestors,
  instance.agent,
  instance.org,
  instance.credential,
];

/**
 * Whether an instance may act at `now` (ms): its time is not up, and nothing that it rests on was stopped since it was
 * enrolled, be it resumed meanwhile.
 */
export async function instanceAlive(q: Queries, instance: Instance, now: number): Promise<boolean> {
  return isAliveAmong(await subjectsNow(q, restsOn(instance)), instance, now);
}

/** The same, where all that it rests on was read already. */
export function isAliveAmong(subjects: Subjects, instance: Instance, now: number): boolean {
  if (instance.expiresAt <= now) return false;
  return firstStopped(subjects, restsOn(instance), { rev: instance.rev, now }) === undefined;
}
