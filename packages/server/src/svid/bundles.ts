/** The bundle of any trust domain that is known here. */
import { ProtocolError } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { foreignBundle } from '../federation/bundles.ts';
import { refreshedBundle } from '../federation/refresh.ts';
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
 * Verifies an identity by the bundle of its trust domain. If a foreign one was signed by an authority that its bundle doesn't have, the endpoint is
 * asked (as seldom as `refreshedBundle` says) and it is verified once more: others may rotate faster than they promised.
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
    const newer = await refreshedBundle(deps, asked, org);
    if (newer === undefined) throw error;
    return verify(async (trustDomain) => (trustDomain === asked ? newer : undefined));
  }
}
