/** The proof that a stream works: an event about the stream itself, at any time. @see SSF 1.0 §8.1.4 */
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import type { Tx } from '../store/database.ts';
import { verificationEvent } from './events.ts';
import { enqueue } from './set-store.ts';
import { jtiOfSet, type Stream } from './stream.ts';
import type { Subject } from './subject.ts';
import { setOf, signalsTopic } from './transmit.ts';

/** @param state what the receiver wants to see in it, if it was the receiver who asked */
export async function tellVerification(tx: Tx, deps: Deps, stream: Stream, state?: string): Promise<void> {
  const { id } = stream;
  const txn = newId(deps, 'event');
  const subject: Subject = { format: 'opaque', id };
  const says = state === undefined ? {} : { state };
  const jti = jtiOfSet(id, txn, verificationEvent);
  const claims = setOf(deps, stream, { jti, txn, subject, type: verificationEvent, says });
  await enqueue(tx, id, [{ claims, event: verificationEvent }], deps.clock.now());
  await tx.notify(signalsTopic, id);
}
