import { sha256Base64url } from './encoding.ts';
import { ProtocolError } from './errors.ts';

/**
 * A certificate's thumbprint, as `x5t#S256` has it: SHA-256 of its DER, as base64url.
 * @param certificate its DER, or PEM with exactly one certificate
 * @throws ProtocolError `malformed`; whether it is a proper X.509 certificate is not asked
 * @see RFC 8705 §3.1
 */
export function certificateThumbprint(certificate: Uint8Array | string): string {
  const der = typeof certificate === 'string' ? derOf(certificate) : certificate;
  if (!isDerSequence(der)) throw new ProtocolError('malformed', 'the certificate is not DER');
  return sha256Base64url(der);
}

const pem = /^\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*$/;

function derOf(text: string): Buffer {
  const base64 = pem.exec(text)?.[1]?.replace(/\s+/g, '');
  if (base64 === undefined) throw new ProtocolError('malformed', 'the certificate is not PEM with one certificate');
  return decodeBase64(base64, 'the certificate');
}

/**
 * Decodes base64 in its one canonical form, with padding and without anything else.
 * @throws ProtocolError `malformed`
 * @see RFC 4648 §4
 */
export function decodeBase64(text: string, what: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length === 0 || bytes.toString('base64') !== text) {
    throw new ProtocolError('malformed', `${what} is not canonical base64`);
  }
  return bytes;
}

/**
 * Is this exactly one DER SEQUENCE, its length in the shortest form and nothing after it? As a certificate is: so two
 * spellings of one certificate can't have two thumbprints, and what is hashed is what is parsed.
 * @see X.690 §10.1
 */
export function isDerSequence(der: Uint8Array): boolean {
  const first = der[1];
  if (der[0] !== 0x30 || first === undefined) return false;
  if (first < 0x80) return der.length === 2 + first;
  const count = first - 0x80;
  if (count < 1 || count > 3 || der.length < 2 + count) return false;
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + der[2 + i]!;
  const shortest = length >= 0x80 && length >= 256 ** (count - 1);
  return shortest && der.length === 2 + count + length;
}
