/**
 * One event per decision, in the transaction that the decision rests on. What is personal is sealed under a key of
 * the person that it is about, else of the owner; erasing that key erases them, and every proof still holds.
 */
import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import type { Random } from '../lib/random.ts';
import { remembered } from '../lib/remember.ts';
import type { Database, Tx } from '../store/database.ts';
import { sharedSecret } from '../store/secrets.ts';
import type { EventRow } from '../store/tables.ts';
import type { AuditEvent } from './event.ts';
import { blindIndex, leafOf, type Openings, seal, unseal } from './leaf.ts';
import {
  deleteSealingKey,
  type EventFilter,
  findSealingKey,
  insertEvent,
  insertSealingKey,
  selectEvents,
} from './store.ts';

interface AuditDeps {
  db: Database;
  clock: Clock;
  random: Random;
  audit: Audit;
}

/** What the log keeps in memory: opened at start, part of `deps`. */
export interface Audit {
  indexKey: Buffer;
  sealingKeys: ReturnType<typeof remembered<Buffer>>;
  blinds: Map<string, string>;
}

/** Whose key an event is sealed under. Got before the transaction, since it may have to be made. */
export interface Sealing {
  subject: string;
  key: Buffer;
}

/** Opens the log; makes the deployment's index key at the first start. */
export async function openAudit(deps: { db: Database; clock: Clock; random: Random }): Promise<Audit> {
  const indexKey = await sharedSecret(deps, 'blind-index');
  return { indexKey, sealingKeys: remembered(50_000), blinds: new Map() };
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

/**
 * Makes unreadable for good what the log keeps under the key of a person, and unfindable what is theirs. The leaves and
 * their proofs stay as they were. The caller moves the version of the registry, so that no node remembers the key.
 */
export async function eraseSealed(tx: Tx, subject: string): Promise<void> {
  await deleteSealingKey(tx, subject);
}

/** An event with its leaf made and what is personal sealed: all that is left is to insert it. */
export type PreparedEvent = Omit<EventRow, 'seq'>;

/**
 * Makes an event's bytes, so that inside a transaction nothing but an insert is left of it.
 * @param id a new event id, where the caller needs to know it before
 */
export function prepareEvent(
  deps: AuditDeps,
  sealing: Sealing,
  event: AuditEvent,
  id = newId(deps, 'event'),
): PreparedEvent {
  const at = deps.clock.now();
  const { leaf, openings } = leafOf(deps, event, { id, at });
  const { owner } = event.personal;
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
    owner_blind: typeof owner === 'string' ? blindOf(deps.audit, 'owner', owner) : null,
    leaf,
    sealed: seal(deps, sealing.key, id, openings),
    sealed_under: sealing.subject,
  };
}

/** Appends a prepared event to the log, in the caller's transaction. */
export async function appendPrepared(tx: Tx, event: PreparedEvent): Promise<void> {
  await insertEvent(tx, event);
}

/** Prepares an event and appends it to the log, in the caller's transaction. Answers its id. */
export async function appendEvent(tx: Tx, deps: AuditDeps, sealing: Sealing, event: AuditEvent): Promise<string> {
  const prepared = prepareEvent(deps, sealing, event);
  await insertEvent(tx, prepared);
  return prepared.id;
}

const blindsKept = 50_000;

function blindOf(audit: Audit, field: string, value: string): string {
  const name = `${field}\0${value}`;
  let blind = audit.blinds.get(name);
  if (blind === undefined) {
    blind = blindIndex(audit.indexKey, field, value);
    if (audit.blinds.size >= blindsKept) audit.blinds.clear();
    audit.blinds.set(name, blind);
  }
  return blind;
}

/** An event as people read it: the leaf, with its personal fields opened as far as they were not erased. */
export interface ReadEvent {
  id: string;
  leaf: Record<string, unknown>;
  personal: Record<string, unknown>;
  /** The person's (or owner's) key is gone: what was personal can't be read any more. */
  erased: boolean;
}

/** Events, newest first; `owner` is found by its blind index. */
export async function readEvents(
  deps: AuditDeps,
  filter: Omit<EventFilter, 'owner_blind'> & { owner?: string | undefined },
): Promise<ReadEvent[]> {
  const { owner, ...rest } = filter;
  const rows = await selectEvents(deps.db, {
    ...rest,
    owner_blind: owner === undefined ? undefined : blindOf(deps.audit, 'owner', owner),
  });
  const keys = new Map<string, Buffer | undefined>();
  const events: ReadEvent[] = [];
  for (const row of rows) {
    if (!keys.has(row.sealed_under)) {
      const key = await findSealingKey(deps.db, row.sealed_under);
      keys.set(row.sealed_under, key === undefined ? undefined : Buffer.from(key, 'base64url'));
    }
    events.push(opened(row, keys.get(row.sealed_under)));
  }
  return events;
}

function opened(row: EventRow, key: Buffer | undefined): ReadEvent {
  const readable = key !== undefined && row.sealed !== '';
  const openings: Openings = readable ? unseal(key, row.id, row.sealed) : {};
  const personal = Object.fromEntries(Object.entries(openings).map(([field, [, value]]) => [field, value]));
  return { id: row.id, leaf: JSON.parse(row.leaf) as Record<string, unknown>, personal, erased: !readable };
}
