/**
 * One event per decision, in the transaction that the decision rests on. What is personal is sealed under a key of
 * the person that it is about, else of the owner; erasing that key erases them, and every proof still holds.
 */
import { type BoundedCache, boundedCache } from '@bailiwick/protocol';
import type { AtRest } from '../lib/at-rest.ts';
import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import type { Random } from '../lib/random.ts';
import { type Remembered, remembered } from '../lib/remember.ts';
import type { Database, Queries, Tx } from '../store/database.ts';
import { sharedSecret } from '../store/secrets.ts';
import type { EventRow, PersonalRow } from '../store/tables.ts';
import type { AuditEvent } from './event.ts';
import { blindIndex, leafOf, type Personal, seal, unseal } from './leaf.ts';
import {
  deleteSealed,
  findPersonal,
  findSealingKey,
  insertEvent,
  insertEvents,
  insertPersonal,
  insertSealingKey,
} from './store.ts';

interface AuditDeps {
  db: Database;
  clock: Clock;
  random: Random;
  audit: Audit;
}

/** What the log keeps in memory: opened at start, part of `deps`. */
export interface Audit {
  /** Under which what is personal is found, and positions in the log are sealed. */
  indexKey: Buffer;
  sealingKeys: Remembered<Buffer>;
  /** Ids of personal content that is known to be stored. */
  stored: Remembered<true>;
  /** By what they stand for: HMACs that come again with every token. */
  blinds: BoundedCache<string>;
}

/** Whose key an event is sealed under. Got before the transaction, since it may have to be made. */
export interface Sealing {
  subject: string;
  key: Buffer;
}

/** Opens the log; makes the deployment's index key at the first start. */
export async function openAudit(deps: {
  db: Database;
  clock: Clock;
  random: Random;
  encryption: AtRest;
}): Promise<Audit> {
  const indexKey = await sharedSecret(deps, 'blind-index');
  return { indexKey, sealingKeys: remembered(50_000), stored: remembered(50_000), blinds: boundedCache(50_000) };
}

/**
 * The key under which events about `subject` (a person or an owning team) are sealed; made when there is none yet.
 * @param version of the registry, as `asOf` reads it: an erasure moves it, so that no node remembers an erased key
 */
export async function sealingFor(deps: AuditDeps, version: number, subject: string): Promise<Sealing> {
  const key = await deps.audit.sealingKeys.get(version, subject, async () => {
    const known = await findSealingKey(deps.db, subject);
    return known === undefined ? undefined : Buffer.from(known, 'base64url');
  });
  return { subject, key: key ?? (await makeSealingKey(deps, subject)) };
}

async function makeSealingKey(deps: AuditDeps, subject: string): Promise<Buffer> {
  const fresh = deps.random.bytes(32).toString('base64url');
  const stored = await deps.db.settle(async (tx) => {
    await insertSealingKey(tx, subject, fresh, deps.clock.now());
    return findSealingKey(tx, subject);
  });
  return Buffer.from(stored ?? fresh, 'base64url');
}

/** The same inside of `Database.transaction`, where it is known only then whom an event is about. */
export async function sealingWithin(
  tx: Tx,
  deps: Pick<AuditDeps, 'random' | 'clock'>,
  subject: string,
): Promise<Sealing> {
  await insertSealingKey(tx, subject, deps.random.bytes(32).toString('base64url'), deps.clock.now());
  return { subject, key: Buffer.from((await findSealingKey(tx, subject)) as string, 'base64url') };
}

/**
 * Makes unreadable for good what the log keeps under the key of a person. The leaves and their proofs stay as they were. The caller moves the
 * version of the registry, so that no node remembers the key, and makes unfindable what is theirs (`log/forget.ts`).
 */
export async function eraseSealed(tx: Tx, subject: string): Promise<void> {
  await deleteSealed(tx, subject);
}

/** An event with its leaf made: all that is left is to insert it. */
export type PreparedEvent = Omit<EventRow, 'arrival'>;

/**
 * Makes an event's bytes before the transaction, in which nothing but one insert is left of it. What is personal is
 * sealed and stored here, once for equal content: an owner, an address and a purpose come again with every token.
 * @param id a new event id
 */
export async function prepareEvent(
  deps: AuditDeps,
  version: number,
  sealing: Sealing,
  event: AuditEvent,
  id: string,
): Promise<PreparedEvent> {
  const prepared = eventRow(deps, sealing, event, id);
  const personal = prepared.personal as string;
  await deps.audit.stored.get(version, personal, async () => {
    await deps.db.settle((tx) => insertPersonal(tx, personalRow(deps, sealing, event, personal)));
    return true;
  });
  return prepared;
}

/** Appends a prepared event to the log, in the caller's transaction. */
export async function appendPrepared(tx: Tx, event: PreparedEvent): Promise<void> {
  await insertEvent(tx, event);
}

/** Appends prepared events, in their order, in one statement. */
export async function appendAllPrepared(tx: Tx, events: readonly PreparedEvent[]): Promise<void> {
  await insertEvents(tx, events);
}

/** Makes an event and appends it to the log, in the caller's transaction. Answers its id. */
export async function appendEvent(tx: Tx, deps: AuditDeps, sealing: Sealing, event: AuditEvent): Promise<string> {
  const row = eventRow(deps, sealing, event, newId(deps, 'event'));
  await insertPersonal(tx, personalRow(deps, sealing, event, row.personal as string));
  await insertEvent(tx, row);
  return row.id;
}

function eventRow(deps: AuditDeps, sealing: Sealing, event: AuditEvent, id: string): PreparedEvent {
  const at = deps.clock.now();
  return {
    id,
    at,
    org: event.org,
    type: event.type,
    outcome: event.outcome,
    agent: event.agent ?? null,
    target: event.target ?? null,
    resource: event.resource ?? null,
    jti: event.jti ?? null,
    leaf: leafOf(sealing.key, event, { id, at }),
    personal: blindOf(deps.audit, sealing.key, sealing.subject, JSON.stringify(event.personal)),
  };
}

function personalRow(deps: AuditDeps, { key, subject }: Sealing, event: AuditEvent, id: string): PersonalRow {
  return { id, subject, sealed: seal(deps, key, id, event.personal) };
}

function blindOf(audit: Audit, key: Buffer, field: string, value: string): string {
  const name = `${field}\0${value}`;
  let blind = audit.blinds.get(name);
  if (blind === undefined) {
    blind = blindIndex(key, field, value);
    audit.blinds.set(name, blind);
  }
  return blind;
}

/** An event as people read it: the leaf, with its personal fields as far as they were not erased. */
export interface ReadEvent {
  id: string;
  leaf: Record<string, unknown>;
  personal: Record<string, unknown>;
  /** The person's (or owner's) key is gone: what was personal can't be read any more. */
  erased: boolean;
}

/** The same with its place in the log, and whose key it is sealed under. */
export interface OpenedEvent extends ReadEvent {
  arrival: number;
  /** Undefined once that was erased. */
  sealedUnder: string | undefined;
}

/** Opens rows of the log, in their order. What was sealed is read in one statement, and once for equal contents. */
export async function openEvents(q: Queries, rows: readonly EventRow[]): Promise<OpenedEvent[]> {
  const refs = new Set(rows.flatMap(({ personal }) => personal ?? []));
  const contents = new Map<string, { subject: string; personal: Personal }>();
  for (const { id, subject, key, sealed } of await findPersonal(q, [...refs])) {
    contents.set(id, { subject, personal: unseal(Buffer.from(key, 'base64url'), id, sealed) });
  }
  return rows.map(({ id, arrival, leaf, personal }) => {
    const content = contents.get(personal ?? '');
    return {
      id,
      arrival,
      leaf: JSON.parse(leaf) as Record<string, unknown>,
      personal: content?.personal ?? {},
      erased: content === undefined,
      sealedUnder: content?.subject,
    };
  });
}
