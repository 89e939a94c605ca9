/**
 * Which index of which list a token gets. A node takes indices in blocks, so that a token waits for the database once in a few hundred;
 * what it doesn't use up is never used, and looks like a token that is valid.
 * @see draft-ietf-oauth-status-list-20 §13.2 (linkability), §13.3 (no index twice)
 */
import { type JwsAlgorithm, linkTag } from '@bailiwick/protocol';
import type { Clock } from '../lib/clock.ts';
import type { Random } from '../lib/random.ts';
import type { Database, Tx } from '../store/database.ts';
import { indexOrder, listSize } from './order.ts';
import { insertList, insertListed, type TakenIndices, takeIndices } from './store.ts';

const blockSize = 256;

/** No token lives longer (milliseconds); a list is open as long, so that it is gone half an hour after its first token. */
const longestTokenMs = 15 * 60_000;
/** A verifier's clock may be off by as much: what has just expired is still told of. */
const toleranceMs = 60_000;

interface Deps {
  config: { issuer: string };
  db: Database;
  clock: Clock;
  random: Random;
}

/** The `status` claim. @see draft-ietf-oauth-status-list-20 §6.2 */
export interface StatusClaim {
  status_list: { idx: number; uri: string };
}

/** Where a token stands. */
export interface Place {
  list: string;
  idx: number;
}

/** What is left of the indices that this node has taken for a resource. */
interface Block {
  list: string;
  indices: Uint16Array;
  next: number;
  closesAt: number;
}

const blocks = new WeakMap<Database, Map<string, Promise<Block>>>();

/** Below which path the lists are, under the issuer. */
export const statusListsPath = '/status-lists';

/** The `uri` of a list: what tokens name, and what its own `sub` says. */
export const listUri = (config: { issuer: string }, id: string): string => `${config.issuer}${statusListsPath}/${id}`;

/** A place for one token for `resource`: random, and nobody else's. Taken before the token is signed, by no transaction of its own as a rule. */
export async function placeFor(deps: Deps, resource: string, alg: JwsAlgorithm): Promise<Place> {
  const held = blocks.get(deps.db) ?? new Map<string, Promise<Block>>();
  blocks.set(deps.db, held);
  const key = `${resource} ${alg}`;
  for (;;) {
    const pending = held.get(key);
    const block = await pending;
    if (block && block.next < block.indices.length && deps.clock.now() < block.closesAt) {
      return { list: block.list, idx: block.indices[block.next++] as number };
    }
    if (held.get(key) !== pending) continue; // another request is taking the next ones already
    const taking = takeBlock(deps, resource, alg);
    held.set(key, taking);
    taking.catch(() => held.delete(key));
  }
}

async function takeBlock(deps: Deps, resource: string, alg: JwsAlgorithm): Promise<Block> {
  const now = deps.clock.now();
  const fresh = {
    id: deps.random.bytes(16).toString('base64url'),
    resource,
    alg,
    seed: deps.random.bytes(32).toString('hex'),
    closesAt: now + longestTokenMs,
    endsAt: now + 2 * longestTokenMs + toleranceMs,
  };
  const taken = await deps.db.settle(async (tx): Promise<TakenIndices> => {
    const open = await takeIndices(tx, { resource, alg, count: blockSize, size: listSize, now });
    if (open) return open;
    await insertList(tx, fresh, blockSize);
    return { list: fresh.id, seed: fresh.seed, from: 0, closesAt: fresh.closesAt };
  }, `status list ${resource}`);
  const { list, closesAt, seed, from } = taken;
  return { list, closesAt, next: 0, indices: indexOrder(seed).slice(from, from + blockSize) };
}

/** What a token says of where it stands. */
export const statusClaim = (config: { issuer: string }, { list, idx }: Place): StatusClaim => ({
  status_list: { idx, uri: listUri(config, list) },
});

/** Writes down, in the transaction that issues a token, what the token at this place rests on. @param token `expiresAt` in milliseconds */
export async function noteListed(
  tx: Tx,
  { list, idx }: Place,
  token: {
    jti: string;
    rev: number;
    expiresAt: number;
    restsOn: readonly string[];
    tags?: readonly string[] | undefined;
  },
): Promise<void> {
  const { jti, rev, expiresAt, restsOn, tags = [] } = token;
  await insertListed(tx, list, {
    idx,
    rev,
    expiresAt,
    tag: linkTag(jti),
    restsOn: [...new Set([...restsOn.map(linkTag), ...tags])].sort().join(''),
  });
}
