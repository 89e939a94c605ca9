import type { Queries, Tx } from '../store/database.ts';
import type { EventRow, PersonalRow } from '../store/tables.ts';

export async function insertEvent(tx: Tx, row: Omit<EventRow, 'arrival'>): Promise<void> {
  await tx.run(
    `insert into events (id, at, org, type, outcome, agent, target, resource, jti, leaf, personal)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
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
      row.leaf,
      row.personal,
    ],
  );
}

const eventColumns = 'id, at, org, type, outcome, agent, target, resource, jti, leaf, personal';

// both databases read the rows from one JSON text: one statement, whatever there is of them
const insertEventsText = {
  sqlite: `insert into events (${eventColumns})
     select ${eventColumns
       .split(', ')
       .map((name) => `value ->> '${name}'`)
       .join(', ')} from json_each(?) order by key`,
  postgres: `insert into events (${eventColumns})
     select ${eventColumns} from jsonb_to_recordset(cast(? as jsonb)) as given
       (id text, at bigint, org text, type text, outcome text, agent text, target text, resource text, jti text, leaf text, personal text)`,
};

/** Inserts them in their order. */
export async function insertEvents(tx: Tx, rows: readonly Omit<EventRow, 'arrival'>[]): Promise<void> {
  if (rows.length > 0) await tx.run(insertEventsText[tx.dialect], [JSON.stringify(rows)]);
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
export async function deleteSealed(tx: Tx, subject: string): Promise<void> {
  await tx.run('delete from sealing_keys where subject = ?', [subject]);
  await tx.run('delete from personal where subject = ?', [subject]);
}

/** Keeps what is personal; the same id is always the same content. It was about to go, if nothing referred to it: then it stays. */
export async function insertPersonal(tx: Tx, row: PersonalRow): Promise<void> {
  const inserted = await tx.run('insert into personal (id, subject, sealed) values (?, ?, ?) on conflict do nothing', [
    row.id,
    row.subject,
    row.sealed,
  ]);
  if (inserted > 0) return;
  await tx.run('update personal set orphaned_at = null where id = ? and orphaned_at is not null', [row.id]);
}

/** Contents with these ids, as far as they are there and their keys are, in any order. */
export async function findPersonal(q: Queries, ids: readonly string[]): Promise<(PersonalRow & { key: string })[]> {
  if (ids.length === 0) return [];
  const list = q.dialect === 'sqlite' ? 'select value from json_each(?)' : idText;
  return q.all<PersonalRow & { key: string }>(
    `select p.id as id, p.subject as subject, p.sealed as sealed, k.key as key
       from personal p join sealing_keys k on k.subject = p.subject
      where p.id in (${list})`,
    [JSON.stringify(ids)],
  );
}

const idText = 'select jsonb_array_elements_text(cast(? as jsonb))';

/** The event with this id. */
export async function findEvent(q: Queries, id: string): Promise<EventRow | undefined> {
  return q.get<EventRow>('select * from events where id = ?', [id]);
}

/** The events with these arrivals, as far as they are there, in any order. */
export async function eventsAt(q: Queries, arrivals: readonly number[]): Promise<EventRow[]> {
  const list = q.dialect === 'sqlite' ? 'select value from json_each(?)' : atText;
  return q.all<EventRow>(`select * from events where arrival in (${list})`, [JSON.stringify(arrivals)]);
}

const atText = 'select value::bigint from jsonb_array_elements_text(cast(? as jsonb))';

/** In the order of their arrival: at most `limit` of those behind `after` that are not behind `upTo`. */
export async function eventsAfter(q: Queries, after: number, upTo: number, limit: number): Promise<EventRow[]> {
  return q.all<EventRow>('select * from events where arrival > ? and arrival <= ? order by arrival limit ?', [
    after,
    upTo,
    limit,
  ]);
}

/** When the first event at this place or behind it was made, in ms; undefined behind the last. */
export async function timeAt(q: Queries, arrival: number): Promise<number | undefined> {
  return (await q.get<{ at: number }>('select at from events where arrival >= ? order by arrival limit 1', [arrival]))
    ?.at;
}
