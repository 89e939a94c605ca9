/** Trust bundles of foreign domains, for tests. */
import { X509Certificate } from 'node:crypto';
import type { TestCertificate } from './certificates.ts';

/** The bundle of a trust domain whose SVIDs this authority issues. */
export function bundleOf({ pem, der }: Pick<TestCertificate, 'pem' | 'der'>): { keys: object[] } {
  const jwk = new X509Certificate(pem).publicKey.export({ format: 'jwk' });
  return { keys: [{ use: 'x509-svid', ...jwk, x5c: [der.toString('base64')] }] };
}
