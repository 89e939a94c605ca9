/**
 * `spiffe_x509`: an X.509-SVID of our own trust domain, or of one that this server federates with. The client is who the
 * SVID names; it says so itself, by the SPIFFE ID or by the id of the agent.
 * @see draft-ietf-oauth-spiffe-client-auth §3.2, X509-SVID §5
 */
import type { PresentedCertificate } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { unverifiedUris } from '../lib/x509-verify.ts';
import { spiffeIdOf } from '../svid/verify-x509.ts';
import type { CertificateAuthentication, Proven, Shown } from './by-certificate.ts';
import { failed } from './failed.ts';
import { holderOf, verifiedSvid } from './spiffe-holder.ts';

export const spiffeX509 = {
  method: 'spiffe_x509',

  async prove(deps: Deps, shown: Shown): Promise<Proven | undefined> {
    const { clientId, certificate } = shown;
    if (!namesWorkload(certificate)) return undefined;
    const leaf = await verifiedSvid(deps, shown); // rules 1, 3 and 4
    const spiffeId = spiffeIdOf(leaf); // rule 2
    if (clientId.startsWith('spiffe:') && clientId !== spiffeId) throw failed('client_id is not the SPIFFE ID');
    const holder = await holderOf(deps, shown, leaf); // rule 5
    if (!holder) throw failed('nobody has this SPIFFE ID');
    if (!clientId.startsWith('spiffe:') && clientId !== holder.agent.id) throw failed('the SVID of somebody else');
    return {
      ...holder,
      attested: { spiffe_id: spiffeId },
      credentialEndsAt: Math.min(leaf.notAfter, holder.credentialEndsAt ?? leaf.notAfter),
    };
  },
} as const satisfies CertificateAuthentication;

const looked = new WeakMap<PresentedCertificate, boolean>();

/** Whether it would be an SVID, good or bad. A connection has one certificate, which is read once. */
function namesWorkload(certificate: PresentedCertificate): boolean {
  let known = looked.get(certificate);
  if (known === undefined) {
    known = unverifiedUris(certificate.chain[0] as Buffer).some((uri) => /^spiffe:/i.test(uri));
    looked.set(certificate, known);
  }
  return known;
}
