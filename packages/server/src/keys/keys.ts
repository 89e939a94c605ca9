/** The server's signing keys: which exist, which one signs now, which ones verifiers should know. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { generateJwk, type JwsAlgorithm, type PrivateJwk, type PublicJwk, publicJwk } from '@bailiwick/protocol';
import type { AtRest } from '../lib/at-rest.ts';
import type { Clock } from '../lib/clock.ts';
import { remembered } from '../lib/remember.ts';
import { touchRegistry } from '../liveness/liveness.ts';
import type { Database, Queries, Tx } from '../store/database.ts';
import type { Authority } from './authority.ts';
import type { BundleContent } from './ca.ts';
import { type KeyState, schedule } from './schedule.ts';
import { deleteSigningKey, insertSigningKey, type KeyUsage, type SigningKeyRow, selectSigningKeys } from './store.ts';

export interface KeyDeps {
  db: Database;
  clock: Clock;
  encryption: AtRest;
  config: { clock_skew_seconds: number; keys: { publish_seconds: number } };
  keys: Keys;
}

/** What is remembered of the keys; part of `deps`. */
export interface Keys {
  rows: ReturnType<typeof remembered<ServerKey[]>>;
  /** Parsed once: making a KeyObject costs more than signing with it. */
  parsed: Map<string, ServerKey>;
  authorities: ReturnType<typeof remembered<Authority[]>>;
  parsedAuthorities: Map<string, Authority>;
  bundle: ReturnType<typeof remembered<BundleContent>>;
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
  return {
    rows: remembered(2),
    parsed: new Map(),
    authorities: remembered(1),
    parsedAuthorities: new Map(),
    bundle: remembered(1),
  };
}

/**
 * The key that signs with this algorithm now.
 * @param version of the registry, as `asOf` reads it
 * @throws Error when there is none: a resource can't have asked for the algorithm without `ensureSigningKey`
 */
export async function signingKey(
  deps: KeyDeps,
  version: number,
  alg: JwsAlgorithm,
  usage: KeyUsage = 'access_token',
): Promise<ServerKey> {
  const now = deps.clock.now();
  const known = await serverKeys(deps, version, usage);
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
export async function keyStates(
  deps: KeyDeps,
  version: number,
  usage: KeyUsage = 'access_token',
): Promise<KeyStanding[]> {
  const known = await serverKeys(deps, version, usage);
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
  const rows = await selectSigningKeys(tx, 'access_token');
  if (rows.some((row) => row.alg === alg)) return false;
  const now = deps.clock.now();
  await insertSigningKey(tx, rowOf(deps, fresh, { alg, usage: 'access_token', now, signsFrom: now }));
  await touchRegistry(tx);
  return true;
}

/**
 * Makes the first key of each of these algorithms that has none. A first start makes all that a resource may ask for,
 * so that no verifier's cached key set ever lacks the key of a resource that changes its algorithm.
 */
export async function makeFirstKeys(deps: KeyDeps, algorithms: readonly JwsAlgorithm[]): Promise<void> {
  const known = new Set((await selectSigningKeys(deps.db, 'access_token')).map(({ alg }) => alg));
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
 * @param what whose successor, where that is not a key for access tokens, and how long it is published first (ms)
 * @returns the new key's id and when it begins to sign (milliseconds); if a successor is waiting already, that one
 */
export async function rotateSigningKey(
  tx: Tx,
  deps: KeyDeps,
  alg: JwsAlgorithm,
  fresh: PrivateJwk,
  what: { usage: KeyUsage; publishMs: number } = {
    usage: 'access_token',
    publishMs: deps.config.keys.publish_seconds * 1000,
  },
): Promise<{ kid: string; signsFrom: number; made: boolean }> {
  const { usage, publishMs } = what;
  const now = deps.clock.now();
  const ofAlg = (await selectSigningKeys(tx, usage)).filter((row) => row.alg === alg);
  const waiting = ofAlg.find((row, i) => i > 0 && row.signs_from > now);
  if (waiting) return { kid: waiting.kid, signsFrom: waiting.signs_from, made: false };
  const standing = schedule(
    ofAlg.map((row) => ({ kid: row.kid, signsFrom: row.signs_from })),
    now,
    deps.config.clock_skew_seconds * 1000,
  );
  for (const key of standing) if (key.state === 'gone') await deleteSigningKey(tx, key.kid);
  const signsFrom = ofAlg.length === 0 ? now : now + publishMs;
  const row = rowOf(deps, fresh, { alg, usage, now, signsFrom });
  await insertSigningKey(tx, row);
  await touchRegistry(tx);
  return { kid: row.kid, signsFrom, made: true };
}

/** Writes a key for access tokens that signs from this instant (ms). Answers its id. */
export async function addSigningKey(
  tx: Tx,
  deps: KeyDeps,
  fresh: PrivateJwk,
  { alg, signsFrom }: { alg: JwsAlgorithm; signsFrom: number },
): Promise<string> {
  const row = rowOf(deps, fresh, { alg, usage: 'access_token', now: deps.clock.now(), signsFrom });
  if (!(await insertSigningKey(tx, row))) throw new Error(`another ${alg} key begins at the same instant`);
  await touchRegistry(tx);
  return row.kid;
}

async function serverKeys(deps: KeyDeps, version: number, usage: KeyUsage): Promise<ServerKey[]> {
  return (await deps.keys.rows.get(version, usage, () => readServerKeys(deps.db, deps, usage))) ?? [];
}

/** Every key of this use, as the database has it now. */
export async function readServerKeys(q: Queries, deps: KeyDeps, usage: KeyUsage): Promise<ServerKey[]> {
  return (await selectSigningKeys(q, usage)).map((row) => parsed(deps, row));
}

function parsed({ keys, encryption }: KeyDeps, row: SigningKeyRow): ServerKey {
  const known = keys.parsed.get(row.kid);
  if (known?.signsFrom === row.signs_from) return known;
  if (known) {
    const moved = { ...known, signsFrom: row.signs_from }; // it signs earlier than was planned: the key before it was revoked
    keys.parsed.set(row.kid, moved);
    return moved;
  }
  const jwk = JSON.parse(encryption.open(signingKeyName(row.kid), row.private_jwk)) as PrivateJwk;
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

function rowOf(
  { encryption }: KeyDeps,
  jwk: PrivateJwk,
  { alg, usage, now, signsFrom }: { alg: JwsAlgorithm; usage: KeyUsage; now: number; signsFrom: number },
): SigningKeyRow {
  const kid = (jwk as { kid?: string }).kid;
  if (!kid) throw new Error('a generated key has no kid');
  const private_jwk = encryption.seal(signingKeyName(kid), JSON.stringify(jwk));
  return { kid, alg, private_jwk, created_at: now, signs_from: signsFrom, usage };
}

/** Where a signing key lies, for encryption. */
export const signingKeyName = (kid: string): string => `signing_keys/${kid}`;
