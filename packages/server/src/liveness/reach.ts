/**
 * Which resources a revocation concerns: those that an unexpired token is for which rests on what was revoked. Noted with the token,
 * once for all tokens of a quarter of an hour that rest on the same; read in the transaction of the revocation, which holds the lock
 * that tokens are issued under, so that none is missed.
 */
import { type BoundedCache, boundedCache, linkTag } from '@bailiwick/protocol';
import type { Database, Queries, Tx } from '../store/database.ts';
import { insertFeedEntries, selectReach, upsertReach } from './feed-store.ts';

/** No token lives longer (milliseconds), and no verifier's clock is believed to be further off. */
const longestTokenMs = 15 * 60_000;
const toleranceMs = 60_000;

/** On which topic nodes hear that something was revoked: the payload is its number. @see Database.listen */
export const feedTopic = 'feed';

/**
 * So much (milliseconds) the clocks of nodes may differ, or one be wrong for a while: what is noted counts for that much longer than any token can
 * live. That costs a few entries that end nothing; too few would leave out who must hear.
 */
export const reachMarginMs = 2 * 60 * 60_000;

/** What was noted already, and is durable; and when that was last asked. */
const noted = new WeakMap<Database, { memory: BoundedCache<number>; at: number }>();
/** Not every transaction gets its time in the order in which they come here (milliseconds). */
const disorderMs = 1000;

/**
 * Notes, in the transaction that issues a token, that tokens for `resource` rest on these ids, and on those of which only the tags are known.
 * @param token `exchanged`: the `jti` of the token that it was exchanged from; `now`: milliseconds
 */
export async function noteReach(
  tx: Tx,
  db: Database,
  token: {
    restsOn: readonly string[];
    tags?: readonly string[] | undefined;
    exchanged?: string | undefined;
    resource: string;
    now: number;
  },
): Promise<void> {
  const { restsOn, resource, now } = token;
  // another with every exchange: noted each time, and no reason to note the others again
  const exchanged = token.exchanged === undefined ? [] : [linkTag(token.exchanged)];
  const tags = (token.tags ?? []).filter((tag) => !exchanged.includes(tag));
  const known = noted.get(db);
  // what was noted at a time that is yet to come may be forgotten until then
  const isFresh = known === undefined || now < known.at - disorderMs;
  const memory = isFresh ? boundedCache<number>(50_000) : known.memory;
  noted.set(db, { memory, at: now });
  const what = `${resource} ${restsOn.join(' ')} ${tags.join(' ')}`;
  const until = (Math.floor(now / longestTokenMs) + 2) * longestTokenMs + toleranceMs;
  const isNoted = memory.get(what) === until;
  // in one order, so that no two settlements wait for each other
  const missing = isNoted ? exchanged : [...new Set([...restsOn.map(linkTag), ...tags, ...exchanged])].sort();
  for (const tag of missing) await upsertReach(tx, { tag, resource, until });
  if (!isNoted) tx.afterCommit(() => memory.set(what, until));
}

/** Which resources hear of a revocation of this id, were it to come now: those that had tokens lately. @param now milliseconds */
export async function reachOf(q: Queries, id: string, now: number): Promise<string[]> {
  return (await selectReach(q, linkTag(id), now - reachMarginMs)).map(({ resource }) => resource);
}

/**
 * Writes a revocation into the feed of every resource that it concerns, in its transaction. Answers whether there was one.
 * @param revocation `now` in milliseconds; of a token, what it is for, and until when (ms)
 */
export async function feedRevocation(
  tx: Tx,
  revocation: { rev: number; tag: string; now: number; token?: { resource: string; endsAt: number } | undefined },
): Promise<boolean> {
  const { rev, tag, now, token } = revocation;
  // whatever rests on it was issued before now, so nothing of it is left after the longest life of a token
  const atMost = now + longestTokenMs + toleranceMs;
  const known = token && { resource: token.resource, until: token.endsAt + toleranceMs };
  return insertFeedEntries(tx, { rev, tag, now, atMost, notedUntil: now - reachMarginMs, known });
}
