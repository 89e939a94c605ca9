/** The bundle of any trust domain that is known here. */
import { type BoundedCache, boundedCache, ProtocolError } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { foreignBundle } from '../federation/bundles.ts';
import { refreshedBundle } from '../federation/refresh.ts';
import { authorityStates } from '../keys/ca.ts';
import { keyIdOf } from '../lib/x509-verify.ts';
import { type Bundle, ownBundle } from './bundle.ts';
import type { Bundles } from './verify-x509.ts';

/**
 * The bundle of a trust domain: our own, or one that an administrator of this organization has registered; undefined for strangers.
 * Organizations don't believe each other's partners: an identity of a foreign trust domain is judged by what the organization of the agent
 * knows that it stands for.
 * @param version of the registry, as `asOf` reads it
 * @param org whose agent the identity stands for; undefined where nobody is known who has it
 */
export async function bundleOf(
  deps: Deps,
  version: number,
  trustDomain: string,
  org?: string,
): Promise<Bundle | undefined> {
  if (trustDomain === deps.config.trust_domain) return ownBundle(deps, version);
  return org === undefined ? undefined : foreignBundle(deps, version, trustDomain, org);
}

/** What a newer bundle may mend: who signed it is not in the one that we have, or we have none that is still believed. */
const mendable = new Set(['unknown_ca', 'unknown_key', 'unknown_trust_domain']);

/**
 * Verifies an identity by the bundle of its trust domain. If a foreign one was signed by an authority that its bundle doesn't have, it is
 * refused, and the endpoint is asked (as seldom as `refreshedBundle` says) for whoever comes next: others may rotate faster than they
 * promised. Nobody waits for that, or waiting would tell a stranger which identities are registered here.
 * @param org as for `bundleOf`
 * @throws what `verify` throws
 */
export async function verifiedByBundles<Result>(
  deps: Deps,
  version: number,
  org: string | undefined,
  verify: (bundles: Bundles) => Promise<Result>,
): Promise<Result> {
  let asked = deps.config.trust_domain;
  try {
    return await verify((trustDomain) => {
      asked = trustDomain;
      return bundleOf(deps, version, trustDomain, org);
    });
  } catch (error) {
    if (!(error instanceof ProtocolError) || !mendable.has(error.code)) throw error;
    if (org === undefined || asked === deps.config.trust_domain) throw error;
    askForNewer(deps, asked, org);
    throw error;
  }
}

interface Asking {
  /** When each was asked last (ms), so that junk costs no look into the database each time. */
  last: BoundedCache<number>;
  underWay: Set<Promise<unknown>>;
}

const asking = new WeakMap<object, Asking>();
const askedAtMostEvery = 30_000;

function askForNewer(deps: Deps, trustDomain: string, org: string): void {
  const known = asking.get(deps.db) ?? { last: boundedCache(1000), underWay: new Set() };
  asking.set(deps.db, known);
  const [key, now] = [`${org} ${trustDomain}`, deps.clock.now()];
  if (now - (known.last.get(key) ?? Number.NEGATIVE_INFINITY) < askedAtMostEvery) return;
  known.last.set(key, now);
  const answered = refreshedBundle(deps, trustDomain, org)
    .catch((err) => deps.log.warn({ err, trust_domain: trustDomain }, 'a foreign bundle could not be asked for'))
    .finally(() => known.underWay.delete(answered));
  known.underWay.add(answered);
}

/** Done when every endpoint that was being asked because of an unknown authority has answered. */
export async function bundlesAsked({ db }: Pick<Deps, 'db'>): Promise<void> {
  await Promise.all(asking.get(db)?.underWay ?? []);
}

/**
 * Whether one of these keys (`VerifiedLeaf.authorityKeys`) is of our own authorities, of those that wait or have signed before as well.
 * @param version of the registry, as `asOf` reads it
 */
export async function isOwnAuthority(deps: Deps, version: number, keys: readonly string[]): Promise<boolean> {
  return (await authorityStates(deps, version)).some(({ certificate }) => keys.includes(keyIdOf(certificate)));
}
