import type { Queries, Tx } from '../store/database.ts';
import type { RetiredEventRow } from '../store/log-tables.ts';
import type { EventRow } from '../store/tables.ts';

export interface RetentionRule {
  org: string;
  type: string;
  /** Null: for ever. */
  days: number | null;
}

export async function listRetention(q: Queries, org?: string): Promise<RetentionRule[]> {
  return org === undefined
    ? q.all<RetentionRule>('select org, type, days from log_retention')
    : q.all<RetentionRule>('select org, type, days from log_retention where org = ? order by type', [org]);
}

export async function setRetention(tx: Tx, { org, type, days }: RetentionRule, now: number): Promise<void> {
  await tx.run(
    `insert into log_retention (org, type, days, changed_at) values (?, ?, ?, ?)
     on conflict (org, type) do update set days = excluded.days, changed_at = excluded.changed_at`,
    [org, type, days, now],
  );
}

/** Then the default holds again. */
export async function unsetRetention(tx: Tx, org: string, type: string): Promise<void> {
  await tx.run('delete from log_retention where org = ? and type = ?', [org, type]);
}

export type OldEvent = Pick<EventRow, 'arrival' | 'at' | 'org' | 'type'>;

export async function selectOld(q: Queries, after: number, limit: number): Promise<OldEvent[]> {
  return q.all<OldEvent>('select arrival, at, org, type from events where arrival > ? order by arrival limit ?', [
    after,
    limit,
  ]);
}

/** The first arrival that some consumer still has to read, or has as a dead letter. */
export async function oldestUnread(q: Queries): Promise<number> {
  const reading = await q.get<{ position: number | null }>('select min(position) as position from log_consumers');
  const letter = await q.get<{ arrival: number | null }>('select min(arrival) as arrival from log_dead_letters');
  return Math.min(
    reading?.position == null ? Number.MAX_SAFE_INTEGER : reading.position + 1,
    letter?.arrival ?? Number.MAX_SAFE_INTEGER,
  );
}

/** In the order of their arrival. */
export async function rowsAt(tx: Tx, arrivals: readonly number[]): Promise<EventRow[]> {
  return tx.kysely.selectFrom('events').selectAll().where('arrival', 'in', arrivals).orderBy('arrival').execute();
}

export async function insertRetired(tx: Tx, row: RetiredEventRow): Promise<void> {
  await tx.run('insert into retired_events (arrival, id, at, org, type, leaf_hash) values (?, ?, ?, ?, ?, ?)', [
    row.arrival,
    row.id,
    row.at,
    row.org,
    row.type,
    row.leaf_hash,
  ]);
}

export async function deleteEvents(tx: Tx, arrivals: readonly number[]): Promise<void> {
  await tx.kysely.deleteFrom('events').where('arrival', 'in', arrivals).execute();
}
