/** Certificate requests (PKCS #10): what somebody would like in a certificate, and the proof that they hold the key. */
import type { PublicJwk } from '@bailiwick/protocol';
import { ProtocolError } from '@bailiwick/protocol';
import { atEnd, bitsOf, end, malformed, oidOf, only, readerOf, smallOf, tags, take } from './der.ts';
import { type AlternativeNames, extensionIds, maxCertificateBytes, pemBlocks, readExtensions } from './x509.ts';
import { publicKeyOf, readSpki, signatureHolds } from './x509-key.ts';
import { dnOf } from './x509-name.ts';

export interface CertificateRequest {
  publicJwk: PublicJwk;
  /** RFC 4514; empty if it asks for none. */
  subjectDn: string;
  /** What it asks for as subjectAltName. */
  names: AlternativeNames;
  /** Object identifiers of everything else that it asks for: other extensions, and other attributes. */
  others: readonly string[];
}

const extensionRequest = '1.2.840.113549.1.9.14';

/**
 * Reads a certificate request and verifies that it was signed by the key that it is for. Nothing that it asks for is believed or given here.
 * @param request PEM with one request, or its DER
 * @throws ProtocolError `malformed`, `weak_key`, `unsupported_algorithm` or `bad_signature`
 * @see RFC 2986 §4
 */
export function readCertificateRequest(request: string | Buffer): CertificateRequest {
  const bytes = typeof request === 'string' ? fromPem(request) : request;
  if (bytes.length > maxCertificateBytes) malformed('the certificate request is too long');
  const outer = readerOf(only(bytes, tags.sequence).content);
  const info = take(outer, tags.sequence);
  const algorithm = take(outer, tags.sequence).bytes;
  const signature = bitsOf(take(outer, tags.bitString));
  end(outer);
  const inner = readerOf(info.content);
  if (smallOf(take(inner, tags.integer)) !== 0) malformed('the certificate request is not of version 1');
  const subject = take(inner, tags.sequence).bytes;
  const spki = take(inner, tags.sequence).bytes;
  const asked = readAttributes(take(inner, 0xa0).content);
  end(inner);
  const publicJwk = readSpki(spki);
  if (!signatureHolds({ bytes: info.bytes, algorithm, signature }, publicKeyOf(spki), publicJwk.kty)) {
    throw new ProtocolError('bad_signature', 'the certificate request was not signed by the key that it is for');
  }
  return { publicJwk, subjectDn: dnOf(subject), ...asked };
}

function fromPem(text: string): Buffer {
  const [bytes, ...more] = pemBlocks(text, 'CERTIFICATE REQUEST');
  if (bytes === undefined || more.length > 0) return malformed('this is no PEM with one CERTIFICATE REQUEST');
  return bytes;
}

function readAttributes(content: Buffer): { names: AlternativeNames; others: string[] } {
  let names: AlternativeNames = { uris: [], dnsNames: [], ips: [], emails: [], others: 0 };
  const others: string[] = [];
  let extended = false;
  const reader = readerOf(content);
  while (!atEnd(reader)) {
    const attribute = readerOf(take(reader, tags.sequence).content);
    const id = oidOf(take(attribute, tags.oid));
    const values = readerOf(take(attribute, tags.set).content);
    end(attribute);
    if (id !== extensionRequest) {
      others.push(id);
      continue;
    }
    if (extended) malformed('the certificate request asks for extensions twice');
    extended = true;
    const asked = readExtensions(take(values, tags.sequence));
    end(values);
    names = asked.names ?? names;
    others.push(...asked.ids.filter((each) => each !== extensionIds.subjectAltName));
  }
  return { names, others };
}
