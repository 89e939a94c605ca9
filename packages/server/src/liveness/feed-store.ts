import type { Queries, Tx } from '../store/database.ts';
import type { FeedEntryRow } from '../store/tables.ts';

export async function upsertReach(tx: Tx, row: { tag: string; resource: string; until: number }): Promise<void> {
  await tx.run(
    `insert into token_reach (tag, resource, until) values (?, ?, ?)
     on conflict (tag, resource) do update set until = excluded.until where token_reach.until < excluded.until`,
    [row.tag, row.resource, row.until],
  );
}

/** @param now milliseconds */
export async function selectReach(
  q: Queries,
  tag: string,
  now: number,
): Promise<{ resource: string; until: number }[]> {
  return q.all(
    `select resource, max(until) as until from token_reach where tag in (?, '*') and until > ? group by resource order by resource`,
    [tag, now],
  );
}

/** Chains the entry to the one before it. Only inside `Database.transaction`: numbers follow the order of commits there. */
export async function insertFeedEntry(
  tx: Tx,
  entry: { resource: string; rev: number; tag: string; until: number; at: number },
): Promise<void> {
  const { resource, rev, tag, until, at } = entry;
  const head = await tx.get<{ rev: number }>('select rev from feed_heads where resource = ?', [resource]);
  await tx.run('insert into feed_entries (resource, rev, prev, tag, until, at) values (?, ?, ?, ?, ?, ?)', [
    resource,
    rev,
    head?.rev ?? 0,
    tag,
    until,
    at,
  ]);
  await tx.run(
    'insert into feed_heads (resource, rev) values (?, ?) on conflict (resource) do update set rev = excluded.rev',
    [resource, rev],
  );
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
