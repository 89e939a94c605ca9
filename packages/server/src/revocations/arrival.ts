/** Whether everything that was ordered at once has arrived: each resource counts by the last number that it hears of. */
import type { Deps } from '../deps.ts';
import { type Acknowledgement, acknowledged, acknowledgementOf } from './acknowledgement.ts';
import { selectHeard } from './revocation-store.ts';

/**
 * How far a revocation has arrived, with all that came with it; waits until it has, or so many milliseconds at most.
 * @param numbers of the first and last that were ordered at once
 */
export async function arrival(
  deps: Deps,
  numbers: { first: number; last: number },
  atMostMs: number,
): Promise<Pick<Acknowledgement, 'complete' | 'resources' | 'forgotten'>> {
  const heard = await selectHeard(deps.db, numbers);
  const byNumber = Map.groupBy(heard, ({ rev }) => rev);
  if (heard.length === 0) return acknowledgementOf(deps, numbers.first);
  const answers = await Promise.all([...byNumber.keys()].map((rev) => acknowledged(deps, rev, atMostMs)));
  return {
    complete: answers.every(({ complete }) => complete),
    // what hears of a later number of the same order counts there
    resources: answers.flatMap(({ rev, resources }) =>
      resources.filter(({ resource }) => byNumber.get(rev)?.some((one) => one.resource === resource)),
    ),
  };
}
