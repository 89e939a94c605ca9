/**
 * The keys by which a trusted issuer signs: kept as long as it says, within bounds, for all nodes; asked for anew when they are old or one
 * is unknown. Never while a transaction is open, and by one of all who want them.
 */
import { boundedCache, type JwsAlgorithm, sha256Base64url, type VerificationKey } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { type FetchedKeySet, fetchKeySet, keysFor } from '../lib/key-set.ts';
import { FetchError } from '../lib/safe-fetch.ts';
import { claimKeyFetch, findTrustedIssuer, keepIssuerKeys, noteIssuerFault } from './issuer-store.ts';
import { keysBelievedForMs, type TrustedIssuer } from './trusted-issuer.ts';

const minuteMs = 60_000;
/** How long an issuer has peace after it was asked, whoever shows us tokens that we can't judge. */
const askedAtMostEvery = minuteMs / 2;
/** For how long keys are kept before they are asked for again: what the issuer says, and an hour if it says nothing. */
const keptAtLeast = 5 * minuteMs;
const keptAtMost = 24 * 60 * minuteMs;
const keptByDefault = 60 * minuteMs;

/** What is written down of keys that were fetched at `now` (ms). */
export const keptKeys = ({ text, maxAgeMs = keptByDefault }: FetchedKeySet, now: number) => ({
  jwks: text,
  now,
  until: now + Math.min(Math.max(maxAgeMs, keptAtLeast), keptAtMost),
});

/** Which key a token says it was signed by. */
interface Named {
  alg: JwsAlgorithm;
  kid: string | undefined;
}

/**
 * The keys by which a token can be signed: those with its `kid`; without one the only key for its algorithm. None where the issuer has no such
 * key, or could not be asked for too long.
 */
export async function keysOfIssuer(deps: Deps, issuer: TrustedIssuer, named: Named): Promise<VerificationKey[]> {
  const known = fresh(deps, issuer, named);
  if (known.length > 0) return known;
  const now = (await findTrustedIssuer(deps.db, issuer.id)) ?? issuer; // another node may have asked
  const there = fresh(deps, now, named);
  if (there.length > 0) return there;
  const asked = await refreshedOnce(deps, now);
  return isBelieved(deps, asked) ? matching(asked, named) : [];
}

const fresh = (deps: Deps, issuer: TrustedIssuer, named: Named): VerificationKey[] =>
  deps.clock.now() < (issuer.jwksUntil ?? 0) ? matching(issuer, named) : [];

const isBelieved = ({ clock }: Deps, { jwksAt }: TrustedIssuer): boolean =>
  jwksAt !== undefined && clock.now() <= jwksAt + keysBelievedForMs;

/** Read once for the same keys, algorithm and name. */
const read = boundedCache<VerificationKey[]>(1000);

function matching({ jwks = '' }: TrustedIssuer, { alg, kid }: Named): VerificationKey[] {
  const name = JSON.stringify([sha256Base64url(jwks), alg, kid]);
  const known = read.get(name) ?? keysFor(jwks, { alg, kid });
  if (known.length > 0) read.set(name, known); // names of keys that there aren't are anybody's choice
  return kid === undefined && known.length > 1 ? [] : known;
}

const underWay = new WeakMap<object, Map<string, Promise<TrustedIssuer>>>();

/** Who comes while it is under way waits for it. */
async function refreshedOnce(deps: Deps, issuer: TrustedIssuer): Promise<TrustedIssuer> {
  const running = underWay.get(deps.db) ?? new Map<string, Promise<TrustedIssuer>>();
  underWay.set(deps.db, running);
  const started = running.get(issuer.id) ?? refreshed(deps, issuer);
  running.set(issuer.id, started);
  try {
    return await started;
  } finally {
    running.delete(issuer.id);
  }
}

/** The issuer with the keys that are known after asking for them, unless somebody asked just now. */
async function refreshed(deps: Deps, issuer: TrustedIssuer): Promise<TrustedIssuer> {
  const { db, clock } = deps;
  const now = clock.now();
  const mine = await db.settle((tx) => claimKeyFetch(tx, issuer.id, { now, since: now - askedAtMostEvery }));
  if (!mine) return (await findTrustedIssuer(db, issuer.id)) ?? issuer;
  try {
    const kept = keptKeys(await fetchKeySet(deps, issuer.jwksUri), now);
    await db.settle((tx) => keepIssuerKeys(tx, issuer, kept));
    return { ...issuer, jwks: kept.jwks, jwksAt: kept.now, jwksUntil: kept.until };
  } catch (error) {
    if (!(error instanceof FetchError)) throw error;
    deps.log.warn({ issuer: issuer.id, why: error.message }, 'the keys of a trusted issuer could not be fetched');
    await db.settle((tx) => noteIssuerFault(tx, issuer, error.message));
    return issuer;
  }
}
