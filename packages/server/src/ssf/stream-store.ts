import type { Queries, Tx } from '../store/database.ts';
import type { SignalStreamRow } from '../store/signal-tables.ts';
import type { DeliveryMethod } from './events.ts';
import type { Stream, StreamStatus } from './stream.ts';
import { type Subject, saysAddress } from './subject.ts';

export async function findStream(q: Queries, id: string): Promise<Stream | undefined> {
  const row = await q.get<SignalStreamRow>('select * from signal_streams where id = ?', [id]);
  return row && streamOf(row);
}

/** Oldest first. */
export async function streamsOfAgent(q: Queries, agent: string): Promise<Stream[]> {
  const rows = await q.all<SignalStreamRow>('select * from signal_streams where agent = ? order by id', [agent]);
  return rows.map(streamOf);
}

/** Oldest first. */
export async function selectStreams(
  q: Queries,
  filter: { org: string; agent?: string | undefined; after?: string | undefined; limit: number },
): Promise<Stream[]> {
  let query = q.kysely
    .selectFrom('signal_streams')
    .selectAll()
    .where('org', '=', filter.org)
    .orderBy('id')
    .limit(filter.limit);
  if (filter.agent !== undefined) query = query.where('agent', '=', filter.agent);
  if (filter.after !== undefined) query = query.where('id', '>', filter.after);
  return (await query.execute()).map(streamOf);
}

/** Those of an organization that want to hear something, in the order in which everybody locks them. */
export async function hearingStreams(q: Queries, org: string): Promise<Stream[]> {
  const rows = await q.all<SignalStreamRow>(
    "select * from signal_streams where org = ? and status <> 'disabled' order by id",
    [org],
  );
  return rows.map(streamOf);
}

/** Organizations somebody of whom wants to hear something. */
export async function hearingOrganizations(q: Queries): Promise<string[]> {
  const rows = await q.all<{ org: string }>("select distinct org from signal_streams where status <> 'disabled'");
  return rows.map(({ org }) => org);
}

export async function anyStream(q: Queries): Promise<boolean> {
  return (await q.get('select 1 as found from signal_streams limit 1')) !== undefined;
}

export async function insertStream(tx: Tx, stream: Stream): Promise<void> {
  await tx.run(
    `insert into signal_streams (id, org, agent, method, endpoint_url, events, description, default_subjects, status, reason, last, due_at,
       failures, fault, delivered_at, verified_at, created_at, updated_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, null, 0, null, null, null, ?, ?)`,
    [
      stream.id,
      stream.org,
      stream.agent,
      ...configured(stream),
      stream.defaultSubjects,
      stream.status,
      stream.reason ?? null,
      stream.createdAt,
      stream.updatedAt,
    ],
  );
}

/** What its receiver says of it, its status aside. A new address is tried at once. */
export async function updateStream(tx: Tx, stream: Stream): Promise<void> {
  await tx.run(
    'update signal_streams set method = ?, endpoint_url = ?, events = ?, description = ?, failures = 0, fault = null, updated_at = ? where id = ?',
    [...configured(stream), stream.updatedAt, stream.id],
  );
}

export async function setStreamStatus(
  tx: Tx,
  { id, status, reason, now }: { id: string; status: StreamStatus; reason: string | undefined; now: number },
): Promise<void> {
  await tx.run('update signal_streams set status = ?, reason = ?, updated_at = ? where id = ?', [
    status,
    reason ?? null,
    now,
    id,
  ]);
}

/** Takes the right to ask for a verification: false if somebody asked after `since` (ms). */
export async function claimVerification(
  tx: Tx,
  id: string,
  { now, since }: { now: number; since: number },
): Promise<boolean> {
  const row = await tx.get(
    'update signal_streams set verified_at = ? where id = ? and (verified_at is null or verified_at <= ?) returning id',
    [now, id, since],
  );
  return row !== undefined;
}

/** Removes it with all that waits in it. */
export async function deleteStream(tx: Tx, id: string): Promise<void> {
  for (const table of ['signal_sets', 'signal_subjects']) await tx.run(`delete from ${table} where stream = ?`, [id]);
  await tx.run('delete from signal_secrets where id = ?', [id]);
  await tx.run('delete from signal_streams where id = ?', [id]);
}

export async function countStreams(q: Queries, agent: string): Promise<number> {
  return (
    (await q.get<{ count: number }>('select count(*) as count from signal_streams where agent = ?', [agent]))?.count ??
    0
  );
}

// subjects

/** False: it was there already. */
export async function insertSubject(tx: Tx, stream: string, key: string, subject: Subject): Promise<boolean> {
  const row = await tx.get(
    'insert into signal_subjects (stream, id, complex, subject) values (?, ?, ?, ?) on conflict do nothing returning id',
    [stream, key, subject.format === 'complex' ? 1 : 0, JSON.stringify(subject)],
  );
  return row !== undefined;
}

export async function deleteSubject(tx: Tx, stream: string, key: string): Promise<void> {
  await tx.run('delete from signal_subjects where stream = ? and id = ?', [stream, key]);
}

export async function hasSubject(q: Queries, stream: string, key: string): Promise<boolean> {
  const found = await q.get('select 1 as found from signal_subjects where stream = ? and id = ?', [stream, key]);
  return found !== undefined;
}

/** What receivers of an organization listed by this address, in whatever it is part of, is forgotten: we name nobody by an address anyway. */
export async function forgetListed(tx: Tx, org: string, email: string): Promise<void> {
  const rows = await tx.all<{ stream: string; id: string; subject: string }>(
    'select stream, id, subject from signal_subjects where stream in (select id from signal_streams where org = ?)',
    [org],
  );
  for (const { stream, id, subject } of rows)
    if (saysAddress(JSON.parse(subject) as Subject, email)) await deleteSubject(tx, stream, id);
}

export async function complexSubjects(q: Queries, stream: string): Promise<Subject[]> {
  const rows = await q.all<{ subject: string }>(
    'select subject from signal_subjects where stream = ? and complex = 1 order by id',
    [stream],
  );
  return rows.map(({ subject }) => JSON.parse(subject) as Subject);
}

export async function countSubjects(q: Queries, stream: string): Promise<number> {
  const row = await q.get<{ count: number }>('select count(*) as count from signal_subjects where stream = ?', [
    stream,
  ]);
  return row?.count ?? 0;
}

// secrets

export async function putSecret(tx: Tx, id: string, sealed: string): Promise<void> {
  await tx.run(
    'insert into signal_secrets (id, value) values (?, ?) on conflict (id) do update set value = excluded.value',
    [id, sealed],
  );
}

export async function deleteSecret(tx: Tx, id: string): Promise<void> {
  await tx.run('delete from signal_secrets where id = ?', [id]);
}

export async function findSecret(q: Queries, id: string): Promise<string | undefined> {
  return (await q.get<{ value: string }>('select value from signal_secrets where id = ?', [id]))?.value;
}

const configured = (stream: Stream) => [
  stream.method,
  stream.endpointUrl ?? null,
  stream.eventsRequested === undefined ? null : JSON.stringify(stream.eventsRequested),
  stream.description ?? null,
];

export function streamOf(row: SignalStreamRow): Stream {
  return {
    id: row.id,
    org: row.org,
    agent: row.agent,
    method: row.method as DeliveryMethod,
    endpointUrl: row.endpoint_url ?? undefined,
    eventsRequested: row.events === null ? undefined : (JSON.parse(row.events) as string[]),
    description: row.description ?? undefined,
    defaultSubjects: row.default_subjects as Stream['defaultSubjects'],
    status: row.status as StreamStatus,
    reason: row.reason ?? undefined,
    last: row.last,
    dueAt: row.due_at ?? undefined,
    failures: row.failures,
    fault: row.fault ?? undefined,
    deliveredAt: row.delivered_at ?? undefined,
    verifiedAt: row.verified_at ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
