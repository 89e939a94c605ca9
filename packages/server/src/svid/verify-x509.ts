/** Who a certificate chain speaks for: validated by `lib/x509-verify.ts`, with the authorities of the right trust domain. */
import { ProtocolError, parseSpiffeId } from '@bailiwick/protocol';
import type { Bundle } from '../lib/trust-bundle.ts';
import {
  type Purpose,
  spiffeIdOf,
  unverifiedUris,
  type VerifiedLeaf,
  verifyChain,
  type Work,
} from '../lib/x509-verify.ts';

export { type Purpose, spiffeIdOf, type VerifiedLeaf, verifyChain } from '../lib/x509-verify.ts';

/** The bundle of a trust domain, if that is known here: our own, or one that an administrator has added. */
export type Bundles = (trustDomain: string) => Promise<Bundle | undefined>;

/**
 * Validates an X.509-SVID with the bundle of the trust domain that it names, and no other.
 * @param chain DER, the leaf first
 * @param now milliseconds
 * @throws ProtocolError as `verifyChain` and `spiffeIdOf`; `unknown_trust_domain` where there is no bundle
 * @see X509-SVID §5
 */
export async function verifyX509Svid(
  chain: readonly Buffer[],
  { bundles, now, purpose, work }: { bundles: Bundles; now: number; purpose: Purpose; work?: Work | undefined },
): Promise<VerifiedLeaf & { spiffeId: string }> {
  const [leaf] = chain;
  if (leaf === undefined) throw new ProtocolError('malformed', 'there is no certificate');
  const spiffeId = spiffeIdOf({ uris: unverifiedUris(leaf) });
  const bundle = await bundles(parseSpiffeId(spiffeId).trustDomain);
  if (bundle === undefined) throw new ProtocolError('unknown_trust_domain', 'the trust domain is not known here');
  return { ...verifyChain(chain, { anchors: bundle.x509Authorities, now, purpose, work }), spiffeId };
}
