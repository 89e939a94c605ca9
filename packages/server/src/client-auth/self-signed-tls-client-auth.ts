/**
 * `self_signed_tls_client_auth`: one certificate is registered, whoever issued it, and the handshake proves its key.
 * @see RFC 8705 §2.2
 */
import type { Deps } from '../deps.ts';
import type { CertificateAuthentication, Proven, Shown } from './by-certificate.ts';
import { failed } from './failed.ts';
import type { Registration } from './registration.ts';

export const selfSignedTlsClientAuth = {
  method: 'self_signed_tls_client_auth',

  /** §2.2: no chain is validated; the certificate is the registered one, to the bit, and within its time. */
  async prove(
    { clock }: Deps,
    { certificate }: Shown,
    registration: Registration | undefined,
  ): Promise<Proven | undefined> {
    const now = clock.now();
    for (const credential of registration?.others ?? []) {
      if (credential.kind !== 'certificate' || credential.thumbprint !== certificate.x5t) continue;
      const { not_before, not_after } = credential.detail;
      if (now < not_before) throw failed('not_yet_valid');
      if (now > not_after || (credential.expiresAt !== undefined && credential.expiresAt <= now))
        throw failed('expired');
      return {
        agent: (registration as Registration).agent,
        credential: credential.id,
        thumbprint: credential.thumbprint,
        credentialEndsAt: Math.min(not_after, credential.expiresAt ?? not_after),
      };
    }
    return undefined;
  },
} as const satisfies CertificateAuthentication;
