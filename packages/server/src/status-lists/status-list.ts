/**
 * A Status List Token: one bit for each token, signed by the issuer of both. A bit is set when something that its token rests on was
 * revoked since it was issued, and stays set: what is resumed gets new tokens, at places of their own.
 * @see draft-ietf-oauth-status-list-20 §4, §5.1
 */
import { deflateSync } from 'node:zlib';
import { type BoundedCache, boundedCache, encodeHeader, type JwsAlgorithm, signCompact } from '@bailiwick/protocol';
import { type KeyDeps, signingKey } from '../keys/keys.ts';
import { numericDate } from '../lib/clock.ts';
import { ages, believedTime } from '../liveness/age.ts';
import { liveFeedEntries } from '../liveness/feed-store.ts';
import { asOf, reachMarginMs } from '../liveness/liveness.ts';
import type { Database } from '../store/database.ts';
import { listUri } from './allocate.ts';
import { listSize } from './order.ts';
import { deleteList, endedLists, findList, type ListedToken, listedTokens } from './store.ts';

/** The header `typ`, and the media type without `application/`. */
export const statusListType = 'statuslist+jwt';

type Deps = Omit<KeyDeps, 'config'> & {
  config: KeyDeps['config'] & { issuer: string; status_lists: { ttl_seconds: number } };
};

/** One answer for everybody who asks within this time (milliseconds), unless something was revoked. */
const sameAnswerMs = 1_000;

interface Made {
  head: number;
  lst: string;
  /** The token, and when it was signed (milliseconds). */
  jwt: string;
  at: number;
}

const memories = new WeakMap<Database, BoundedCache<Promise<Made>>>();

/**
 * The list as of now, as a compact JWS; undefined if there is none, or all its tokens have expired. A revocation that is committed, on
 * whatever node, is in it.
 */
export async function statusListToken(deps: Deps, id: string): Promise<string | undefined> {
  const now = deps.clock.now();
  const list = await findList(deps.db, id, now);
  if (!list) return undefined;
  const memory = memories.get(deps.db) ?? boundedCache<Promise<Made>>(1_000);
  memories.set(deps.db, memory);
  const before = memory.get(id);
  const known = await before?.catch(() => undefined);
  if (known && known.head >= list.head && now - known.at < sameAnswerMs && known.at <= now) return known.jwt;
  // whoever comes meanwhile waits for the same; whoever saw a later revocation makes it anew
  if (memory.get(id) !== before) return statusListToken(deps, id);
  const making = make(deps, id, list, known);
  memory.set(id, making);
  return (await making).jwt;
}

async function make(
  deps: Deps,
  id: string,
  list: { resource: string; alg: JwsAlgorithm; head: number },
  known: Made | undefined,
): Promise<Made> {
  const { config, clock, db } = deps;
  const lst = known?.head === list.head ? known.lst : await encodedBits(deps, id, list.resource);
  const { version } = await asOf(db);
  const key = await signingKey(deps, version, list.alg);
  const at = clock.now();
  const { ttl_seconds: ttl } = config.status_lists;
  const claims = {
    iss: config.issuer,
    sub: listUri(config, id),
    iat: numericDate(at),
    exp: numericDate(at) + ttl + config.clock_skew_seconds,
    ttl,
    status_list: { bits: 1, lst },
  };
  return {
    head: list.head,
    lst,
    at,
    jwt: signCompact(encodeHeader({ alg: key.alg, kid: key.kid, typ: statusListType }), claims, key),
  };
}

/**
 * First what was revoked, then the tokens: none is missed that a revocation found. No time is compared: entries stay until none of the tokens
 * that they ended can live, by a clock that nobody sets, and a wall clock that is ahead for a moment clears no bit.
 */
async function encodedBits({ db }: Deps, id: string, resource: string): Promise<string> {
  const entries = await liveFeedEntries(db, { resource, after: 0, now: 0, limit: Number.MAX_SAFE_INTEGER });
  const revoked = new Map(entries.map(({ tag, rev }) => [tag, rev])); // by ascending number: the last stays
  const bits = Buffer.alloc(listSize / 8);
  const ends = endOf(revoked);
  for (const token of revoked.size > 0 ? await listedTokens(db, id) : []) {
    // bits are counted from the least significant one (§4.1)
    if (ends(token) > token.rev) bits[token.idx >> 3] = (bits[token.idx >> 3] as number) | (1 << (token.idx & 7));
  }
  return deflateSync(bits, { level: 9 }).toString('base64url');
}

/** The number of the last revocation of anything that a token rests on; most rest on the same as another. */
function endOf(revoked: ReadonlyMap<string, number>): (token: ListedToken) => number {
  const shared = new Map<string, number>();
  return ({ tag, restsOn }) => {
    let last = shared.get(restsOn);
    if (last === undefined) {
      last = Math.max(0, ...(restsOn.match(/.{8}/g) ?? []).map((each) => revoked.get(each) ?? 0));
      shared.set(restsOn, last);
    }
    return Math.max(last, revoked.get(tag) ?? 0);
  };
}

const forgottenAtOnce = 4;

/**
 * Forgets lists whose tokens have all expired, a few at a time. As for what was revoked: no time that this process can't believe, and time enough
 * that a list which another node has opened by its own clock is over by that, too.
 */
export async function forgetStatusLists(deps: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  const { db, clock } = deps;
  const time = believedTime(ages(db), clock);
  if (time === undefined) return;
  for (;;) {
    const ids = await endedLists(db, time - reachMarginMs, forgottenAtOnce);
    if (ids.length === 0) return;
    await db.settle(async (tx) => {
      for (const id of ids) await deleteList(tx, id);
    });
  }
}
