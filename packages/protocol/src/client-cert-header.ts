import { decodeBase64, isDerSequence } from './certificate.ts';
import { ProtocolError } from './errors.ts';

const maxLength = 32 * 1024;

/**
 * Reads a `Client-Cert` header: the client's certificate, as a proxy saw it. A byte sequence and nothing else: no
 * parameters, no list. **Believe it only of a proxy that is known to remove the header from what clients send.**
 * @param value the header's only value; join nothing: two headers are two answers, and so none
 * @returns the certificate's DER. That it can be parsed, is valid or trusted is the caller's to check
 * @throws ProtocolError `malformed`
 * @see RFC 9440 §2.2, RFC 9651 §4.2.7
 */
export function parseClientCert(value: string): Buffer {
  return readCertificate(trimSpaces(value, 'Client-Cert'), 'Client-Cert');
}

/**
 * Reads a `Client-Cert-Chain` header: what the client sent after its own certificate, in that order.
 * @param value the header's value, several lines joined by commas
 * @throws ProtocolError `malformed`
 * @see RFC 9440 §2.3, RFC 9651 §4.2.1
 */
export function parseClientCertChain(value: string): Buffer[] {
  const text = trimSpaces(value, 'Client-Cert-Chain');
  if (text === '') return [];
  return text.split(',').map((member) => {
    return readCertificate(member.replace(/^[ \t]+|[ \t]+$/g, ''), 'Client-Cert-Chain');
  });
}

/** Around an item spaces may stand, and no tabs. */
function trimSpaces(value: string, name: string): string {
  if (typeof value !== 'string' || value.length > maxLength) {
    throw new ProtocolError('malformed', `the ${name} header is too long`);
  }
  return value.replace(/^ +| +$/g, '');
}

function readCertificate(text: string, name: string): Buffer {
  if (text.length < 3 || !text.startsWith(':') || !text.endsWith(':')) {
    throw new ProtocolError('malformed', `the ${name} header is not base64 between colons`);
  }
  const der = decodeBase64(text.slice(1, -1), `the ${name} header`);
  if (!isDerSequence(der)) throw new ProtocolError('malformed', `the ${name} header holds no DER certificate`);
  return der;
}
