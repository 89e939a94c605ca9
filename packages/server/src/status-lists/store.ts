import type { JwsAlgorithm } from '@bailiwick/protocol';
import type { Queries, Tx } from '../store/database.ts';

/** A list as it was opened. Times are milliseconds. */
export interface OpenList {
  id: string;
  resource: string;
  alg: JwsAlgorithm;
  /** Hex: says in which order the indices are given away. */
  seed: string;
  /** No more tokens get an index after it. */
  closesAt: number;
  /** Every token in it has expired by then. */
  endsAt: number;
}

/** Some indices of a list, which nobody else is given: those from `from` on in the order of its seed. */
export interface TakenIndices {
  list: string;
  seed: string;
  from: number;
  closesAt: number;
}

interface TakenRow {
  id: string;
  seed: string;
  taken: number;
  closes_at: number;
}

/** Takes `count` indices of an open list of the resource, if one has them. One statement: nobody else gets the same. */
export async function takeIndices(
  tx: Tx,
  wanted: { resource: string; alg: JwsAlgorithm; count: number; size: number; now: number },
): Promise<TakenIndices | undefined> {
  const { resource, alg, count, size, now } = wanted;
  const row = await tx.get<TakenRow>(
    `update status_lists set taken = taken + ? where taken + ? <= ? and id =
       (select id from status_lists where resource = ? and alg = ? and closes_at > ? and taken + ? <= ? order by closes_at, id limit 1)
     returning id, seed, taken, closes_at`,
    [count, count, size, resource, alg, now, count, size],
  );
  return row && { list: row.id, seed: row.seed, from: row.taken - count, closesAt: row.closes_at };
}

/** @param taken how many of its indices are given away with that */
export async function insertList(tx: Tx, list: OpenList, taken: number): Promise<void> {
  await tx.run(
    'insert into status_lists (id, resource, alg, seed, taken, closes_at, ends_at) values (?, ?, ?, ?, ?, ?, ?)',
    [list.id, list.resource, list.alg, list.seed, taken, list.closesAt, list.endsAt],
  );
}

/** What a token in a list rests on. */
export interface ListedToken {
  idx: number;
  /** The revocation number as of which it was issued. */
  rev: number;
  /** Milliseconds. */
  expiresAt: number;
  /** Its own tag. */
  tag: string;
  /** The tags that others have too, one after the other. */
  restsOn: string;
}

export async function insertListed(tx: Tx, list: string, token: ListedToken): Promise<void> {
  await tx.run('insert into status_entries (list, idx, rev, expires_at, tag, rests_on) values (?, ?, ?, ?, ?, ?)', [
    list,
    token.idx,
    token.rev,
    token.expiresAt,
    token.tag,
    token.restsOn,
  ]);
}

/** The tokens of a list, those that have expired too. */
export async function listedTokens(q: Queries, list: string): Promise<ListedToken[]> {
  return q.all(
    'select idx, rev, expires_at as "expiresAt", tag, rests_on as "restsOn" from status_entries where list = ?',
    [list],
  );
}

/** Where a token of a resource stands, by its own tag. Looks through the living lists of the resource: for rare questions. */
export async function findListed(
  q: Queries,
  { resource, tag, now }: { resource: string; tag: string; now: number },
): Promise<{ list: string; idx: number } | undefined> {
  return q.get(
    `select list, idx from status_entries
     where list in (select id from status_lists where resource = ? and ends_at > ?) and tag = ? and expires_at > ? limit 1`,
    [resource, now, tag, now],
  );
}

/** A list whose tokens have not all expired, and the number of the last revocation that its resource was told of. */
export async function findList(
  q: Queries,
  id: string,
  now: number,
): Promise<{ resource: string; alg: JwsAlgorithm; head: number } | undefined> {
  return q.get(
    `select l.resource as resource, l.alg as alg, coalesce(h.rev, 0) as head
     from status_lists l left join feed_heads h on h.resource = l.resource where l.id = ? and l.ends_at > ?`,
    [id, now],
  );
}

/** Some lists that are of no use any more. */
export async function endedLists(q: Queries, now: number, limit: number): Promise<string[]> {
  const rows = await q.all<{ id: string }>('select id from status_lists where ends_at <= ? limit ?', [now, limit]);
  return rows.map(({ id }) => id);
}

export async function deleteList(tx: Tx, id: string): Promise<void> {
  await tx.run('delete from status_entries where list = ?', [id]);
  await tx.run('delete from status_lists where id = ?', [id]);
}
