/** The server's signing keys: which exist, which one signs now, which ones verifiers should know. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { generateJwk, type JwsAlgorithm, type PrivateJwk, type PublicJwk, publicJwk } from '@bailiwick/protocol';
import type { Clock } from '../lib/clock.ts';
import { remembered } from '../lib/remember.ts';
import { touchRegistry } from '../liveness/liveness.ts';
import type { Database, Tx } from '../store/database.ts';
import { type KeyState, schedule } from './schedule.ts';
import { deleteSigningKey, insertSigningKey, type SigningKeyRow, selectSigningKeys } from './store.ts';

interface KeyDeps {
  db: Database;
  clock: Clock;
  config: { clock_skew_seconds: number; keys: { publish_seconds: number } };
  keys: Keys;
}

/** What is remembered of the keys; part of `deps`. */
export interface Keys {
  rows: ReturnType<typeof remembered<ServerKey[]>>;
  /** Parsed once: making a KeyObject costs more than signing with it. */
  parsed: Map<string, ServerKey>;
}

/** A key pair of the server. `key` signs; only `jwk` ever leaves. */
export interface ServerKey {
  kid: string;
  alg: JwsAlgorithm;
  key: KeyObject;
  publicKey: KeyObject;
  jwk: PublicJwk;
  createdAt: number;
  signsFrom: number;
}

export function newKeys(): Keys {
  return { rows: remembered(1), parsed: new Map() };
}

/**
 * The key that signs with this algorithm now.
 * @param version of the registry, as `asOf` reads it
 * @throws Error when there is none: a resource can't have asked for the algorithm without `ensureSigningKey`
 */
export async function signingKey(deps: KeyDeps, version: number, alg: JwsAlgorithm): Promise<ServerKey> {
  const now = deps.clock.now();
  const known = await serverKeys(deps, version);
  let found: ServerKey | undefined;
  for (const key of known) {
    if (key.alg === alg && (found === undefined || key.signsFrom <= now)) found = key;
  }
  if (!found) throw new Error(`there is no ${alg} signing key`);
  return found;
}

/** Every key that a token of ours may still be signed with, or soon will be: what the key set publishes. */
export async function publishedKeys(deps: KeyDeps, version: number): Promise<ServerKey[]> {
  return (await keyStates(deps, version)).filter((key) => key.state !== 'gone');
}

/** The published key with this id. */
export async function verificationKey(deps: KeyDeps, version: number, kid: string): Promise<ServerKey | undefined> {
  return (await publishedKeys(deps, version)).find((key) => key.kid === kid);
}

export type KeyStanding = ServerKey & { state: KeyState; signsUntil?: number; publishedUntil?: number };

/** All keys and how they stand, by algorithm and age. */
export async function keyStates(deps: KeyDeps, version: number): Promise<KeyStanding[]> {
  const known = await serverKeys(deps, version);
  const algorithms = [...new Set(known.map((key) => key.alg))];
  const skewMs = deps.config.clock_skew_seconds * 1000;
  return algorithms.flatMap((alg) =>
    schedule(
      known.filter((key) => key.alg === alg),
      deps.clock.now(),
      skewMs,
    ),
  );
}

/** Makes the first key of an algorithm if there is none. It signs at once: no verifier can have cached a set of its kind. */
export async function ensureSigningKey(tx: Tx, deps: KeyDeps, alg: JwsAlgorithm, fresh: PrivateJwk): Promise<boolean> {
  const rows = await selectSigningKeys(tx);
  if (rows.some((row) => row.alg === alg)) return false;
  const now = deps.clock.now();
  await insertSigningKey(tx, rowOf(fresh, alg, now, now));
  await touchRegistry(tx);
  return true;
}

/**
 * Makes the first key of each of these algorithms that has none. A first start makes all that a resource may ask for,
 * so that no verifier's cached key set ever lacks the key of a resource that changes its algorithm.
 */
export async function makeFirstKeys(deps: KeyDeps, algorithms: readonly JwsAlgorithm[]): Promise<void> {
  const known = new Set((await selectSigningKeys(deps.db)).map(({ alg }) => alg));
  const missing = algorithms.filter((alg) => !known.has(alg));
  if (missing.length === 0) return;
  const fresh = await Promise.all(missing.map(newSigningKey));
  await deps.db.transaction(async (tx) => {
    for (const [i, alg] of missing.entries()) await ensureSigningKey(tx, deps, alg, fresh[i] as PrivateJwk);
  });
}

/** A key pair for `ensureSigningKey` or `rotateSigningKey`; made outside of the transaction, since RSA takes its time. */
export async function newSigningKey(alg: JwsAlgorithm): Promise<PrivateJwk> {
  return generateJwk(alg);
}

/**
 * Publishes a successor for the algorithm's key. It signs after `keys.publish_seconds`; keys whose last token has
 * died are deleted, private half and all.
 * @returns the new key's id and when it begins to sign (milliseconds); if a successor is waiting already, that one
 */
export async function rotateSigningKey(
  tx: Tx,
  deps: KeyDeps,
  alg: JwsAlgorithm,
  fresh: PrivateJwk,
): Promise<{ kid: string; signsFrom: number; made: boolean }> {
  const now = deps.clock.now();
  const ofAlg = (await selectSigningKeys(tx)).filter((row) => row.alg === alg);
  const waiting = ofAlg.find((row, i) => i > 0 && row.signs_from > now);
  if (waiting) return { kid: waiting.kid, signsFrom: waiting.signs_from, made: false };
  const standing = schedule(
    ofAlg.map((row) => ({ kid: row.kid, signsFrom: row.signs_from })),
    now,
    deps.config.clock_skew_seconds * 1000,
  );
  for (const key of standing) if (key.state === 'gone') await deleteSigningKey(tx, key.kid);
  const signsFrom = ofAlg.length === 0 ? now : now + deps.config.keys.publish_seconds * 1000;
  const row = rowOf(fresh, alg, now, signsFrom);
  await insertSigningKey(tx, row);
  await touchRegistry(tx);
  return { kid: row.kid, signsFrom, made: true };
}

async function serverKeys(deps: KeyDeps, version: number): Promise<ServerKey[]> {
  const known = await deps.keys.rows.get(version, 'all', async () => {
    const rows = await selectSigningKeys(deps.db);
    return rows.map((row) => parsed(deps.keys, row));
  });
  return known ?? [];
}

function parsed(keys: Keys, row: SigningKeyRow): ServerKey {
  const known = keys.parsed.get(row.kid);
  if (known) return known;
  const jwk = JSON.parse(row.private_jwk) as PrivateJwk;
  const key = createPrivateKey({ key: jwk as never, format: 'jwk' });
  const parsedKey: ServerKey = {
    kid: row.kid,
    alg: row.alg as JwsAlgorithm,
    key,
    publicKey: createPublicKey(key),
    jwk: publicJwk(jwk),
    createdAt: row.created_at,
    signsFrom: row.signs_from,
  };
  keys.parsed.set(row.kid, parsedKey);
  return parsedKey;
}

function rowOf(jwk: PrivateJwk, alg: JwsAlgorithm, now: number, signsFrom: number): SigningKeyRow {
  const kid = (jwk as { kid?: string }).kid;
  if (!kid) throw new Error('a generated key has no kid');
  return { kid, alg, private_jwk: JSON.stringify(jwk), created_at: now, signs_from: signsFrom };
}
