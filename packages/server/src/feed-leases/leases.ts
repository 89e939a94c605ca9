/** Leases as of what was just read, and what is pushed of it. Nothing here waits. */
import { feedMessageBounds } from '@bailiwick/protocol';
import { entriesAfter, type Followed, leaseMsOf } from './followed.ts';
import { readHistory } from './history.ts';
import { beatMissedMs, sharesDatabase } from './nodes.ts';
import { closeStream, noteLease, report, type Session } from './session.ts';
import type { Sign } from './signing.ts';
import { type Ask, type Feed, FeedRefusal, unknownSession } from './state.ts';

/** How many requests one signature answers at most: each of them is told the nonces of all. */
const noncesAtMost = 256;

/** Answers every request, or has it wait for news, or for what must be read first. */
export function answerAsks(feed: Feed, asks: readonly Ask[], sign: Sign): void {
  const groups = new Map<string, Ask[]>();
  for (const ask of asks) {
    const followed = feed.followed.get(ask.session.resource);
    try {
      const group = placed(feed, followed, ask, sign);
      if (group === undefined) continue;
      const others = groups.get(group);
      if (others && others.length < noncesAtMost) others.push(ask);
      else {
        if (others) grant(feed, others, sign);
        groups.set(group, [ask]);
      }
    } catch (error) {
      ask.fail(error);
    }
  }
  for (const group of groups.values()) grant(feed, group, sign);
}

/** Who is answered by the same message; undefined for whom isn't answered now. */
function placed(feed: Feed, followed: Followed | undefined, ask: Ask, sign: Sign): string | undefined {
  const { session } = ask;
  if (feed.stopped) throw new FeedRefusal('not_now', 'the server is ending');
  if (session.ended || !followed) throw unknownSession();
  if (followed.broken) throw new FeedRefusal('not_now', 'the feed has to be read anew');
  if (ask.after !== null && ask.after > followed.head) throw unknownSession();
  followed.sessions.add(session);
  if (ask.after === null || entriesAfter(followed, ask.after, 0) === undefined) {
    readHistory(feed, followed, ask);
    return undefined;
  }
  if (ask.messages.length === 0) report(session, ask.after, feed.deps.clock.now());
  if (ask.nonce === undefined) {
    follow(feed, followed, ask, sign);
    return undefined;
  }
  if (ask.waitMs > 0 && ask.after === followed.head) {
    park(feed, ask);
    return undefined;
  }
  return `${followed.resource} ${ask.after}`;
}

/** One message for all who are at the same number of the same resource. */
function grant(feed: Feed, asks: readonly Ask[], sign: Sign): void {
  const { clock } = feed.deps;
  const { session, after } = asks[0] as Ask;
  const followed = feed.followed.get(session.resource) as Followed;
  const lease = leaseMsOf(followed.terms);
  const now = clock.monotonic();
  try {
    if (lease > feed.leaseMs || (sharesDatabase(feed) && now - feed.beatAt >= beatMissedMs)) {
      throw new FeedRefusal('not_now', 'this server can give no leases at the moment');
    }
    const message = messageFrom(feed, followed, after as number, sign, {
      nonces: asks.map(({ nonce }) => nonce as string),
      lease,
    });
    for (const ask of asks) {
      ask.session.since ??= feed.turn;
      noteLease(ask.session, followed.head, now, now + lease);
      ask.answer([...ask.messages, message], followed.head);
    }
  } catch (error) {
    for (const ask of asks) ask.fail(error);
  }
}

function messageFrom(
  feed: Feed,
  followed: Followed,
  after: number,
  sign: Sign,
  more: { nonces?: string[]; lease?: number } = {},
): string {
  const entries = entriesAfter(followed, after, feed.deps.clock.now());
  if (!entries || entries.length > feedMessageBounds.entries) throw new Error('too much for one message of the feed');
  return sign(followed.resource, { after, rev: followed.head, entries, ...more });
}

/** Begins to push, with what the guard has still to hear. */
function follow(feed: Feed, followed: Followed, ask: Ask, sign: Sign): void {
  const after = ask.after as number;
  const behind = after < followed.head ? [messageFrom(feed, followed, after, sign)] : [];
  ask.answer([...ask.messages, ...behind], followed.head);
}

/** Waits for news, but for one request of a session alone. */
function park(feed: Feed, ask: Ask): void {
  const { session } = ask;
  const before = feed.parked.get(session);
  before?.cancel();
  before?.ask.fail(new FeedRefusal('not_now', 'a later request waits instead'));
  const cancel = feed.deps.clock.after(ask.waitMs, () => {
    feed.parked.delete(session);
    feed.asks.push({ ...ask, waitMs: 0 });
    feed.wake();
  });
  feed.parked.set(session, { ask, cancel });
}

/** There is news for a resource: streams get it, and who waits for it is answered. */
export function pushNews(feed: Feed, resource: string, sign: Sign): void {
  const followed = feed.followed.get(resource);
  if (!followed || followed.broken) return;
  const waiting: Ask[] = [];
  for (const session of followed.sessions) {
    if (session.stream) push(feed, followed, session, sign);
    const parked = feed.parked.get(session);
    if (!parked) continue;
    parked.cancel();
    feed.parked.delete(session);
    waiting.push({ ...parked.ask, waitMs: 0 });
  }
  answerAsks(feed, waiting, sign);
}

function push(feed: Feed, followed: Followed, session: Session, sign: Sign): void {
  const stream = session.stream as NonNullable<Session['stream']>;
  if (stream.position >= followed.head) return;
  const { pushed } = followed;
  let message = pushed?.after === stream.position && pushed.rev === followed.head ? pushed.message : undefined;
  if (message === undefined) {
    if (entriesAfter(followed, stream.position, 0) === undefined) {
      closeStream(session); // it comes back by its number
      return;
    }
    message = messageFrom(feed, followed, stream.position, sign);
    followed.pushed = { after: stream.position, rev: followed.head, message };
  }
  stream.position = followed.head;
  if (!stream.out.write(eventOf(followed.head, message))) closeStream(session);
}

/** A message as an event of a stream. */
export const eventOf = (rev: number, message: string): string => `id: ${rev}\ndata: ${message}\n\n`;
