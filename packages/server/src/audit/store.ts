import { issueEventId } from '../lib/ids.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { EventRow, PersonalRow } from '../store/tables.ts';

export async function insertEvent(tx: Tx, row: Omit<EventRow, 'arrival'>): Promise<void> {
  await tx.run(
    `insert into events (id, at, org, type, outcome, agent, target, resource, jti, owner_blind, leaf, personal)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      row.id,
      row.at,
      row.org,
      row.type,
      row.outcome,
      row.agent,
      row.target,
      row.resource,
      row.jti,
      row.owner_blind,
      row.leaf,
      row.personal,
    ],
  );
}

export async function findSealingKey(q: Queries, subject: string): Promise<string | undefined> {
  return (await q.get<{ key: string }>('select key from sealing_keys where subject = ?', [subject]))?.key;
}

/** Keeps the key that was there first, whoever asks at the same time. */
export async function insertSealingKey(tx: Tx, subject: string, key: string, now: number): Promise<void> {
  await tx.run('insert into sealing_keys (subject, key, created_at) values (?, ?, ?) on conflict do nothing', [
    subject,
    key,
    now,
  ]);
}

/** Deletes the key, and with it what could find or open what was sealed under it. */
export async function deleteSealed(tx: Tx, subject: string, ownerBlind: string): Promise<void> {
  await tx.run('delete from sealing_keys where subject = ?', [subject]);
  await tx.run('delete from personal where subject = ?', [subject]);
  await tx.run('update events set owner_blind = null where owner_blind = ?', [ownerBlind]);
}

/** Keeps what is personal; the same id is always the same content. */
export async function insertPersonal(tx: Tx, row: PersonalRow): Promise<void> {
  await tx.run('insert into personal (id, subject, sealed) values (?, ?, ?) on conflict do nothing', [
    row.id,
    row.subject,
    row.sealed,
  ]);
}

export async function findPersonal(q: Queries, id: string): Promise<(PersonalRow & { key: string }) | undefined> {
  return q.get<PersonalRow & { key: string }>(
    `select p.id as id, p.subject as subject, p.sealed as sealed, k.key as key
       from personal p join sealing_keys k on k.subject = p.subject
      where p.id = ?`,
    [id],
  );
}

export interface EventFilter {
  id?: string | undefined;
  org?: string | undefined;
  type?: string | undefined;
  /** Of any of these types. */
  types?: readonly string[] | undefined;
  outcome?: string | undefined;
  agent?: string | undefined;
  target?: string | undefined;
  /** Done by this agent, or to it: its credentials and instances included. Any other id: what was done to that. */
  about?: string | undefined;
  resource?: string | undefined;
  jti?: string | undefined;
  owner_blind?: string | undefined;
  /** Milliseconds, inclusive. */
  since?: number | undefined;
  /** Milliseconds, exclusive. */
  until?: number | undefined;
  /** Only events older than this id. */
  before?: string | undefined;
  limit: number;
}

/** Newest first. */
export async function selectEvents(q: Queries, filter: EventFilter): Promise<EventRow[]> {
  if (filter.about === undefined) return selectWhere(q, filter);
  // one query for each index: joined by "or", a long log would be read from its end until enough is found
  const found = new Map<string, EventRow>();
  for (const side of ['agent', 'target', 'credentials', 'instances'] as const) {
    for (const row of await selectWhere(q, filter, side)) found.set(row.id, row);
  }
  return [...found.values()].toSorted((a, b) => (a.id < b.id ? 1 : -1)).slice(0, filter.limit);
}

/** @param side in which way it is about `filter.about` */
async function selectWhere(
  q: Queries,
  filter: EventFilter,
  side?: 'agent' | 'target' | 'credentials' | 'instances',
): Promise<EventRow[]> {
  let query = q.kysely.selectFrom('events').selectAll().orderBy('id', 'desc').limit(filter.limit);
  for (const column of ['id', 'org', 'type', 'outcome', 'agent', 'target', 'resource', 'owner_blind'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(column, '=', value);
  }
  const { jti, types, about = '' } = filter;
  if (types !== undefined) query = query.where('type', 'in', types);
  if (side === 'agent' || side === 'target') query = query.where(side, '=', about);
  else if (side !== undefined) {
    query = query.where('target', 'in', q.kysely.selectFrom(side).select('id').where('agent', '=', about));
  }
  if (jti !== undefined) {
    // the event of its issue has the token's own id: the index on jti need not hold it
    query = query.where((or) =>
      or.or([or('id', '=', issueEventId(jti)), or.and([or('jti', '=', jti), or('type', '<>', 'token.issued')])]),
    );
  }
  if (filter.since !== undefined) query = query.where('at', '>=', filter.since);
  if (filter.until !== undefined) query = query.where('at', '<', filter.until);
  if (filter.before !== undefined) query = query.where('id', '<', filter.before);
  return query.execute();
}
