/** The key of a certificate that a connection has shown: TLS proved it, whatever name the certificate bears. */
import { ProtocolError, thumbprint } from '@bailiwick/protocol';
import type { OAuthRequest } from '../decide/plan.ts';
import { readCertificate } from '../lib/x509.ts';

/** The RFC 7638 thumbprint of its key; nothing without a certificate, and for one that we can't read. */
export function keyOfConnection(certificate: OAuthRequest['certificate']): string | undefined {
  const [leaf] = certificate?.chain ?? [];
  if (leaf === undefined) return undefined;
  try {
    return thumbprint(readCertificate(leaf).publicJwk);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
