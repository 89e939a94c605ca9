/**
 * The certificate authority: roots, which verifiers know from the trust bundle, and the intermediates through which they
 * sign, all ECDSA P-256; beside them the keys of JWT-SVIDs. A root is published long before anything is signed under it
 * and stays until the last thing that was has ended, so rotation never breaks a verifier. `ca-schedule.ts` says when.
 */
import { generateJwk, type PrivateJwk } from '@bailiwick/protocol';
import type { Random } from '../lib/random.ts';
import { touchRegistry } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import { type Authority, authorityOf } from './authority.ts';
import { makeIntermediate, makeRoot } from './ca-make.ts';
import { type AuthorityStanding, type Due, publishMs, standings, whatIsDue } from './ca-schedule.ts';
import {
  type AuthorityRow,
  deleteAuthority,
  insertAuthority,
  nextBundle,
  readBundleState,
  selectAuthorities,
} from './ca-store.ts';
import { type KeyDeps, readServerKeys, rotateSigningKey, type ServerKey } from './keys.ts';
import { deleteSigningKey, selectSigningKeys } from './store.ts';

export interface CaDeps extends KeyDeps {
  random: Random;
  config: KeyDeps['config'] & { trust_domain: string; spiffe: { refresh_hint_seconds: number } };
}

/** Who signs certificates now, and whose certificates lead from there to the root. */
export interface SigningAuthority {
  intermediate: Authority;
  root: Authority;
}

/**
 * The authority that signs now.
 * @param version of the registry, as `asOf` reads it
 * @throws Error when there is none: `makeFirstAuthority` makes one at the start
 */
export async function signingAuthority(deps: CaDeps, version: number): Promise<SigningAuthority> {
  const now = deps.clock.now();
  const known = await authorities(deps, version);
  let intermediate: Authority | undefined;
  for (const each of known) {
    if (each.kind === 'intermediate' && (intermediate === undefined || each.signsFrom <= now)) intermediate = each;
  }
  const root = known.find(({ id }) => id === intermediate?.root);
  if (intermediate === undefined || root === undefined) throw new Error('there is no certificate authority');
  return { intermediate, root };
}

/** Every authority, and how it stands. */
export async function authorityStates(deps: CaDeps, version: number): Promise<AuthorityStanding<Authority>[]> {
  return standings(await authorities(deps, version), deps.clock.now());
}

/** What the trust bundle is made of: the roots, the keys of JWT-SVIDs, and its number. It changes by writes alone. */
export interface BundleContent {
  sequence: number;
  refreshHintSeconds: number;
  roots: readonly Authority[];
  jwtKeys: readonly ServerKey[];
}

/** @param version of the registry, as `asOf` reads it */
export async function bundleContent(deps: CaDeps, version: number): Promise<BundleContent> {
  const content = await deps.keys.bundle.get(version, 'own', () =>
    // in one settlement, which no write to the registry can fall into: a number never stands with another number's keys
    deps.db.settle(async (tx) => {
      const state = await readBundleState(tx);
      if (state === undefined) throw new Error('there is no trust bundle');
      const rows = await selectAuthorities(tx);
      return {
        sequence: state.sequence,
        refreshHintSeconds: state.refresh_hint_seconds,
        roots: rows.filter(({ kind }) => kind === 'root').map((row) => parsed(deps, row)),
        jwtKeys: await readServerKeys(tx, deps, 'jwt_svid'),
      };
    }),
  );
  return content as BundleContent;
}

async function authorities(deps: CaDeps, version: number): Promise<Authority[]> {
  const known = await deps.keys.authorities.get(version, 'all', async () =>
    (await selectAuthorities(deps.db)).map((row) => parsed(deps, row)),
  );
  return known ?? [];
}

/** Parsed once, as long as it is there. */
function parsed({ keys, encryption }: CaDeps, row: AuthorityRow): Authority {
  const known = keys.parsedAuthorities.get(row.id);
  if (known !== undefined) return known;
  const authority = authorityOf(encryption, row);
  keys.parsedAuthorities.set(row.id, authority);
  return authority;
}

/**
 * Makes the first root, intermediate and key for JWT-SVIDs, if there are none, and what else has fallen due since the last start; and tells
 * verifiers of another refresh hint. That isn't the job's, or two nodes with two configurations would go on changing it for each other.
 */
export async function makeFirstAuthority(deps: CaDeps): Promise<void> {
  await keepAuthority(deps);
  const hint = deps.config.spiffe.refresh_hint_seconds;
  if ((await readBundleState(deps.db))?.refresh_hint_seconds === hint) return;
  await deps.db.transaction(async (tx) => {
    await nextBundle(tx, hint);
    await touchRegistry(tx);
  });
}

/**
 * Does what is due: makes successors in time, deletes what is over, private halves and all. Safe on several nodes at
 * once. Answers whether anything was done.
 */
export async function keepAuthority(deps: CaDeps): Promise<boolean> {
  if (!(await workOf(deps.db, deps)).any) return false;
  const fresh = await freshKeys();
  return deps.db.transaction((tx) => doWhatIsDue(tx, deps, fresh));
}

/** Keys for what may have to be made; got before the transaction. */
export interface FreshKeys {
  root: PrivateJwk;
  /** For the first intermediate of that root. */
  underRoot: PrivateJwk;
  intermediate: PrivateJwk;
  jwtKey: PrivateJwk;
}

export async function freshKeys(): Promise<FreshKeys> {
  const [root, underRoot, intermediate, jwtKey] = await Promise.all([
    generateJwk('ES256'),
    generateJwk('ES256'),
    generateJwk('ES256'),
    generateJwk('ES256'),
  ]);
  return { root, underRoot, intermediate, jwtKey };
}

/** What can be rotated by hand. */
export const rotatable = ['root', 'intermediate', 'jwt_svid_key'] as const;
export type Rotatable = (typeof rotatable)[number];

/**
 * Makes a successor. A root or key for JWT-SVIDs signs once every verifier has had time to fetch it, an intermediate at once.
 * @returns its id and when it begins to sign (milliseconds); if a successor is waiting already, that one
 */
export async function rotateAuthority(
  tx: Tx,
  deps: CaDeps,
  what: Rotatable,
  fresh: FreshKeys,
): Promise<{ id: string; signsFrom: number; made: boolean }> {
  const { refresh_hint_seconds: hint } = deps.config.spiffe;
  if (what === 'jwt_svid_key') {
    const { kid, signsFrom, made } = await rotateJwtKey(tx, deps, fresh.jwtKey);
    if (made) await nextBundle(tx, hint);
    return { id: kid, signsFrom, made };
  }
  const now = deps.clock.now();
  const rows = await selectAuthorities(tx);
  const all = standings(rows.map(begunOf), now);
  if (what === 'root') {
    const waiting = all.find(({ kind, state }) => kind === 'root' && state === 'published');
    if (waiting !== undefined) return { id: waiting.id, signsFrom: waiting.signsFrom, made: false };
    const root = await insertRoot(tx, deps, fresh, publishMs);
    await nextBundle(tx, hint);
    await touchRegistry(tx);
    return { id: root.id, signsFrom: root.signsFrom, made: true };
  }
  const signing = all.find(({ kind, state }) => kind === 'intermediate' && state === 'signing');
  const root = rows.find(({ id }) => id === signing?.root);
  if (signing === undefined || root === undefined) throw new Error('there is no certificate authority');
  if (signing.signsFrom >= now) return { id: signing.id, signsFrom: signing.signsFrom, made: false };
  const row = await insertIntermediate(tx, deps, fresh.intermediate, authorityOf(deps.encryption, root));
  await touchRegistry(tx);
  return { id: row.id, signsFrom: now, made: true };
}

/** What is due, and whether others will see it: the bundle doesn't tell of intermediates. */
interface Work extends Due {
  any: boolean;
  bundle: boolean;
}

async function workOf(q: Queries, { clock }: CaDeps): Promise<Work> {
  const rows = await selectAuthorities(q);
  const jwtKeys = (await selectSigningKeys(q, 'jwt_svid')).map((row) => ({ kid: row.kid, signsFrom: row.signs_from }));
  const due = whatIsDue(rows.map(begunOf), jwtKeys, clock.now());
  const bundle =
    due.root !== undefined ||
    due.jwtKey !== undefined ||
    due.goneKeys.length > 0 ||
    rows.some(({ kind, id }) => kind === 'root' && due.gone.includes(id));
  return { ...due, bundle, any: bundle || due.intermediate !== undefined || due.gone.length > 0 };
}

const begunOf = (row: AuthorityRow) => ({
  id: row.id,
  kind: row.kind,
  root: row.issuer ?? undefined,
  createdAt: row.created_at,
  signsFrom: row.signs_from,
  expiresAt: row.expires_at,
});

async function doWhatIsDue(tx: Tx, deps: CaDeps, fresh: FreshKeys): Promise<boolean> {
  const work = await workOf(tx, deps);
  if (!work.any) return false; // another node was faster
  for (const id of work.gone) await deleteAuthority(tx, id);
  for (const kid of work.goneKeys) await deleteSigningKey(tx, kid);
  if (work.jwtKey) await rotateJwtKey(tx, deps, fresh.jwtKey);
  if (work.root) await insertRoot(tx, deps, fresh, work.root.publishMs);
  if (work.intermediate) {
    const row = (await selectAuthorities(tx)).find(({ id }) => id === work.intermediate?.root);
    if (row === undefined) throw new Error('the root of a new intermediate is gone');
    await insertIntermediate(tx, deps, fresh.intermediate, authorityOf(deps.encryption, row));
  }
  if (work.bundle) await nextBundle(tx, deps.config.spiffe.refresh_hint_seconds);
  await touchRegistry(tx);
  return true;
}

async function insertRoot(tx: Tx, deps: CaDeps, fresh: FreshKeys, publishedForMs: number): Promise<Authority> {
  const now = deps.clock.now();
  const signsFrom = now + publishedForMs;
  const root = makeRoot(deps, fresh.root, { now, signsFrom });
  await insertAuthority(tx, root.row);
  await insertAuthority(tx, makeIntermediate(deps, fresh.underRoot, root.authority, { now, signsFrom }).row);
  return root.authority;
}

async function insertIntermediate(tx: Tx, deps: CaDeps, key: PrivateJwk, root: Authority): Promise<AuthorityRow> {
  const now = deps.clock.now();
  const { row } = makeIntermediate(deps, key, root, { now, signsFrom: now });
  await insertAuthority(tx, row);
  return row;
}

const rotateJwtKey = (tx: Tx, deps: CaDeps, fresh: PrivateJwk) =>
  rotateSigningKey(tx, deps, 'ES256', fresh, { usage: 'jwt_svid', publishMs });
