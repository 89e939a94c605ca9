/** The feed of this server: begun with it, ended with it, kept tidy. */
import type { Deps } from '../deps.ts';
import { ages, believedTime, seenLongAgo } from '../liveness/age.ts';
import { deleteOldEntries, deleteReachAfter, newestEntry } from '../liveness/feed-store.ts';
import { feedTopic, reachMarginMs } from '../liveness/liveness.ts';
import type { Database } from '../store/database.ts';
import { evaluate } from './completion.ts';
import { confirmedTopic, hearConfirmation } from './confirm.ts';
import { forgetHolds } from './holds.ts';
import { leaveNodes, tidyNodes } from './nodes.ts';
import { acknowledgedTopic, hearAcknowledged } from './record.ts';
import { forgetSessions } from './requests.ts';
import { endSession, type Feed, newFeed } from './state.ts';
import { adoptLeft, wake } from './turn.ts';

const feeds = new WeakMap<Database, Feed>();

/** The one of this server: begun when it is first asked for. */
export function feedOf(deps: Deps): Feed {
  const known = feeds.get(deps.db);
  if (known) return known;
  const feed = newFeed(deps, wake);
  feeds.set(deps.db, feed);
  const { listen } = deps.db;
  feed.unlisten.push(
    listen(feedTopic, () => {
      feed.heard = true;
      wake(feed);
    }),
    listen(confirmedTopic, (payload) => {
      if (payload !== undefined && hearConfirmation(feed, payload)) evaluate(feed);
    }),
    listen(acknowledgedTopic, (payload) => {
      if (payload !== undefined) hearAcknowledged(feed, payload);
    }),
  );
  feed.heard = true;
  wake(feed);
  return feed;
}

/** Revocations that nobody has acknowledged, because the node that would have is gone, are waited for here. */
export const adopt = adoptLeft;

/** Ends every stream and whoever waits for news; nothing is given any more. What was given runs out at the guards. */
export async function stopFeed(deps: Deps): Promise<void> {
  const feed = feeds.get(deps.db);
  if (!feed || feed.stopped) return;
  feed.stopped = true;
  for (const end of feed.unlisten) end();
  feed.cancelTimer?.();
  for (const waiting of feed.waiting.values()) for (const done of [...waiting]) done();
  for (const session of feed.sessions.values()) endSession(feed, session);
  const now = deps.clock.monotonic();
  const holds =
    [...feed.sessions.values()].some(({ until }) => until > now) ||
    [...feed.held.values()].some(({ until }) => [...until.values()].some((end) => end > now));
  await leaveNodes(feed, holds).catch((err: unknown) =>
    deps.log.warn({ err }, 'a feed node could not say that it ends'),
  );
}

/** How long after an entry was seen here (by the clock that nobody sets) the last token that it ends has expired: 15 minutes, and what clocks may differ. Milliseconds. */
const entriesMatterMs = 17 * 60_000;
const entriesAtOnce = 5_000;
const tagsAtOnce = 1_000;
/** Reading all that tokens rest on from end to end is not done each minute. */
const reachTidiedEveryMs = 5 * 60_000;

/** The minute's job: what no unexpired token can depend on is forgotten, and what a node that is gone has left is taken up. */
export async function tidyFeed(deps: Deps): Promise<void> {
  const { db, clock } = deps;
  const feed = feedOf(deps);
  if (feed.stopped) return;
  forgetSessions(feed);
  forgetHolds(feed);
  await tidyNodes(feed);
  await adoptLeft(feed);
  const age = ages(db);
  const now = clock.monotonic();
  const old = seenLongAgo(age, { rev: await newestEntry(db), now, ms: entriesMatterMs });
  for (let more = old > 0; more; ) {
    more = await db.settle((tx) => deleteOldEntries(tx, old, entriesAtOnce), 'tidying the feed');
  }
  const time = believedTime(age, clock);
  if (time === undefined) return;
  if (now - feed.reachTidiedAt < reachTidiedEveryMs) return;
  feed.reachTidiedAt = now;
  for (let after: string | undefined = ''; after !== undefined; ) {
    const from: string = after;
    after = await db.settle((tx) => deleteReachAfter(tx, from, time - reachMarginMs, tagsAtOnce));
  }
}
