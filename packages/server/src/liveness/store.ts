import type { Queries, Tx } from '../store/database.ts';

export type SubjectState = 'active' | 'suspended' | 'ended';

export interface SubjectRow {
  id: string;
  kind: string;
  parent: string | null;
  ends_at: number | null;
  state: SubjectState;
  ended_rev: number | null;
}

export interface Counter {
  rev: number;
  version: number;
}

export async function readCounter(q: Queries): Promise<Counter> {
  const row = await q.get<Counter>('select rev, version from counter where id = 1');
  if (!row) throw new Error('the counter is missing: the database was not migrated');
  return row;
}

/** @param versions by how much the version of the registry moves along: 0 for what no memory of the registry tells of */
export async function nextRev(tx: Tx, versions: 0 | 1): Promise<number> {
  const row = await tx.get<{ rev: number }>(
    'update counter set rev = rev + 1, version = version + ? where id = 1 returning rev',
    [versions],
  );
  if (!row) throw new Error('the counter is missing: the database was not migrated');
  return row.rev;
}

export async function nextVersion(tx: Tx): Promise<void> {
  await tx.run('update counter set version = version + 1 where id = 1');
}

export async function insertSubject(
  tx: Tx,
  subject: { id: string; kind: string; parent?: string | undefined; endsAt?: number | undefined; now: number },
): Promise<boolean> {
  const row = await tx.get(
    `insert into subjects (id, kind, parent, ends_at, state, changed_at) values (?, ?, ?, ?, 'active', ?)
     on conflict do nothing returning id`,
    [subject.id, subject.kind, subject.parent ?? null, subject.endsAt ?? null, subject.now],
  );
  return row !== undefined;
}

/** Moves a subject to `to` if it is in `from`; answers whether it was. */
export async function moveSubject(
  tx: Tx,
  move: { id: string; from: SubjectState; to: SubjectState; now: number },
): Promise<boolean> {
  const row = await tx.get('update subjects set state = ?, changed_at = ? where id = ? and state = ? returning id', [
    move.to,
    move.now,
    move.id,
    move.from,
  ]);
  return row !== undefined;
}

/** Notes the number under which a subject was last stopped. It stays when it is resumed: what is older stays dead. */
export async function setEndedRev(tx: Tx, id: string, rev: number): Promise<void> {
  await tx.run('update subjects set ended_rev = ? where id = ?', [rev, id]);
}

export async function setEnd(tx: Tx, id: string, endsAt: number | null, now: number): Promise<void> {
  await tx.run('update subjects set ends_at = ?, changed_at = ? where id = ?', [endsAt, now, id]);
}

export async function findSubject(q: Queries, id: string): Promise<SubjectRow | undefined> {
  return q.get<SubjectRow>('select id, kind, parent, ends_at, state, ended_rev from subjects where id = ?', [id]);
}

/** What a subject is, and whose: its organization, and the agent that it is or hangs on. */
export interface Belonging {
  kind: string | null;
  org: string | null;
  agent: string | null;
}

export async function belongingOf(q: Queries, id: string): Promise<Belonging> {
  const chain = await q.all<{ id: string; kind: string }>(
    `with recursive up (id, kind, parent) as (
       select id, kind, parent from subjects where id = ?
       union all
       select s.id, s.kind, s.parent from up join subjects s on s.id = up.parent
     )
     select id, kind from up`,
    [id],
  );
  const first = (kind: string) => chain.find((one) => one.kind === kind)?.id ?? null;
  return {
    kind: chain.find((one) => one.id === id)?.kind ?? null,
    org: first('organization'),
    agent: first('agent'),
  };
}

export async function insertRevocation(
  tx: Tx,
  row: {
    rev: number;
    subject: string;
    tag: string;
    effect: string;
    reason: string;
    by: string;
    now: number;
  } & Belonging,
): Promise<void> {
  await tx.run(
    `insert into revocations (rev, subject, tag, effect, reason, by_agent, at, kind, org, agent)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [row.rev, row.subject, row.tag, row.effect, row.reason, row.by, row.now, row.kind, row.org, row.agent],
  );
}

/** The number of the last revocation, read inside the issuing transaction. */
export async function revIn(tx: Tx): Promise<number> {
  return (await readCounter(tx)).rev;
}

/** Whether anything among `tags` was revoked after `rev`. */
export async function anyRevokedSince(q: Queries, tags: readonly string[], rev: number): Promise<boolean> {
  for (const tag of tags) {
    const row = await q.get('select rev from revocations where tag = ? and rev > ? limit 1', [tag, rev]);
    if (row) return true;
  }
  return false;
}

/** When a subject was last suspended, in milliseconds; undefined if it never was. */
export async function lastSuspension(q: Queries, id: string, tag: string): Promise<number | undefined> {
  const row = await q.get<{ at: number }>(
    `select at from revocations where tag = ? and subject = ? and effect = 'suspended' order by rev desc limit 1`,
    [tag, id],
  );
  return row?.at;
}

/** Forgets a subject and its revocations, with how they were answered. */
export async function deleteSubject(tx: Tx, id: string, tag: string): Promise<void> {
  await tx.run('delete from subjects where id = ?', [id]);
  await tx.run(
    'delete from revocation_answers where rev in (select rev from revocations where tag = ? and subject = ?)',
    [tag, id],
  );
  await tx.run('delete from revocations where tag = ? and subject = ?', [tag, id]);
}
