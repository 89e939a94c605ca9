/** Certificates as administrators register them: parsed, bounded, and refused where they could prove nothing. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { ProtocolError, sha256Base64url } from '@bailiwick/protocol';

/** A certificate that may be registered, and what is kept of it. */
export interface ReadCertificate {
  /** PEM in its one form. */
  pem: string;
  /** SHA-256 of its DER, base64url. @see RFC 8705 §3.1 */
  x5t: string;
  /** For people: the parts as the certificate names them, the most specific first. */
  subject: string;
  /** Milliseconds. */
  notBefore: number;
  notAfter: number;
  ca: boolean;
}

const blocks = /-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g;
const authoritiesAtMost = 10;

const wrong = (code: string, message: string) => new ProtocolError(code, message);

/**
 * Reads PEM with exactly one certificate. Whether it is valid now is the caller's to ask.
 * @throws ProtocolError `private_key` | `malformed` | `weak_key`, whose message completes "certificate …"
 */
export function readCertificate(text: string): ReadCertificate {
  const found = certificatesIn(text);
  const [only] = found;
  if (only === undefined || found.length > 1) {
    throw wrong('malformed', 'must be one certificate, not a chain: the one that the agent presents');
  }
  return only;
}

/**
 * Reads PEM with the certificates of an authority, of which any may have issued.
 * @throws ProtocolError as `readCertificate`; `not_ca` for one that must not issue
 */
export function readAuthorities(text: string): ReadCertificate[] {
  const found = certificatesIn(text);
  if (found.length > authoritiesAtMost) throw wrong('malformed', `must be at most ${authoritiesAtMost} certificates`);
  if (found.some(({ ca }) => !ca)) {
    throw wrong('not_ca', 'must be certificates of an authority (CA:TRUE): this one may not issue any');
  }
  return [...new Map(found.map((one) => [one.x5t, one])).values()].toSorted((a, b) => (a.x5t < b.x5t ? -1 : 1));
}

/** The key in a certificate that was read before (PEM or DER), in a form that can be compared. */
export function keyIn(certificate: string | Buffer): string {
  return new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
}

function certificatesIn(text: string): ReadCertificate[] {
  const found = [...text.matchAll(blocks)];
  if (/PRIVATE KEY-----/.test(text)) {
    throw wrong(
      'private_key',
      'holds a private key, and only the certificate may travel: nothing was kept, but treat this key as lost and make another',
    );
  }
  if (found.length === 0) throw wrong('malformed', 'must be PEM: -----BEGIN CERTIFICATE----- …');
  return found.map(([, kind, base64 = '']) => {
    if (kind !== 'CERTIFICATE') throw wrong('malformed', `must be PEM of a certificate, not of a ${kind}`);
    return parsed(Buffer.from(base64, 'base64'));
  });
}

function parsed(der: Buffer): ReadCertificate {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(der);
  } catch {
    throw wrong('malformed', 'is no X.509 certificate, or was damaged on the way');
  }
  if (!certificate.raw.equals(der)) throw wrong('malformed', 'has something behind it');
  checkStrength(certificate);
  const [notBefore, notAfter] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()];
  if (Number.isNaN(notBefore) || Number.isNaN(notAfter)) throw wrong('malformed', 'has dates that nobody can read');
  const base64 = der.toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n');
  return {
    pem: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    x5t: sha256Base64url(der),
    subject: (certificate.subject ?? '').split('\n').toReversed().join(','),
    notBefore,
    notAfter,
    ca: certificate.ca,
  };
}

/** The keys and signatures that `svid/` accepts of a client, and none besides. */
function checkStrength(certificate: X509Certificate): void {
  if (!isStrong(keyOf(certificate))) {
    throw wrong('weak_key', 'must have a key of P-256, P-384, Ed25519, or RSA of 2048 to 8192 bits');
  }
  if (/md5|sha1(?!\d)/i.test(certificate.signatureAlgorithm ?? '')) {
    throw wrong('weak_key', 'must be signed with SHA-256 or better');
  }
}

function keyOf(certificate: X509Certificate): KeyObject | undefined {
  try {
    return certificate.publicKey;
  } catch {
    return undefined; // of an algorithm that this runtime doesn't know, or damaged
  }
}

function isStrong(key: KeyObject | undefined): boolean {
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = key?.asymmetricKeyDetails ?? {};
  switch (key?.asymmetricKeyType) {
    case 'ed25519':
      return true;
    case 'ec':
      return namedCurve === 'prime256v1' || namedCurve === 'secp384r1';
    case 'rsa':
      return modulusLength >= 2048 && modulusLength <= 8192 && publicExponent >= 65_537n;
    default:
      return false;
  }
}
