/**
 * One turn of the feed: what was revoked since the last one is read once, pushed to whoever follows, and every request for a lease that came
 * meanwhile is answered as of that reading. Turns come one after the other, and what was read and what was given as of it are noted without
 * waiting for anything in between. So once a turn has seen a revocation, every lease that was given without it is known.
 */
import { feedHead, selectFeedTerms, selectTail, selectUnacknowledged, type TailRow } from '../liveness/feed-store.ts';
import { asOf } from '../liveness/liveness.ts';
import { defaultFeedTerms, type FeedTerms } from '../resources/resource.ts';
import { evaluate, expect } from './completion.ts';
import { append, FeedHole, leaseMsOf, newFollowed } from './followed.ts';
import { forgetHistories } from './history.ts';
import { answerAsks, pushNews } from './leases.ts';
import { registerNode, sight } from './nodes.ts';
import { type Sign, signer } from './signing.ts';
import { endSession, type Feed, FeedRefusal, type Pending } from './state.ts';

/** How many revocations are read at once. */
const readAtOnce = 1_000;
const adoptedAtOnce = 10_000;

/** There is something to do: news, or requests. */
export function wake(feed: Feed): void {
  if (feed.running) return;
  feed.running = true;
  // setImmediate lets every request that this turn of the event loop has read join
  setImmediate(async () => {
    while (feed.heard || feed.asks.length > 0 || feed.waiters.length > 0) await turn(feed);
    feed.running = false;
  });
}

/** Resolves once everything that is revoked by now was seen here. @throws whatever the database throws */
export function caughtUp(feed: Feed): Promise<void> {
  return new Promise((resolve, reject) => {
    feed.waiters.push({ resolve, reject });
    wake(feed);
  });
}

async function turn(feed: Feed): Promise<void> {
  const asks = feed.asks.splice(0);
  const waiters = feed.waiters.splice(0);
  feed.heard = false;
  feed.turn += 1;
  try {
    const fresh = await readNews(feed, asks);
    if (fresh.length > 0) expect(feed, fresh, await sight(feed));
    for (const { resolve } of waiters) resolve();
  } catch (error) {
    if (!feed.stopped) feed.deps.log.error({ err: error }, 'the feed could not be read on');
    for (const ask of asks) ask.fail(error);
    for (const { reject } of waiters) reject(error);
  }
  forgetHistories(feed);
  evaluate(feed);
}

type Fresh = Omit<Pending, 'seen' | 'held'> & { resource: string };

async function readNews(feed: Feed, asks: Feed['asks']): Promise<Fresh[]> {
  const { db } = feed.deps;
  const fresh: Fresh[] = feed.tail === undefined ? await begin(feed) : [];
  await follow(feed, asks);
  const longest = Math.max(0, ...[...feed.followed.values()].map(({ terms }) => leaseMsOf(terms)));
  if (asks.length > 0 || feed.parked.size > 0) await registerNode(feed, longest);
  const rows: TailRow[] = [];
  for (let from = feed.tail as number; ; ) {
    const part = await selectTail(db, { node: feed.node, after: from, upTo: from + readAtOnce });
    rows.push(...part);
    const { head, lease_ms, version } = part[0] as TailRow;
    if (head > from + readAtOnce) {
      from += readAtOnce;
      continue;
    }
    feed.leaseMs = lease_ms ?? 0; // whoever was removed registers anew
    feed.version = version;
    const sign = await signer(feed.deps, version);
    fresh.push(...take(feed, rows, head, sign));
    answerAsks(feed, asks, sign);
    return fresh;
  }
}

/** The first turn: what was revoked until now is told to nobody, but what nobody has acknowledged may be on its way. */
async function begin(feed: Feed): Promise<Fresh[]> {
  const { rev } = await asOf(feed.deps.db);
  const left = await selectUnacknowledged(feed.deps.db, rev, adoptedAtOnce);
  feed.tail = rev;
  return left;
}

/** Notes what was read: nothing is waited for from here until every lease of this turn is noted. */
function take(feed: Feed, rows: readonly TailRow[], head: number, sign: Sign): Fresh[] {
  const fresh: Fresh[] = [];
  const changed = new Set<string>();
  for (const row of rows) {
    if (row.rev === null || row.rev <= (feed.tail as number)) continue;
    const { rev, tag, effect, resource, subject, org } = row;
    for (const session of feed.byTag.get(tag) ?? []) {
      // a guard or resource that is narrowed goes on; a token that rests on what is narrowed doesn't
      if (!session.ended && (effect !== 'narrowed' || session.tags.includes(tag))) endSession(feed, session);
    }
    if (resource === null) continue;
    fresh.push({ resource, rev, subject, org });
    const followed = feed.followed.get(resource);
    if (!followed || followed.broken) continue;
    try {
      if (append(followed, { ...row, rev })) changed.add(resource);
    } catch (error) {
      if (!(error instanceof FeedHole)) throw error;
      followed.broken = true;
      feed.deps.log.error({ err: error }, 'a feed has a hole: no lease is given before it was read anew');
    }
  }
  feed.tail = head;
  for (const resource of changed) pushNews(feed, resource, sign);
  return fresh;
}

/** Reads where the feeds stand that were not followed so far, and by which terms all are followed once the registry has changed. */
async function follow(feed: Feed, asks: Feed['asks']): Promise<void> {
  const { db } = feed.deps;
  const wanted = new Set(asks.map(({ session }) => session.resource));
  const missing = [...wanted].filter((id) => !feed.followed.has(id));
  const broken = [...feed.followed.values()].filter((one) => one.broken);
  const stale = feed.termsOf === feed.version ? [] : [...feed.followed.keys()];
  const { version } = feed;
  const ids = [...missing, ...stale];
  const terms = new Map<string, FeedTerms>();
  for (let i = 0; i < ids.length; i += 500) {
    for (const { id, feed: text } of await selectFeedTerms(db, ids.slice(i, i + 500))) {
      terms.set(id, { ...defaultFeedTerms, ...(JSON.parse(text) as Partial<FeedTerms>) });
    }
  }
  for (const id of stale) {
    const followed = feed.followed.get(id);
    if (followed) followed.terms = terms.get(id) ?? followed.terms;
  }
  feed.termsOf = version;
  for (const id of missing) {
    const found = terms.get(id);
    if (!found) throw new FeedRefusal('unknown_session', 'there is no such resource');
    feed.followed.set(id, newFollowed(id, found, await feedHead(db, id)));
  }
  for (const followed of broken) {
    const head = await feedHead(db, followed.resource);
    Object.assign(followed, { head, base: head, entries: [], pushed: undefined, broken: false });
  }
}

/** Notes of what nobody has acknowledged that it may be on its way: its node may be gone. For the minute's job. */
export async function adoptLeft(feed: Feed): Promise<void> {
  if (feed.tail === undefined) return;
  const left = await selectUnacknowledged(feed.deps.db, feed.tail, adoptedAtOnce);
  const unknown = left.filter(({ rev, resource }) => !feed.remaining.get(rev)?.has(resource));
  if (unknown.length > 0) expect(feed, unknown, await sight(feed));
  evaluate(feed);
}
