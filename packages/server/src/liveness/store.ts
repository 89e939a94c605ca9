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

/**
 * Stops a subject that may still be stopped so: suspends what is active, ends what hasn't ended. Notes the number that the revocation is about to take; it stays
 * when the subject is resumed, for what is older stays dead. Only inside `Database.transaction`, where nobody else takes a number.
 */
export async function stopSubject(
  tx: Tx,
  stop: { id: string; to: 'suspended' | 'ended'; now: number },
): Promise<{ kind: string; rev: number } | undefined> {
  const { id, to, now } = stop;
  return tx.get(
    `update subjects set state = ?, changed_at = ?, ended_rev = (select rev + 1 from counter where id = 1)
     where id = ? and (state = 'active' or (state = 'suspended' and ? = 'ended')) returning kind, ended_rev as rev`,
    [to, now, id, to],
  );
}

/** Says of something that nobody had registered that it has ended, under the number that the revocation is about to take; answers that, or undefined if it had ended before. */
export async function insertEnded(
  tx: Tx,
  subject: { id: string; kind: string; parent?: string | undefined; endsAt?: number | undefined; now: number },
): Promise<number | undefined> {
  const row = await tx.get<{ rev: number }>(
    `insert into subjects (id, kind, parent, ends_at, state, changed_at, ended_rev)
     select ?, ?, ?, ?, 'ended', ?, rev + 1 from counter where id = 1
     on conflict do nothing returning ended_rev as rev`,
    [subject.id, subject.kind, subject.parent ?? null, subject.endsAt ?? null, subject.now],
  );
  return row?.rev;
}

export async function setEnd(tx: Tx, id: string, endsAt: number | null, now: number): Promise<void> {
  await tx.run('update subjects set ends_at = ?, changed_at = ? where id = ?', [endsAt, now, id]);
}

export async function findSubject(q: Queries, id: string): Promise<SubjectRow | undefined> {
  return q.get<SubjectRow>('select id, kind, parent, ends_at, state, ended_rev from subjects where id = ?', [id]);
}

/** Those of these that are there, by id. */
export async function findSubjects(q: Queries, ids: readonly string[]): Promise<Map<string, SubjectRow>> {
  const found = new Map<string, SubjectRow>();
  for (let i = 0; i < ids.length; i += askedAtOnce) {
    const rows = await q.all<SubjectRow>(someSubjects, filled(ids.slice(i, i + askedAtOnce)));
    for (const row of rows) found.set(row.id, row);
  }
  return found;
}

/** What a subject is, and whose: its organization, and the agent that it is or hangs on. */
export interface Belonging {
  kind: string | null;
  org: string | null;
  agent: string | null;
}

/** The subject with this id, and what it hangs on: one row, with nulls for what isn't known. */
const belonging = `with recursive up (id, kind, parent, above) as (
    select id, kind, parent, 0 from subjects where id = ?
    union all
    select s.id, s.kind, s.parent, up.above + 1 from up join subjects s on s.id = up.parent
  ), belonging (kind, org, agent) as (
    select (select kind from up where above = 0),
      (select id from up where kind = 'organization' order by above limit 1),
      (select id from up where kind = 'agent' order by above limit 1)
  )`;

export async function belongingOf(q: Queries, id: string): Promise<Belonging> {
  const row = await q.get<Belonging>(`${belonging} select kind, org, agent from belonging`, [id]);
  return row ?? { kind: null, org: null, agent: null };
}

/** Notes a revocation, with what its subject is and whose. */
export async function insertRevocation(
  tx: Tx,
  row: { rev: number; subject: string; tag: string; effect: string; reason: string; by: string; now: number },
): Promise<void> {
  await tx.run(
    `${belonging}
     insert into revocations (rev, subject, tag, effect, reason, by_agent, at, kind, org, agent)
     select ?, ?, ?, ?, ?, ?, ?, kind, org, agent from belonging`,
    [row.subject, row.rev, row.subject, row.tag, row.effect, row.reason, row.by, row.now],
  );
}

/** The number of the last revocation, read inside the issuing transaction. */
export async function revIn(tx: Tx): Promise<number> {
  return (await readCounter(tx)).rev;
}

/** So many ids or tags are asked about at once: one length, so that a statement is prepared once. */
const askedAtOnce = 8;
const listed = `(${Array(askedAtOnce).fill('?')})`;

/** As many as are asked about at once: a short one is filled up with what it has already. */
const filled = (some: readonly string[]) =>
  Array.from({ length: askedAtOnce }, (_, at) => some[at] ?? (some[0] as string));

const someSubjects = `select id, kind, parent, ends_at, state, ended_rev from subjects where id in ${listed}`;
const anyRevoked = `select rev from revocations where rev > ? and tag in ${listed} limit 1`;

/** Whether anything among `tags` was revoked after `rev`. */
export async function anyRevokedSince(q: Queries, tags: readonly string[], rev: number): Promise<boolean> {
  for (let i = 0; i < tags.length; i += askedAtOnce) {
    if (await q.get(anyRevoked, [rev, ...filled(tags.slice(i, i + askedAtOnce))])) return true;
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

/** Ids of tokens that were ended, and whose time was up before `time` (ms) besides: at most so many. */
export async function endedTokensBefore(q: Queries, time: number, atMost: number): Promise<string[]> {
  const rows = await q.all<{ id: string }>(
    `select id from subjects where kind = 'token' and ends_at < ? order by ends_at limit ?`,
    [time, atMost],
  );
  return rows.map(({ id }) => id);
}

/** Forgets subjects and their revocations, with how they were answered. */
export async function deleteSubjects(tx: Tx, subjects: readonly { id: string; tag: string }[]): Promise<void> {
  if (subjects.length === 0) return;
  const [ids, tags] = [subjects.map(({ id }) => id), subjects.map(({ tag }) => tag)];
  const all = `(${subjects.map(() => '?').join(', ')})`;
  const theirs = `from revocations where tag in ${all} and subject in ${all}`; // a tag finds them, and may be another's too
  await tx.run(`delete from subjects where id in ${all}`, ids);
  await tx.run(`delete from revocation_answers where rev in (select rev ${theirs})`, [...tags, ...ids]);
  await tx.run(`delete ${theirs}`, [...tags, ...ids]);
}
