/** Streams are made, read, changed, replaced and removed by their receivers. @see SSF 1.0 §8.1.1 */
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { makeDue } from '../ssf/set-store.ts';
import type { Stream } from '../ssf/stream.ts';
import {
  countStreams,
  deleteSecret,
  deleteStream,
  findStream,
  insertStream,
  putSecret,
  streamsOfAgent,
  updateStream,
} from '../ssf/stream-store.ts';
import { beginTelling, signalsTopic } from '../ssf/transmit.ts';
import type { Tx } from '../store/database.ts';
import { signalSecretName } from '../store/secrets.ts';
import type { Caller } from '../web/caller.ts';
import { conflict } from '../web/problem.ts';
import { eventsDelivered, mustAgree, shownStream, type Wanted, wantedIn } from './configuration.ts';
import { changed, mustHaveOneOf, objectIn, ownStream, recorded, streamIdIn } from './own-stream.ts';

/** More than anybody needs who has one address for each kind of event. */
const mostStreams = 10;

/** @see SSF 1.0 §8.1.1.1 @throws Problem 409 for a receiver that has as many as it may */
export async function createStream(deps: Deps, caller: Caller, body: unknown): Promise<Record<string, unknown>> {
  return recorded(deps, caller, { operation: 'createStream' }, async () => {
    mustHaveOneOf(deps, caller, ['ssf.manage']);
    const wanted = wantedIn(deps, objectIn(body ?? {}));
    const now = deps.clock.now();
    const stream: Stream = {
      id: newId(deps, 'signal_stream'),
      org: caller.org,
      agent: caller.agent,
      ...written(wanted),
      defaultSubjects: deps.config.signals.default_subjects,
      status: 'enabled',
      reason: undefined,
      last: 0,
      dueAt: undefined,
      failures: 0,
      fault: undefined,
      deliveredAt: undefined,
      verifiedAt: undefined,
      createdAt: now,
      updatedAt: now,
    };
    return changed(deps, caller, async (tx) => {
      if ((await countStreams(tx, caller.agent)) >= mostStreams) {
        throw conflict('stream_id', `this receiver has ${mostStreams} streams already: remove or change one`);
      }
      await beginTelling(tx, deps);
      await insertStream(tx, stream);
      await keepHeader(tx, deps, stream.id, wanted);
      return { result: shownStream(deps, stream), change: { target: stream.id, changed: told('created', stream) } };
    });
  });
}

/** One of them, or all of this receiver's. @see SSF 1.0 §8.1.1.2 */
export async function readStreams(deps: Deps, caller: Caller, query: Record<string, unknown>): Promise<unknown> {
  return recorded(deps, caller, { operation: 'readStreams', reads: true }, async () => {
    mustHaveOneOf(deps, caller, ['ssf.read', 'ssf.manage']);
    if (query.stream_id !== undefined) return shownStream(deps, await ownStream(deps.db, caller, streamIdIn(query)));
    return (await streamsOfAgent(deps.db, caller.agent)).map((stream) => shownStream(deps, stream));
  });
}

/** @param how `update`: what is absent stays; `replace`: it is taken away. @see SSF 1.0 §8.1.1.3 and §8.1.1.4 */
export async function changeStream(
  deps: Deps,
  caller: Caller,
  how: 'update' | 'replace',
  body: unknown,
): Promise<Record<string, unknown>> {
  return recorded(deps, caller, { operation: `${how}Stream` }, async () => {
    mustHaveOneOf(deps, caller, ['ssf.manage']);
    const given = objectIn(body);
    const id = streamIdIn(given);
    return changed(deps, caller, async (tx) => {
      const stream = await ownStream(tx, caller, id);
      mustAgree(deps, stream, given);
      const wanted = how === 'update' ? wantedIn(deps, given, { stream }) : replacing(deps, given, stream);
      const after: Stream = { ...stream, ...written(wanted), updatedAt: deps.clock.now() };
      await updateStream(tx, after);
      await keepHeader(tx, deps, id, wanted);
      await makeDue(tx, id, deps.clock.now());
      await tx.notify(signalsTopic, id);
      const shown = shownStream(deps, (await findStream(tx, id)) as Stream);
      return { result: shown, change: { target: id, changed: told('updated', after) } };
    });
  });
}

/** As if nothing had been said before, but for the header, which nobody can read and send back. */
function replacing(deps: Deps, given: Record<string, unknown>, stream: Stream): Wanted {
  const blank: Stream = { ...stream, eventsRequested: undefined, description: undefined };
  return wantedIn(deps, { ...given, delivery: given.delivery ?? { method: 'urn:ietf:rfc:8936' } }, { stream: blank });
}

/** @see SSF 1.0 §8.1.1.5 */
export async function removeStream(deps: Deps, caller: Caller, query: Record<string, unknown>): Promise<void> {
  return recorded(deps, caller, { operation: 'removeStream' }, async () => {
    mustHaveOneOf(deps, caller, ['ssf.manage']);
    const id = streamIdIn(query);
    return changed(deps, caller, async (tx) => {
      await ownStream(tx, caller, id);
      await deleteStream(tx, id);
      return { result: undefined, change: { target: id, changed: { change: 'removed' } } };
    });
  });
}

const written = ({ delivery, eventsRequested, description }: Wanted) => ({
  method: delivery.method,
  endpointUrl: delivery.method === 'push' ? delivery.url : undefined,
  eventsRequested,
  description,
});

async function keepHeader(tx: Tx, { encryption }: Deps, id: string, { delivery }: Wanted): Promise<void> {
  if (delivery.method === 'poll' || delivery.authorization === null) return deleteSecret(tx, id);
  if (delivery.authorization === undefined) return;
  await putSecret(tx, id, encryption.seal(signalSecretName(id), delivery.authorization));
}

/** Of the address only its host: the rest may be a secret. */
const told = (change: string, stream: Stream) => ({
  change,
  method: stream.method,
  events: eventsDelivered(stream),
  ...(stream.endpointUrl !== undefined && { host: new URL(stream.endpointUrl).host }),
});
