import { certificateThumbprint, type Networks, ProtocolError, parseClientCert } from '@bailiwick/protocol';
import { Refusal } from './refusal.ts';
import type { GuardRequest } from './request.ts';

/** Where a client's certificate may be learned from, beside the connection itself. */
export interface CertificateSources {
  /** Whether any proxy was named that ends TLS in front of this process. */
  hasProxies: boolean;
  /** Who may say in a `Client-Cert` header which certificate the client has proven to hold. */
  isProxy: Networks;
}

/** Whether the holder of a token that is bound to a certificate has a chance here: is it ever seen? */
export function seesCertificates(sources: CertificateSources, request: GuardRequest): boolean {
  return sources.hasProxies || request.certificate !== undefined;
}

/**
 * Checks that the client has the certificate that its token is bound to: that of the TLS connection, in which it has proven to
 * hold the key, or what a trusted proxy says of the connection that ended there. Whom the certificate names, who
 * signed it and until when doesn't matter here: the thumbprint is the binding.
 * @param bound the token's `cnf['x5t#S256']`
 * @throws Refusal `invalid_token`
 * @see RFC 8705 §3
 */
export function checkCertificate(
  sources: CertificateSources,
  request: GuardRequest,
  bound: string,
  report: (problem: string) => void,
): void {
  const certificate = presented(sources, request, report);
  if (certificate === undefined) {
    if (!seesCertificates(sources, request)) {
      const detail = 'The access token is bound to a certificate, and this resource sees none.';
      throw refused(detail, 'certificates are not seen here');
    }
    const detail = 'The access token is bound to a certificate: present that in the TLS connection.';
    throw refused(detail, 'no certificate');
  }
  if (certificateThumbprint(certificate) !== bound) {
    const detail = 'The access token is bound to another certificate than the one that was presented.';
    throw refused(detail, 'another certificate');
  }
}

/**
 * From a proxy its header counts and nothing else: the certificate of the connection is then the proxy's own. From everyone else the
 * header is not read: whoever can write one would have any certificate.
 */
function presented(
  sources: CertificateSources,
  request: GuardRequest,
  report: (problem: string) => void,
): Uint8Array | undefined {
  const { remoteAddress } = request;
  if (remoteAddress === undefined || !sources.isProxy(remoteAddress)) return request.certificate?.();
  const values = request.headers['client-cert'];
  if (values === undefined) return undefined;
  try {
    if (values.length !== 1) throw new ProtocolError('malformed', 'there is more than one Client-Cert header');
    return parseClientCert(values[0]!);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    report(`A proxy passes certificates on in a way that can't be read (RFC 9440): ${error.message}.`);
    const detail = 'The access token is bound to a certificate, and the one presented did not arrive here whole.';
    throw refused(detail, `Client-Cert: ${error.message}`);
  }
}

function refused(detail: string, reason: string): Refusal {
  return new Refusal('invalid_token', detail, { reason });
}
