/** What lies too far back to be kept in memory is read from the database, once for all who want the same. */
import { selectChain, tidiedUpTo } from '../liveness/feed-store.ts';
import { type Followed, messagesOf } from './followed.ts';
import { signer } from './signing.ts';
import type { Ask, Feed } from './state.ts';

/** For how long what was read is told to others who come, milliseconds: after a restart all come at once. */
const sharedMs = 5_000;

/**
 * How many different beginnings are read at once: who comes with one more is told everything from the beginning, as those are who begin anew. So whoever
 * says other numbers each time has nothing read for himself.
 */
const beginningsAtOnce = 4;

/** Reads what the guard has to hear first; the next turn answers the rest. Fails if the chain has a hole. */
export function readHistory(feed: Feed, followed: Followed, asked: Ask): void {
  const now = feed.deps.clock.monotonic();
  forgetHistories(feed);
  const keyOf = (after: number | null) => `${followed.resource} ${after ?? ''}`;
  const others = [...feed.histories.keys()].filter((key) => key.startsWith(`${followed.resource} `)).length;
  const isOneMore = asked.after !== null && others >= beginningsAtOnce && !feed.histories.has(keyOf(asked.after));
  const ask = isOneMore ? { ...asked, after: null } : asked;
  const key = keyOf(ask.after);
  let history = feed.histories.get(key);
  if (!history || history.until <= now) {
    history = { read: load(feed, followed, ask.after), until: now + sharedMs };
    history.read.catch(() => feed.histories.delete(key));
    feed.histories.set(key, history);
  }
  history.read.then(({ messages, rev }) => {
    feed.asks.push({ ...ask, after: rev, messages: [...ask.messages, ...messages] });
    feed.wake();
  }, ask.fail);
}

export function forgetHistories(feed: Feed): void {
  const now = feed.deps.clock.monotonic();
  for (const [key, { until }] of feed.histories) if (until <= now) feed.histories.delete(key);
}

async function load(feed: Feed, { resource, head }: Followed, from: number | null) {
  const { db, config, clock } = feed.deps;
  const limit = config.feed.max_entries;
  let after = from;
  let rows = await selectChain(db, { resource, after: after ?? 0, upTo: head, limit });
  if (after !== null && (rows[0]?.prev ?? head) < after) {
    after = null; // a number that was never sent: the guard knew another database, and begins anew
    rows = await selectChain(db, { resource, after: 0, upTo: head, limit });
  }
  const tidied = await tidiedUpTo(db); // read after the rows: what is gone by then had expired
  const whole = rows.length < limit;
  const sign = await signer(feed.deps, feed.version);
  const messages = messagesOf(rows, { resource, after, head, tidied, whole, now: clock.now() });
  return { messages: messages.map((message) => sign(resource, message)), rev: head };
}
