/**
 * Several nodes on one database: each has a row before it gives its first lease, tells the others how far its guards are, and is waited for
 * until it has, or until the leases that it can have given have run out.
 */
import { closeNode, deleteNode, type NodeRow, selectOtherNodes, upsertNode } from '../liveness/feed-store.ts';
import type { Feed, Sighting } from './state.ts';

/** How often a node that gives leases says that it is there, and when it gives none because it couldn't. Milliseconds. */
const beatEveryMs = 3_000;
const beatNeededMs = 7_000;
export const beatMissedMs = 10_000;
/** A row whose beat stands still for so long is removed: by then every lease that its node gave has run out. */
const removedAfterMs = 60_000;

/** Whether others may be there: one SQLite has one server. */
export const sharesDatabase = (feed: Feed): boolean => feed.deps.db.dialect === 'postgres';

/** Before leases are given: this node is registered with the longest of them, and known to be alive. */
export async function registerNode(feed: Feed, leaseMs: number): Promise<void> {
  const age = feed.deps.clock.monotonic() - feed.beatAt;
  if (feed.leaseMs < leaseMs || (sharesDatabase(feed) && age >= beatNeededMs)) return beat(feed, leaseMs);
  if (sharesDatabase(feed) && age >= beatEveryMs) {
    feed.beatAt += 1; // one at a time: the next is tried a moment later if this one fails
    beat(feed, leaseMs).catch((err: unknown) =>
      feed.deps.log.warn({ err }, 'a feed node could not say that it is there'),
    );
  }
}

async function beat(feed: Feed, leaseMs: number): Promise<void> {
  const { clock, db } = feed.deps;
  const begun = clock.monotonic();
  await db.settle((tx) => upsertNode(tx, { id: feed.node, leaseMs, at: clock.now() }));
  feed.beatAt = Math.max(feed.beatAt, begun);
  feed.leaseMs = Math.max(feed.leaseMs, leaseMs);
}

/** Reads, after revocations were seen, who has to be waited for, and until when at most. */
export async function sight(feed: Feed): Promise<Sighting> {
  const { clock, db } = feed.deps;
  const rows = await selectOtherNodes(db, feed.node);
  const at = clock.monotonic();
  noteOthers(feed, rows, at);
  const nodes = new Map<string, number>();
  for (const { id } of rows) {
    const end = leasesEnd(feed, id, at);
    if (end > at) nodes.set(id, end);
  }
  return { turn: feed.turn, at, nodes };
}

/** Until when leases can run that a node has given before `at`. Who gave them before this process was there gives none now, on SQLite. */
function leasesEnd(feed: Feed, id: string, at: number): number {
  const node = feed.others.get(id);
  if (!node) return at;
  const from = !sharesDatabase(feed) ? feed.startedAt : node.beat < 0 ? node.since : at;
  return Math.min(at, from) + node.leaseMs;
}

function noteOthers(feed: Feed, rows: readonly NodeRow[], now: number): void {
  const seen = new Set(rows.map(({ id }) => id));
  for (const id of feed.others.keys()) if (!seen.has(id)) feed.others.delete(id);
  for (const id of feed.confirmed.keys()) if (!seen.has(id)) feed.confirmed.delete(id);
  for (const { id, beat, lease_ms } of rows) {
    const known = feed.others.get(id);
    if (known?.beat === beat) known.leaseMs = lease_ms;
    else feed.others.set(id, { beat, since: now, leaseMs: lease_ms });
  }
}

/** Whether a node has said that all its lease-holders of a resource are at `rev`. */
export function hasConfirmed(feed: Feed, node: string, resource: string, rev: number): boolean {
  const confirmed = feed.confirmed.get(node);
  return confirmed !== undefined && (confirmed.behind[resource] ?? confirmed.upTo) >= rev;
}

/** How many live nodes come before this one, by their ids: those write first what all of them know. */
export function turnToWrite(feed: Feed): number {
  if (!sharesDatabase(feed)) return 0;
  return [...feed.others].filter(([id, { beat }]) => beat >= 0 && id < feed.node).length;
}

/** Removes the rows of nodes that are gone, once no lease of theirs can run any more. For the minute's job. */
export async function tidyNodes(feed: Feed): Promise<void> {
  const { clock, db } = feed.deps;
  const rows = await selectOtherNodes(db, feed.node);
  const now = clock.monotonic();
  noteOthers(feed, rows, now);
  for (const row of rows) {
    const { beat, since, leaseMs } = feed.others.get(row.id) as { beat: number; since: number; leaseMs: number };
    const gone = sharesDatabase(feed)
      ? now - since >= (beat < 0 ? leaseMs : removedAfterMs)
      : now - feed.startedAt >= leaseMs;
    if (gone) await db.settle((tx) => deleteNode(tx, row));
  }
}

/** This node gives no leases any more. @param holds whether some of those that it gave still run */
export async function leaveNodes(feed: Feed, holds: boolean): Promise<void> {
  if (feed.leaseMs === 0) return;
  await feed.deps.db.settle(async (tx) => {
    await closeNode(tx, feed.node);
    if (!holds) await deleteNode(tx, { id: feed.node, beat: -1 });
  });
}
