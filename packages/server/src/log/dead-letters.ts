/** Events that a consumer's other end refused for good: kept until they are tried again with success, or the consumer ends. */
import type { Clock } from '../lib/clock.ts';
import type { Database, Tx } from '../store/database.ts';
import { deleteDeadLetter, findLetterToRetry, keepDeadLetter } from './consumers-store.ts';
import type { StoredEvent } from './read-on.ts';
import { findArrived } from './store.ts';

export { askAgain as retryDeadLetters, countDeadLetters, listDeadLetters } from './consumers-store.ts';

/**
 * Tries the oldest one again for which that was asked. Answers whether there was one.
 * @param attempt what went wrong, undefined if nothing did
 */
export async function retryOne(
  { db, clock }: { db: Database; clock: Clock },
  consumer: string,
  attempt: (events: StoredEvent[]) => Promise<Error | undefined>,
): Promise<boolean> {
  const letter = await findLetterToRetry(db, consumer);
  if (!letter) return false;
  const { arrival } = letter;
  const event = await findArrived(db, arrival);
  // its time was over meanwhile, and somebody had said that this is a bound
  const error = event && (await attempt([event]));
  const written = async (tx: Tx) =>
    error === undefined
      ? deleteDeadLetter(tx, consumer, arrival)
      : keepDeadLetter(tx, consumer, arrival, { reason: error.message, at: clock.now() });
  await db.settle(written);
  return true;
}
