// Certificates for both sides, made by a library that neither of them reads with.
import { makeAuthority, makeCertificate, type TestCertificate } from '../packages/server/src/testing/certificates.ts';

export type Certificate = TestCertificate;

const day = 24 * 60 * 60 * 1000;
const valid = () => ({ from: Date.now() - day, until: Date.now() + day });

/** Vouches for clients, or for a server. */
export function authority(subject: string): Promise<Certificate> {
  return makeAuthority(subject, valid());
}

/** Of a server on this machine. */
export function serverCertificate(issuer: Certificate): Promise<Certificate> {
  return makeCertificate({ issuer, names: [['ip', '127.0.0.1']], purposes: ['1.3.6.1.5.5.7.3.1'], ...valid() });
}

/** Of a client that is known by a URI. */
export function clientCertificate(issuer: Certificate, uri: string): Promise<Certificate> {
  return makeCertificate({ issuer, names: [['url', uri]], ...valid() });
}
