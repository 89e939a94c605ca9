import type { Queries, Tx } from '../store/database.ts';
import type { SignalSourceRow } from '../store/signal-tables.ts';
import type { HeardEvent } from './events.ts';
import type { PollSettings, Source, SubjectKind } from './source.ts';

export async function findSource(q: Queries, id: string): Promise<Source | undefined> {
  const row = await q.get<SignalSourceRow>('select * from signal_sources where id = ?', [id]);
  return row && sourceOf(row);
}

/** Oldest first. */
export async function selectSources(
  q: Queries,
  filter: { org: string; name?: string | undefined; after?: string | undefined; limit: number },
): Promise<Source[]> {
  let query = q.kysely
    .selectFrom('signal_sources')
    .selectAll()
    .where('org', '=', filter.org)
    .orderBy('id')
    .limit(filter.limit);
  if (filter.name !== undefined) query = query.where('name', '=', filter.name);
  if (filter.after !== undefined) query = query.where('id', '>', filter.after);
  return (await query.execute()).map(sourceOf);
}

/** Answers false if the organization has one of this name. */
export async function insertSource(tx: Tx, source: Source): Promise<boolean> {
  const row = await tx.get(
    `insert into signal_sources (id, org, name, issuer, jwks_uri, audience, events, subjects, authorization_hash, poll, jwks, jwks_at, jwks_tried_at,
       heard_at, due_at, failures, fault, created_at, updated_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, null, ?, 0, null, ?, ?) on conflict do nothing returning id`,
    [source.id, source.org, source.name, ...written(source), source.createdAt, source.updatedAt],
  );
  return row !== undefined;
}

/** Everything but its name. */
export async function updateSource(tx: Tx, source: Source): Promise<void> {
  await tx.run(
    `update signal_sources set issuer = ?, jwks_uri = ?, audience = ?, events = ?, subjects = ?, authorization_hash = ?, poll = ?, jwks = ?,
       jwks_at = ?, jwks_tried_at = ?, due_at = ?, failures = 0, fault = null, updated_at = ? where id = ?`,
    [...written(source), source.updatedAt, source.id],
  );
}

export async function deleteSource(tx: Tx, id: string): Promise<void> {
  await tx.run('delete from signal_secrets where id = ?', [id]);
  await tx.run('delete from signal_sources where id = ?', [id]);
}

/** Takes the right to fetch its keys: true for one of all who try, unless that was tried after `since` (ms). */
export async function claimKeys(tx: Tx, id: string, { now, since }: { now: number; since: number }): Promise<boolean> {
  const row = await tx.get(
    'update signal_sources set jwks_tried_at = ? where id = ? and (jwks_tried_at is null or jwks_tried_at <= ?) returning id',
    [now, id, since],
  );
  return row !== undefined;
}

export async function keepKeys(
  tx: Tx,
  source: Pick<Source, 'id' | 'jwksUri'>,
  { jwks, now }: { jwks: string; now: number },
): Promise<void> {
  await tx.run('update signal_sources set jwks = ?, jwks_at = ? where id = ? and jwks_uri = ?', [
    jwks,
    now,
    source.id,
    source.jwksUri,
  ]);
}

/** Something of it was accepted. */
export async function noteHeard(tx: Tx, id: string, now: number): Promise<void> {
  await tx.run('update signal_sources set heard_at = ? where id = ?', [now, id]);
}

export async function noteSourceFault(tx: Tx, id: string, fault: string): Promise<void> {
  await tx.run('update signal_sources set fault = ? where id = ?', [fault, id]);
}

/** The ids of sources that are to be asked by now (ms), of every organization; the longest due first. */
export async function dueSources(q: Queries, now: number, limit: number): Promise<string[]> {
  const rows = await q.all<{ id: string }>(
    'select id from signal_sources where due_at is not null and due_at <= ? order by due_at limit ?',
    [now, limit],
  );
  return rows.map(({ id }) => id);
}

/** When the next of them is due (ms). */
export async function nextSourceDue(q: Queries): Promise<number | undefined> {
  const row = await q.get<{ due: number | null }>(
    'select min(due_at) as due from signal_sources where due_at is not null',
  );
  return row?.due ?? undefined;
}

/** Takes a source for asking, until `until` (ms): exactly one of all nodes gets it. */
export async function claimSource(
  tx: Tx,
  id: string,
  { now, until }: { now: number; until: number },
): Promise<Source | undefined> {
  const row = await tx.get<SignalSourceRow>(
    'update signal_sources set due_at = ? where id = ? and due_at is not null and due_at <= ? returning *',
    [until, id, now],
  );
  return row && sourceOf(row);
}

/** Says when it is asked next (ms), and why the last question failed, if it did. False: somebody else asks by now. */
export async function asked(
  tx: Tx,
  { id, heldUntil }: { id: string; heldUntil: number },
  { dueAt, fault }: { dueAt: number; fault: string | undefined },
): Promise<boolean> {
  const failures = fault === undefined ? '0' : 'failures + 1';
  const changed = await tx.run(
    `update signal_sources set due_at = ?, fault = ?, failures = ${failures} where id = ? and due_at = ?`,
    [dueAt, fault ?? null, id, heldUntil],
  );
  return changed > 0;
}

const written = (source: Source) => [
  source.issuer,
  source.jwksUri,
  JSON.stringify(source.audience),
  JSON.stringify(source.events),
  JSON.stringify(source.subjects),
  source.authorizationHash ?? null,
  source.poll === undefined ? null : JSON.stringify(source.poll),
  source.jwks ?? null,
  source.jwksAt ?? null,
  source.jwksTriedAt ?? null,
  source.dueAt ?? null,
];

function sourceOf(row: SignalSourceRow): Source {
  return {
    id: row.id,
    org: row.org,
    name: row.name,
    issuer: row.issuer,
    jwksUri: row.jwks_uri,
    audience: JSON.parse(row.audience) as string[],
    events: JSON.parse(row.events) as HeardEvent[],
    subjects: JSON.parse(row.subjects) as SubjectKind[],
    authorizationHash: row.authorization_hash ?? undefined,
    poll: row.poll === null ? undefined : (JSON.parse(row.poll) as PollSettings),
    jwks: row.jwks ?? undefined,
    jwksAt: row.jwks_at ?? undefined,
    jwksTriedAt: row.jwks_tried_at ?? undefined,
    heardAt: row.heard_at ?? undefined,
    dueAt: row.due_at ?? undefined,
    failures: row.failures,
    fault: row.fault ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
