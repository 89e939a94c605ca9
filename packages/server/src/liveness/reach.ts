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

/** What was noted already, and is durable. */
const noted = new WeakMap<Database, BoundedCache<number>>();

/**
 * Notes, in the transaction that issues a token, that tokens for `resource` rest on these ids.
 * @param now milliseconds
 */
export async function noteReach(
  tx: Tx,
  db: Database,
  token: { restsOn: readonly string[]; resource: string; now: number },
): Promise<void> {
  const { restsOn, resource, now } = token;
  const memory = noted.get(db) ?? boundedCache<number>(50_000);
  noted.set(db, memory);
  const what = `${resource} ${restsOn.join(' ')}`;
  const until = (Math.floor(now / longestTokenMs) + 2) * longestTokenMs + toleranceMs;
  if (memory.get(what) === until) return;
  // in one order, so that no two settlements wait for each other
  for (const tag of restsOn.map(linkTag).sort()) await upsertReach(tx, { tag, resource, until });
  tx.afterCommit(() => memory.set(what, until));
}

/** Notes the same of one token, whose id nothing else rests on. @param token `endsAt` in milliseconds */
export async function noteTokenReach(tx: Tx, token: { jti: string; resource: string; endsAt: number }): Promise<void> {
  const { jti, resource, endsAt } = token;
  await upsertReach(tx, { tag: linkTag(jti), resource, until: endsAt + toleranceMs });
}

/** Which resources hear of a revocation of this id, were it to come now. @param now milliseconds */
export async function reachOf(q: Queries, id: string, now: number): Promise<string[]> {
  return (await selectReach(q, linkTag(id), now)).map(({ resource }) => resource);
}

/** Writes a revocation into the feed of every resource that it concerns, in its transaction. Answers whether there was one. */
export async function feedRevocation(tx: Tx, revocation: { rev: number; tag: string; now: number }): Promise<boolean> {
  const { rev, tag, now } = revocation;
  // whatever rests on it was issued before now, so nothing of it is left after the longest life of a token
  return insertFeedEntries(tx, { rev, tag, now, atMost: now + longestTokenMs + toleranceMs });
}
