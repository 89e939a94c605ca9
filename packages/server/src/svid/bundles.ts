/** The bundle of any trust domain that is known here. */
import type { Deps } from '../deps.ts';
import { foreignBundle } from '../federation/bundles.ts';
import { type Bundle, ownBundle } from './bundle.ts';

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
