/**
 * `tls_client_auth`: a name is registered, and any certificate proves it that an authority has issued for that name. The
 * authority is the one in the credential; without one, this server's own.
 * @see RFC 8705 §2.1
 */
import { boundedCache, ProtocolError } from '@bailiwick/protocol';
import type { CertificateSubject, OtherCredential } from '../credentials/credential.ts';
import type { Deps } from '../deps.ts';
import { pemBlocks } from '../lib/x509.ts';
import { isOwnAuthority } from '../svid/bundles.ts';
import { type VerifiedLeaf, verifyChain } from '../svid/verify-x509.ts';
import type { CertificateAuthentication, Proven, Shown } from './by-certificate.ts';
import { carriesName } from './certificate-name.ts';
import { failed } from './failed.ts';
import type { Registration } from './registration.ts';
import { holderOf, verifiedSvid } from './spiffe-holder.ts';

type SubjectCredential = Extract<OtherCredential, { kind: 'certificate_subject' }>;

export const tlsClientAuth = {
  method: 'tls_client_auth',

  async prove(deps: Deps, shown: Shown, registration: Registration | undefined): Promise<Proven | undefined> {
    const now = deps.clock.now();
    costAnyway(shown, now);
    const registered = (registration?.others ?? []).filter(
      (credential): credential is SubjectCredential =>
        credential.kind === 'certificate_subject' && (credential.expiresAt === undefined || credential.expiresAt > now),
    );
    let refusal: unknown;
    for (const credential of registered) {
      try {
        const proven = await proves(deps, shown, credential, registration as Registration);
        if (proven) return proven;
        refusal ??= failed('the certificate has another name');
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        refusal ??= error;
      }
    }
    if (refusal !== undefined) throw refusal;
    return undefined;
  },
} as const satisfies CertificateAuthentication;

/** The chain first (§2.1.1), then the name (§2.1.2). */
async function proves(
  deps: Deps,
  shown: Shown,
  credential: SubjectCredential,
  { agent }: Registration,
): Promise<Proven | undefined> {
  const { certificate, asOf, work } = shown;
  const { detail } = credential;
  let leaf: VerifiedLeaf | undefined;
  let instance: Proven['instance'];
  let holderEndsAt: number | undefined;
  if (detail.ca !== undefined) {
    leaf = verifyChain(certificate.chain, {
      anchors: anchorsOf(detail),
      now: deps.clock.now(),
      purpose: 'client',
      work,
    });
  }
  if (!leaf || (await isOwnAuthority(deps, asOf.version, leaf.authorityKeys))) {
    // what our own authority issues is an SVID, whoever else vouches for that: it stands for whoever it names, and for nobody else
    // with the same name in it
    leaf = await verifiedSvid(deps, shown);
    const holder = await holderOf(deps, shown, leaf);
    if (holder?.agent.id !== agent.id) return undefined;
    instance = holder.instance;
    holderEndsAt = holder.credentialEndsAt;
  }
  if (!carriesName(leaf, detail)) return undefined;
  return {
    agent,
    credential: credential.id,
    thumbprint: certificate.x5t,
    attested: { [detail.field]: detail.value },
    credentialEndsAt: Math.min(
      leaf.notAfter,
      ...[credential.expiresAt, holderEndsAt].filter((end) => end !== undefined),
    ),
    instance,
  };
}

const nobody: readonly Buffer[] = [];

/** Whoever has registered no name: their chain is read all the same, or how long it takes would tell. */
function costAnyway({ certificate }: Shown, now: number): void {
  try {
    verifyChain(certificate.chain, { anchors: nobody, now, purpose: 'client' });
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
}

const anchors = boundedCache<Buffer[]>(1000);

/** The same array for the same authorities: what was verified against it is remembered by it. */
function anchorsOf({ ca = '' }: CertificateSubject): readonly Buffer[] {
  let known = anchors.get(ca);
  if (known === undefined) {
    known = pemBlocks(ca, 'CERTIFICATE');
    anchors.set(ca, known);
  }
  return known;
}
