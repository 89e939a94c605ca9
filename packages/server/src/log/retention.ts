/**
 * How long events are kept: by organization and type. What is over goes in bounded parts, and of each event there remain its leaf's hash,
 * id, type, time and arrival, so that a tree over the log and every proof in it still hold.
 */
import { createHash } from 'node:crypto';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { type EventType, eventTypes } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import { asOf } from '../liveness/liveness.ts';
import type { Tx } from '../store/database.ts';
import type { EventRow } from '../store/tables.ts';
import { forgetEvents } from './forget.ts';
import {
  deleteEvents,
  insertRetired,
  listRetention,
  type OldEvent,
  oldestUnread,
  rowsAt,
  selectOld,
} from './retention-store.ts';

const dayMs = 86_400_000;

/** Days; what isn't here is kept for ever. Uses are by far the most numerous, and thirteen months are what auditors commonly ask for. */
export const keptByDefault: Readonly<Partial<Record<EventType, number>>> = { 'access.used': 400 };

/** Days: a report of use is matched with the issue of its token, up to seven days later. */
export const keptAtLeast: Readonly<Partial<Record<EventType, number>>> = { 'token.issued': 8 };

/** What says why something is no longer there stays. */
export const keptForEver: readonly EventType[] = [
  'log.retired',
  'log.retention_changed',
  'person.erased',
  'export.changed',
];

/** Stands for every type that has no rule of its own. */
export const everyType = '*';

/** How long something whose time is over waits at most for exporters that have not read it yet. */
export const waitsForReadersMs = 30 * dayMs;

/** Rules of one organization, by type; null: for ever. */
export type Retention = ReadonlyMap<string, number | null>;

/** Days; undefined: for ever. */
export function daysKept(rules: Retention, type: string): number | undefined {
  if ((keptForEver as readonly string[]).includes(type)) return undefined;
  const rule = rules.has(type) ? rules.get(type) : rules.get(everyType);
  if (rule === null) return undefined;
  const days = rule ?? keptByDefault[type as EventType];
  return days === undefined ? undefined : Math.max(days, keptAtLeast[type as EventType] ?? 1);
}

/** Arrivals that are looked at in one step, and how many steps one round takes. */
const window = 5_000;
const steps = 20;
/** Events that go in one transaction. */
const part = 250;

export interface Retiring {
  /** Looked at up to here. */
  cursor: number;
}

/** Where rounds begin: at the log's beginning, from which each goes on where the last one stopped. */
export const newRetiring = (): Retiring => ({ cursor: 0 });

/**
 * One round: removes what is over in the next part of the log. Answers how many events went.
 * What an exporter or other consumer has not read waits for it, for 30 days at most.
 */
export async function retire(deps: Deps, retiring: Retiring): Promise<number> {
  const now = deps.clock.now();
  const rules = await rulesOf(deps);
  let removed = 0;
  for (let step = 0; step < steps; step++) {
    const rows = await selectOld(deps.db, retiring.cursor, window);
    const last = rows.at(-1);
    const shortest = shortestOf(rules);
    if (last === undefined || rows.every(({ at }) => at > now - shortest * dayMs)) {
      retiring.cursor = 0; // all behind it are younger still
      return removed;
    }
    const unread = await oldestUnread(deps.db);
    const over = rows.filter(({ org, type, at, arrival }) => {
      const days = daysKept(rules.get(org) ?? noRules, type);
      if (days === undefined) return false;
      const end = at + days * dayMs;
      return end <= now && (arrival < unread || end + waitsForReadersMs <= now);
    });
    for (let i = 0; i < over.length; i += part) removed += await retirePart(deps, over.slice(i, i + part));
    retiring.cursor = last.arrival;
  }
  return removed;
}

const noRules: Retention = new Map();

async function rulesOf(deps: Deps): Promise<Map<string, Map<string, number | null>>> {
  const rules = new Map<string, Map<string, number | null>>();
  for (const { org, type, days } of await listRetention(deps.db)) {
    const own = rules.get(org) ?? new Map<string, number | null>();
    rules.set(org, own.set(type, days));
  }
  return rules;
}

function shortestOf(rules: ReadonlyMap<string, Retention>): number {
  const given = [...rules.values()].flatMap((own) => [...own.values()]).filter((days) => days !== null);
  return Math.min(...given, ...Object.values(keptByDefault));
}

/** All of it or nothing, with the events that tell of it: one for each organization. */
async function retirePart(deps: Deps, over: readonly OldEvent[]): Promise<number> {
  const { version } = await asOf(deps.db);
  const orgs = [...new Set(over.map(({ org }) => org))];
  const sealings = new Map(
    await Promise.all(orgs.map(async (org) => [org, await sealingFor(deps, version, org)] as const)),
  );
  return deps.db.settle(async (tx) => {
    const rows = await rowsAt(
      tx,
      over.map(({ arrival }) => arrival),
    );
    for (const [org, sealing] of sealings) {
      const own = rows.filter((row) => row.org === org);
      if (own.length === 0) continue; // another node was faster
      // told first: so the greatest arrival is never among those that go, and no number is given twice
      await appendEvent(tx, deps, sealing, {
        type: 'log.retired',
        outcome: 'allowed',
        org,
        reason: 'their time is over',
        decided_on: { types: countsOf(own), arrivals: [own[0]?.arrival, own.at(-1)?.arrival] },
        personal: {},
      });
    }
    await remove(tx, deps, rows);
    return rows.length;
  }, 'log retention');
}

async function remove(tx: Tx, deps: Deps, rows: readonly EventRow[]): Promise<void> {
  await forgetEvents(tx, deps, rows);
  for (const row of rows) {
    const { arrival, id, at, org, type, leaf } = row;
    await insertRetired(tx, { arrival, id, at, org, type, leaf_hash: leafHash(leaf) });
  }
  await deleteEvents(
    tx,
    rows.map(({ arrival }) => arrival),
  );
}

function countsOf(rows: readonly EventRow[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of rows) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

/** @see RFC 6962 §2.1 */
export const leafHash = (leaf: string): string =>
  createHash('sha256')
    .update(Buffer.from([0]))
    .update(leaf, 'utf8')
    .digest('base64url');

/** Whether a type is one that rules can be made for. */
export const isRuled = (type: string): boolean =>
  type === everyType || (type in eventTypes && !(keptForEver as readonly string[]).includes(type));
