/**
 * From the log into streams: one consumer of the log for all of them puts what is to be told into the streams that want it, and from there each
 * goes its own way. Told again after a crash, a SET has the same id, so nothing is lost and nothing counts twice.
 */
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { asOf } from '../liveness/liveness.ts';
import { createConsumer, removeConsumer } from '../log/consumer.ts';
import type { StoredEvent } from '../log/read-on.ts';
import type { Tx } from '../store/database.ts';
import { deliveryMethods, streamUpdatedEvent } from './events.ts';
import { countSets, dropSets, enqueue } from './set-store.ts';
import { audienceOfStream, jtiOfSet, type SetClaims, type Stream, type StreamStatus } from './stream.ts';
import {
  anyStream,
  complexSubjects,
  deleteStream,
  hasSubject,
  hearingOrganizations,
  hearingStreams,
  setStreamStatus,
  streamsOfAgent,
} from './stream-store.ts';
import { matches, type Subject, subjectKey, takesIn } from './subject.ts';
import { everybodysTypes, type Signal, signalsOf, toldTypes } from './tell.ts';

/** On which topic nodes hear that something was put into a stream: the payload is its id. */
export const signalsTopic = 'signals';

/** On which topic nodes hear that there is a first stream. */
export const streamsTopic = 'signal-streams';

const consumerName = 'signals';
const batch = 100;
const timeoutMs = 30_000;

/** In the transaction that makes a stream: what is in the log by now is not for it, nor for those that were here before and are gone. */
export async function beginTelling(tx: Tx, deps: Deps): Promise<void> {
  if (!(await anyStream(tx))) await removeConsumer(tx, consumerName);
  await createConsumer(tx, { name: consumerName, from: 'now', now: deps.clock.now() });
  await tx.notify(streamsTopic, '');
}

/** Begins to put what is told into streams, once there is one. The returned function ends it. */
export function startTelling(deps: Deps): () => void {
  let telling = false;
  const look = async (): Promise<void> => {
    if (telling || !(await anyStream(deps.db))) return;
    telling = true;
    deps.consumers.add({
      name: consumerName,
      wants: { types: toldTypes, outcome: 'allowed' },
      batch,
      timeoutMs,
      deliver: (events) => tell(deps, events),
    });
  };
  const looked = () =>
    void look().catch((err) => deps.log.error({ err }, 'streams of signals could not be looked for'));
  looked();
  return deps.db.listen(streamsTopic, looked);
}

async function tell(deps: Deps, events: readonly StoredEvent[]): Promise<void> {
  const world = { q: deps.db, config: deps.config };
  const byOrg = new Map<string, { event: StoredEvent; signals: Signal[] }[]>();
  for (const event of events) {
    for (const org of everybodysTypes.includes(event.type) ? await hearingOrganizations(deps.db) : [event.org]) {
      const signals = await signalsOf(world, { ...event, org });
      if (signals.length > 0) byOrg.set(org, [...(byOrg.get(org) ?? []), { event, signals }]);
    }
  }
  for (const event of events) if (event.type === 'agent.retired') await endStreams(deps, event);
  for (const [org, told] of byOrg) {
    await deps.db.settle(async (tx) => {
      for (const stream of await hearingStreams(tx, org)) await tellStream(tx, deps, stream, told);
    });
  }
}

/** Who was retired hears nothing more, of itself neither: its streams go, with all that waits in them. Once, however often the event comes. */
async function endStreams(deps: Deps, { org, target }: StoredEvent): Promise<void> {
  const streams = target === null ? [] : await streamsOfAgent(deps.db, target);
  if (streams.length === 0) return;
  const sealing = await sealingFor(deps, (await asOf(deps.db)).version, org);
  await deps.db.settle(async (tx) => {
    for (const { id, agent, method } of await streamsOfAgent(tx, target as string)) {
      await deleteStream(tx, id);
      await appendEvent(tx, deps, sealing, {
        type: 'signal.stream_changed',
        outcome: 'allowed',
        org,
        target: id,
        reason: 'its receiver was retired',
        decided_on: { changed: { change: 'ended', agent, method: deliveryMethods[method] } },
        personal: {},
      });
    }
  });
}

async function tellStream(
  tx: Tx,
  deps: Deps,
  stream: Stream,
  told: readonly { event: StoredEvent; signals: readonly Signal[] }[],
): Promise<void> {
  const now = deps.clock.now();
  const sets: { claims: SetClaims; event: string }[] = [];
  for (const { event, signals } of told) {
    if (cameBefore(event.id, stream.id)) continue;
    for (const { type, subject, about, says, part, txn } of signals) {
      if (stream.eventsRequested?.includes(type) === false) continue;
      if (!(await isMeant(tx, stream, subject, about))) continue;
      const jti = jtiOfSet(stream.id, event.id, type, part);
      sets.push({ event: type, claims: setOf(deps, stream, { jti, txn, subject, type, says }) });
    }
  }
  if (sets.length === 0) return;
  if ((await countSets(tx, stream.id)) + sets.length > deps.config.signals.held) {
    await changeStatus(tx, deps, stream, { status: 'disabled', reason: 'too much was waiting for the receiver' }, 'us');
    deps.log.warn(
      { stream: stream.id, org: stream.org },
      'a stream of signals was disabled: its receiver has not fetched or taken them for too long',
    );
    return;
  }
  await enqueue(tx, stream.id, sets, now);
  await tx.notify(signalsTopic, stream.id);
}

/** Ids of all kinds are in the order in which they were made. */
const cameBefore = (one: string, other: string): boolean => one.slice(4) < other.slice(4);

/** Whether a stream tells of somebody. @see SSF 1.0 §8.1.3 */
async function isMeant(tx: Tx, stream: Stream, subject: Subject, about: readonly Subject[]): Promise<boolean> {
  const listed = async (): Promise<boolean> => {
    for (const one of [subject, ...about]) if (await hasSubject(tx, stream.id, subjectKey(one))) return true;
    const complex = await complexSubjects(tx, stream.id);
    // what is wider than its subject stands for it only as a whole: one agent of a tenant is not the tenant
    return complex.some((one) => matches(one, subject) || about.some((wider) => takesIn(one, wider)));
  };
  return (await listed()) === (stream.defaultSubjects === 'NONE');
}

/** A SET of a stream. `iat` is when it was put there. */
export function setOf(
  { config, clock }: Pick<Deps, 'config' | 'clock'>,
  stream: Stream,
  set: { jti: string; txn: string; subject: Subject; type: string; says: Readonly<Record<string, unknown>> },
): SetClaims {
  return {
    iss: config.issuer,
    aud: audienceOfStream(config, stream),
    iat: Math.floor(clock.now() / 1000),
    jti: set.jti,
    txn: set.txn,
    sub_id: set.subject,
    events: { [set.type]: set.says },
  };
}

/**
 * Changes the status of a stream. What we change ourselves the receiver is told, whatever the status is. What is disabled holds nothing.
 * @see SSF 1.0 §8.1.2, §8.1.5
 */
export async function changeStatus(
  tx: Tx,
  deps: Deps,
  stream: Stream,
  { status, reason }: { status: StreamStatus; reason: string | undefined },
  by: 'receiver' | 'us',
): Promise<void> {
  const now = deps.clock.now();
  await setStreamStatus(tx, { id: stream.id, status, reason, now });
  if (status === 'disabled') await dropSets(tx, stream.id);
  if (by === 'us') {
    const txn = newId(deps, 'event');
    const says = { status, ...(reason !== undefined && { reason }) };
    const subject: Subject = { format: 'opaque', id: stream.id };
    const jti = jtiOfSet(stream.id, txn, streamUpdatedEvent);
    const claims = setOf(deps, stream, { jti, txn, subject, type: streamUpdatedEvent, says });
    await enqueue(tx, stream.id, [{ claims, event: streamUpdatedEvent, control: true }], now);
  }
  await tx.notify(signalsTopic, stream.id);
}
