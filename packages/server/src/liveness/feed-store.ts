/** The SQL of the feed: what tokens rest on by resource, entries and their acknowledgement, and the nodes that give leases. */
import type { Queries, Tx } from '../store/database.ts';
import type { FeedEntryRow } from '../store/tables.ts';

export async function upsertReach(tx: Tx, row: { tag: string; resource: string; until: number }): Promise<void> {
  await tx.run(
    `insert into token_reach (tag, resource, until) values (?, ?, ?)
     on conflict (tag, resource) do update set until = excluded.until where token_reach.until < excluded.until`,
    [row.tag, row.resource, row.until],
  );
}

/** @param since milliseconds: what expired before it is left out */
export async function selectReach(
  q: Queries,
  tag: string,
  since: number,
): Promise<{ resource: string; until: number }[]> {
  return q.all(
    `select resource, max(until) as until from token_reach where tag in (?, '*') and until > ? group by resource order by resource`,
    [tag, since],
  );
}

/**
 * Forgets what expired before `time` among the next `atMost` rows after `after`, in the order of their tags. Answers the last tag that
 * was looked at, or undefined at the end of the table.
 */
export async function deleteReachAfter(
  tx: Tx,
  after: string,
  time: number,
  atMost: number,
): Promise<string | undefined> {
  const last = await tx.get<{ tag: string }>(
    'select tag from token_reach where tag > ? order by tag limit 1 offset ?',
    [after, atMost - 1],
  );
  if (last) {
    await tx.run('delete from token_reach where tag > ? and tag <= ? and until < ?', [after, last.tag, time]);
    return last.tag;
  }
  await tx.run('delete from token_reach where tag > ? and until < ?', [after, time]);
  return undefined;
}

/**
 * Writes a revocation into the feed of every resource that an unexpired token may be for which rests on what was revoked, chained to what was sent
 * there before. One statement, and another if there is any. Only inside `Database.transaction`: numbers follow the order of commits there.
 * @param entry in milliseconds: `now`; `atMost`, the latest time at which a token can expire that was issued before; `notedUntil`: what was noted
 * until then or later counts. An entry is never over because this clock is wrong: noted until the past, it lasts until `atMost`; until longer than any
 * token lives, it lasts as noted. `known`: a resource that it concerns whatever was noted.
 * @returns whether it reaches one
 */
export async function insertFeedEntries(
  tx: Tx,
  entry: {
    rev: number;
    tag: string;
    now: number;
    atMost: number;
    notedUntil: number;
    known: { resource: string; until: number } | undefined;
  },
): Promise<boolean> {
  const { rev, tag, now, atMost, notedUntil, known } = entry;
  const longest = atMost + (atMost - now);
  const reached = await tx.run(
    `insert into feed_entries (resource, rev, prev, tag, until, at)
     select t.resource, ?, coalesce(max(h.rev), 0), ?, case when (max(t.until) > ? and max(t.until) <= ?) or max(t.until) > ? then max(t.until) else ? end, ?
     from (
       select resource, until from token_reach where tag in (?, '*') and until > ?
       union all select id, cast(? as bigint) from resources where id = ?
     ) t left join feed_heads h on h.resource = t.resource group by t.resource`,
    [rev, tag, now, atMost, longest, atMost, now, tag, notedUntil, known?.until ?? null, known?.resource ?? null],
  );
  if (reached === 0) return false;
  await tx.run(
    `insert into feed_heads (resource, rev) select resource, rev from feed_entries where rev = ?
     on conflict (resource) do update set rev = excluded.rev`,
    [rev],
  );
  return true;
}

export interface ChainRow {
  rev: number;
  prev: number;
  tag: string;
  /** Milliseconds. */
  until: number;
}

/** The newest entries of a resource after one number and up to another, oldest first, the expired ones too. */
export async function selectChain(
  q: Queries,
  filter: { resource: string; after: number; upTo: number; limit: number },
): Promise<ChainRow[]> {
  const rows = await q.all<ChainRow>(
    'select rev, prev, tag, until from feed_entries where resource = ? and rev > ? and rev <= ? order by rev desc limit ?',
    [filter.resource, filter.after, filter.upTo, filter.limit],
  );
  return rows.reverse();
}

/** The last number that was sent to a resource; 0 if none was. */
export async function feedHead(q: Queries, resource: string): Promise<number> {
  return (await q.get<{ rev: number }>('select rev from feed_heads where resource = ?', [resource]))?.rev ?? 0;
}

/** Up to which number entries are gone, because all of them had expired. */
export async function tidiedUpTo(q: Queries): Promise<number> {
  return (await q.get<{ rev: number }>('select rev from feed_tidied where id = 1'))?.rev ?? 0;
}

/** One revocation for one resource that it reaches; `resource` and what follows are null if it reaches none. */
export interface TailRow {
  version: number;
  /** The last number of all. */
  head: number;
  /** The longest lease that the asking node said it gives; null if it isn't registered. */
  lease_ms: number | null;
  /** Null if there was no revocation. */
  rev: number | null;
  tag: string;
  subject: string;
  effect: 'ended' | 'suspended' | 'narrowed';
  resource: string | null;
  org: string;
  prev: number;
  until: number;
}

/** What was revoked after one number and up to another, in one snapshot with how far everything is. At least one row. */
export async function selectTail(q: Queries, from: { node: string; after: number; upTo: number }): Promise<TailRow[]> {
  return q.all(
    `select c.version, c.rev as head, n.lease_ms, r.rev, r.tag, r.subject, r.effect, e.resource, x.org, e.prev, e.until
     from counter c
     left join feed_nodes n on n.id = ?
     left join revocations r on r.rev > ? and r.rev <= ?
     left join feed_entries e on e.rev = r.rev
     left join resources x on x.id = e.resource
     where c.id = 1 order by r.rev, e.resource`,
    [from.node, from.after, from.upTo],
  );
}

export interface PendingRow {
  resource: string;
  rev: number;
  org: string;
  subject: string | null;
}

/** The oldest entries that nobody has said are acknowledged. */
export async function selectUnacknowledged(q: Queries, upTo: number, limit: number): Promise<PendingRow[]> {
  return q.all(
    `select e.resource, e.rev, x.org, r.subject from feed_entries e
     join resources x on x.id = e.resource left join revocations r on r.rev = e.rev
     where e.acknowledged_at is null and e.rev <= ? order by e.rev, e.resource limit ?`,
    [upTo, limit],
  );
}

/** Says of a resource's entries that they are acknowledged; answers the numbers of those that weren't before. */
export async function setAcknowledged(
  tx: Tx,
  given: { resource: string; from: number; to: number; at: number; answers: string },
): Promise<number[]> {
  const rows = await tx.all<{ rev: number }>(
    `update feed_entries set acknowledged_at = ?, answers = ?
     where resource = ? and rev >= ? and rev <= ? and acknowledged_at is null returning rev`,
    [given.at, given.answers, given.resource, given.from, given.to],
  );
  return rows.map(({ rev }) => rev);
}

/** Which revocations between two numbers have an entry that isn't acknowledged. */
export async function stillUnacknowledged(q: Queries, from: number, to: number): Promise<number[]> {
  const rows = await q.all<{ rev: number }>(
    'select distinct rev from feed_entries where rev >= ? and rev <= ? and acknowledged_at is null',
    [from, to],
  );
  return rows.map(({ rev }) => rev);
}

/** The greatest number that each resource hears of, among these. */
export async function selectHeard(
  q: Queries,
  { first, last }: { first: number; last: number },
): Promise<{ resource: string; rev: number }[]> {
  return q.all(
    `select resource, max(rev) as rev from (
       select resource, rev from feed_entries where rev >= ? and rev <= ?
       union all select resource, rev from revocation_answers where rev >= ? and rev <= ?
     ) heard group by resource`,
    [first, last, first, last],
  );
}

export interface AnswerRow {
  resource: string;
  acknowledged_at: number | null;
  answers: string | null;
}

/** How a revocation was answered, by resource; also after its entries have left the feed. */
export async function selectAnswers(q: Queries, rev: number): Promise<AnswerRow[]> {
  return q.all(
    `select resource, acknowledged_at, answers from feed_entries where rev = ?
     union all select resource, acknowledged_at, answers from revocation_answers where rev = ? order by resource`,
    [rev, rev],
  );
}

/** Up to which number nothing is said by there being no answers: they may have been forgotten. */
export async function forgottenUpTo(q: Queries): Promise<number> {
  return (await q.get<{ forgotten: number }>('select forgotten from feed_tidied where id = 1'))?.forgotten ?? 0;
}

/** The number of the newest entry of all; 0 if there is none. */
export async function newestEntry(q: Queries): Promise<number> {
  return (await q.get<{ rev: number | null }>('select max(rev) as rev from feed_entries'))?.rev ?? 0;
}

/**
 * Takes the oldest entries out of the feed, whole revocations at a time: those up to a number, as far as every one is acknowledged. So what
 * is left of a resource's chain begins somewhere and has no hole. How they were answered is kept, as long as the revocation is there. Answers whether there may be more.
 */
export async function deleteOldEntries(tx: Tx, last: number, atMost: number): Promise<boolean> {
  const rows = await tx.all<{ rev: number; acknowledged_at: number | null }>(
    'select rev, acknowledged_at from feed_entries order by rev limit ?',
    [atMost],
  );
  const kept = rows.find((row) => row.rev > last || row.acknowledged_at === null);
  // the last revocation of a part may go on behind it
  const upTo = kept ? kept.rev - 1 : rows.length === atMost ? (rows.at(-1)?.rev ?? 0) - 1 : (rows.at(-1)?.rev ?? 0);
  if (rows.length === 0 || upTo < (rows[0]?.rev ?? 0)) return false;
  await tx.run('update feed_tidied set rev = ? where id = 1 and rev < ?', [upTo, upTo]);
  await tx.run(
    `insert into revocation_answers (rev, resource, acknowledged_at, answers)
     select e.rev, e.resource, e.acknowledged_at, e.answers from feed_entries e
     where e.rev <= ? and exists (select 1 from revocations r where r.rev = e.rev)
     on conflict do nothing`,
    [upTo],
  );
  await tx.run('delete from feed_entries where rev <= ?', [upTo]);
  return kept === undefined && rows.length === atMost;
}

export interface NodeRow {
  id: string;
  /** Moves as long as the node gives leases; -1 once it gives none any more. */
  beat: number;
  /** The longest lease that it may have given, milliseconds. */
  lease_ms: number;
}

/** Says that a node is there and gives leases of at most this length. */
export async function upsertNode(tx: Tx, node: { id: string; leaseMs: number; at: number }): Promise<void> {
  await tx.run(
    `insert into feed_nodes (id, beat, at, lease_ms) values (?, 1, ?, ?)
     on conflict (id) do update set beat = feed_nodes.beat + 1, at = excluded.at,
       lease_ms = case when feed_nodes.lease_ms > excluded.lease_ms then feed_nodes.lease_ms else excluded.lease_ms end`,
    [node.id, node.at, node.leaseMs],
  );
}

/** Every node that may have given leases, but for this one. */
export async function selectOtherNodes(q: Queries, id: string): Promise<NodeRow[]> {
  return q.all('select id, beat, lease_ms from feed_nodes where id <> ? order by id', [id]);
}

/** Says that a node gives no leases any more; those that it gave last for as long as they were given. */
export async function closeNode(tx: Tx, id: string): Promise<void> {
  await tx.run('update feed_nodes set beat = -1 where id = ?', [id]);
}

/** Forgets a node, unless it has moved on. */
export async function deleteNode(tx: Tx, node: Pick<NodeRow, 'id' | 'beat'>): Promise<boolean> {
  return (await tx.run('delete from feed_nodes where id = ? and beat = ?', [node.id, node.beat])) === 1;
}

/** How the feeds of these resources are followed, as JSON, by resource. */
export async function selectFeedTerms(
  q: Queries,
  resources: readonly string[],
): Promise<{ id: string; feed: string }[]> {
  return q.kysely.selectFrom('resources').select(['id', 'feed']).where('id', 'in', resources).execute();
}

/** The newest entries of a resource that still matter, oldest first. @param now milliseconds */
export async function liveFeedEntries(
  q: Queries,
  filter: { resource: string; after: number; now: number; limit: number },
): Promise<FeedEntryRow[]> {
  const rows = await q.all<FeedEntryRow>(
    'select * from feed_entries where resource = ? and rev > ? and until > ? order by rev desc limit ?',
    [filter.resource, filter.after, filter.now, filter.limit],
  );
  return rows.reverse();
}
