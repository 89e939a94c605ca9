/**
 * What is known of foreign trust domains, for whoever verifies an identity of one. All nodes share the database; what is kept
 * in memory is valid for one version of the registry, which a bundle that differs moves.
 */
import { type BoundedCache, boundedCache, ProtocolError } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { rememberedPer } from '../lib/remember.ts';
import type { Bundle } from '../lib/trust-bundle.ts';
import type { Queries } from '../store/database.ts';
import { BundleError, readBundle } from './endpoint.ts';
import { findTrustDomainOf } from './store.ts';
import { staleAt, type TrustDomain } from './trust-domain.ts';

const memory = rememberedPer<TrustDomain>(10_000);

/** Parsed once for the same text: what was verified against a bundle is remembered with its authorities. */
const parsed: BoundedCache<Bundle> = boundedCache(200);
/** The same by the row that it was read with, so that a large text is not compared for each identity. */
const parsedOf = new WeakMap<object, Bundle>();

/**
 * The bundle by which this organization judges identities of a foreign trust domain; undefined if it knows none of that name, if none
 * was fetched yet, and if the endpoint has not confirmed it for too long.
 * @param version of the registry, as `asOf` reads it
 */
export async function foreignBundle(
  deps: Deps,
  version: number,
  trustDomain: string,
  org: string,
): Promise<Bundle | undefined> {
  const load = () => findTrustDomainOf(deps.db, org, trustDomain);
  const known = await memory(deps.db).get(version, `${org} ${trustDomain}`, load);
  if (known === undefined) return undefined;
  if (isBelieved(known, deps.clock.now())) return bundleIn(known);
  const now = await load(); // it may have been confirmed since it was remembered, which moves no version
  return now && isBelieved(now, deps.clock.now()) ? bundleIn(now) : undefined;
}

/** Whether a trust domain's bundle is still believed at `now` (ms). */
export function isBelieved(domain: TrustDomain, now: number): boolean {
  const end = staleAt(domain, bundleIn(domain)?.refreshHint);
  return end === undefined || now < end;
}

/** The last bundle of a trust domain, believed or not; undefined too for one that this version of the program doesn't accept any more. */
export function bundleIn(domain: Pick<TrustDomain, 'name' | 'bundle'>): Bundle | undefined {
  const { name, bundle: text } = domain;
  if (text === undefined) return undefined;
  let known = parsedOf.get(domain) ?? parsed.get(`${name} ${text}`);
  if (known === undefined) {
    try {
      known = readBundle(text, name);
    } catch (error) {
      if (error instanceof ProtocolError || error instanceof BundleError) return undefined;
      throw error;
    }
    parsed.set(`${name} ${text}`, known);
  }
  parsedOf.set(domain, known);
  return known;
}

/** Whether this organization accepts identities of the trust domain at all: what a credential has to name. */
export async function knowsTrustDomain(q: Queries, org: string, trustDomain: string): Promise<boolean> {
  return (await findTrustDomainOf(q, org, trustDomain)) !== undefined;
}
