/**
 * Strict validation of a certificate chain (RFC 5280 §6, narrower): what we don't understand, we don't accept. A leaf
 * leads through at most a few authorities, in the order in which it was sent, to one of the anchors.
 */
import type { KeyObject } from 'node:crypto';
import {
  type BoundedCache,
  boundedCache,
  ProtocolError,
  type PublicJwk,
  parseSpiffeId,
  sha256Base64url,
} from '@bailiwick/protocol';
import { type Certificate, extendedKeyUsages, keyUsages, readCertificate, subjectDn } from './x509.ts';
import { publicKeyOf, signatureHolds } from './x509-key.ts';

export type Purpose = keyof typeof extendedKeyUsages;

/** The end of a chain that holds. */
export interface VerifiedLeaf {
  /** Where it has exactly one URI, and that is a proper SPIFFE ID with a path. */
  spiffeId: string | undefined;
  /** RFC 4514; empty if it has none. */
  subjectDn: string;
  dnsNames: readonly string[];
  uris: readonly string[];
  ips: readonly string[];
  emails: readonly string[];
  publicJwk: PublicJwk;
  x5t: string;
  /** Milliseconds. */
  notBefore: number;
  notAfter: number;
  /** Always false: a leaf that may sign is refused. */
  ca: false;
}

export const maxChainLength = 5;

const refused = (code: string, message: string) => new ProtocolError(code, message);

interface Remembered {
  leaf: VerifiedLeaf;
  notBefore: number;
  notAfter: number;
}

/** By the anchors (which the caller keeps and doesn't change): what held once holds while everything in it is valid. */
const verified = new WeakMap<readonly Buffer[], BoundedCache<Remembered>>();
const parsedAnchors = new WeakMap<readonly Buffer[], readonly Anchor[]>();

type Anchor = Certificate & { key: KeyObject };

/**
 * Validates a chain. What held is remembered for these anchors until something in it ends.
 * @param chain DER, the leaf first, each signed by the next; an anchor itself may stand at its end
 * @param anchors DER of the authorities that are believed. Keep one array for one set, and don't change it
 * @param now milliseconds
 * @throws ProtocolError `malformed`, `chain_too_long`, `weak_key`, `unsupported_algorithm`, `critical_extension`,
 *   `name_constraints`, `not_yet_valid`, `expired`, `ca_leaf`, `not_a_ca`, `key_usage`, `extended_key_usage`, `path_length`,
 *   `unknown_ca` or `bad_signature`
 * @see RFC 5280 §6.1, X509-SVID §5
 */
export function verifyChain(
  chain: readonly Buffer[],
  { anchors, now, purpose }: { anchors: readonly Buffer[]; now: number; purpose: Purpose },
): VerifiedLeaf {
  const [first] = chain;
  if (first === undefined) throw refused('malformed', 'there is no certificate');
  if (chain.length > maxChainLength)
    throw refused('chain_too_long', `at most ${maxChainLength} certificates are looked at`);
  const memory = memoryOf(anchors);
  const id = `${purpose}${sha256Base64url(chain.length === 1 ? first : Buffer.concat(chain))}`;
  const known = memory.get(id);
  if (known !== undefined && known.notBefore <= now && now <= known.notAfter) return known.leaf;

  const certificates = chain.map(readCertificate);
  const leaf = certificates[0] as Certificate;
  checkLeaf(leaf, purpose);
  const path = pathOf(certificates, anchorsOf(anchors), purpose);
  for (const certificate of path) checkTime(certificate, now);
  const result = leafOf(leaf);
  memory.set(id, {
    leaf: result,
    notBefore: Math.max(...path.map(({ notBefore }) => notBefore)),
    notAfter: Math.min(...path.map(({ notAfter }) => notAfter)),
  });
  return result;
}

/**
 * The SPIFFE ID of a leaf: exactly one URI, which is one, with a path.
 * @throws ProtocolError `uri_names`, `bad_spiffe_id`
 * @see X509-SVID §2, §4.1
 */
export function spiffeIdOf(leaf: Pick<VerifiedLeaf, 'uris'>): string {
  const [uri, ...more] = leaf.uris;
  if (uri === undefined || more.length > 0) throw refused('uri_names', 'the certificate must have exactly one URI');
  if (parseSpiffeId(uri).path.length === 0) {
    throw refused('bad_spiffe_id', 'the certificate names a trust domain, not somebody in it');
  }
  return uri;
}

/** What a certificate says, before anybody has looked at who signed it: to find out whose authorities to ask. */
export function unverifiedUris(der: Buffer): readonly string[] {
  return readCertificate(der).names?.uris ?? [];
}

function memoryOf(anchors: readonly Buffer[]): BoundedCache<Remembered> {
  let memory = verified.get(anchors);
  if (memory === undefined) {
    memory = boundedCache(4096);
    verified.set(anchors, memory);
  }
  return memory;
}

function anchorsOf(anchors: readonly Buffer[]): readonly Anchor[] {
  let parsed = parsedAnchors.get(anchors);
  if (parsed === undefined) {
    parsed = anchors.map((der) => {
      const certificate = readCertificate(der);
      return { ...certificate, key: publicKeyOf(certificate.spki) };
    });
    parsedAnchors.set(anchors, parsed);
  }
  return parsed;
}

/** @see X509-SVID §4.3, §5.2 */
function checkLeaf(leaf: Certificate, purpose: Purpose): void {
  checkExtensions(leaf);
  if (leaf.basicConstraints?.ca) throw refused('ca_leaf', 'the certificate is one of an authority');
  const { keyUsage, extendedKeyUsage } = leaf;
  if (keyUsage === undefined || !keyUsage.has(keyUsages.digitalSignature)) {
    throw refused('key_usage', 'the key of the certificate is not for signatures');
  }
  if (keyUsage.has(keyUsages.keyCertSign) || keyUsage.has(keyUsages.crlSign)) {
    throw refused('key_usage', 'the certificate may sign others, and is none of an authority');
  }
  if (!extendedKeyUsage?.includes(extendedKeyUsages[purpose])) {
    throw refused('extended_key_usage', `the certificate is not for TLS ${purpose}s`);
  }
}

function checkAuthority(authority: Certificate, below: number, purpose: Purpose): void {
  checkExtensions(authority);
  if (!authority.basicConstraints?.ca)
    throw refused('not_a_ca', 'a certificate was signed by one that is no authority');
  if (!authority.keyUsage?.has(keyUsages.keyCertSign)) {
    throw refused('key_usage', 'the key of an authority is not for signing certificates');
  }
  const { pathLength } = authority.basicConstraints;
  if (pathLength !== undefined && below > pathLength) {
    throw refused('path_length', 'an authority may not have that many below it');
  }
  if (authority.extendedKeyUsage !== undefined && !authority.extendedKeyUsage.includes(extendedKeyUsages[purpose])) {
    throw refused('extended_key_usage', `an authority is not for TLS ${purpose}s`);
  }
}

function checkExtensions(certificate: Certificate): void {
  if (certificate.unknownCritical.length > 0) {
    throw refused('critical_extension', 'the certificate has a critical extension that is not understood here');
  }
  if (certificate.nameConstraints) throw refused('name_constraints', 'constraints on names are not understood here');
}

function checkTime({ notBefore, notAfter }: Certificate, now: number): void {
  if (now < notBefore) throw refused('not_yet_valid', 'a certificate is not valid yet');
  if (now > notAfter) throw refused('expired', 'a certificate has expired');
}

/** From the leaf up to an anchor: every step is checked, or there is no path. */
function pathOf(certificates: readonly Certificate[], anchors: readonly Anchor[], purpose: Purpose): Certificate[] {
  for (const [i, certificate] of certificates.entries()) {
    const anchor = anchors.find((each) => mayHaveIssued(each, certificate) && signed(each.key, each, certificate));
    if (anchor !== undefined) {
      checkAuthority(anchor, i, purpose);
      return [...certificates.slice(0, i + 1), anchor];
    }
    const issuer = certificates[i + 1];
    if (issuer === undefined || !mayHaveIssued(issuer, certificate)) break;
    checkAuthority(issuer, i, purpose);
    if (!signed(publicKeyOf(issuer.spki), issuer, certificate)) {
      throw refused('bad_signature', 'a certificate was not signed by the next one');
    }
  }
  throw refused('unknown_ca', 'the certificate leads to no authority that is believed here');
}

/** Names, and key identifiers where both say one. @see RFC 5280 §6.1.3 (a)(4) */
function mayHaveIssued(issuer: Certificate, certificate: Certificate): boolean {
  if (!issuer.subject.equals(certificate.issuer)) return false;
  const { subjectKeyIdentifier: ours } = issuer;
  const { authorityKeyIdentifier: theirs } = certificate;
  return ours === undefined || theirs === undefined || ours.equals(theirs);
}

function signed(key: KeyObject, issuer: Certificate, certificate: Certificate): boolean {
  const { tbs, signatureAlgorithm: algorithm, signature } = certificate;
  return signatureHolds({ bytes: tbs, algorithm, signature }, key, issuer.publicJwk.kty);
}

function leafOf(leaf: Certificate): VerifiedLeaf {
  const names = leaf.names ?? { uris: [], dnsNames: [], ips: [], emails: [] };
  const { uris, dnsNames, ips, emails } = names;
  const base = { uris, dnsNames, ips, emails, subjectDn: subjectDn(leaf), publicJwk: leaf.publicJwk, x5t: leaf.x5t };
  return { ...base, spiffeId: spiffeIdIn(uris), notBefore: leaf.notBefore, notAfter: leaf.notAfter, ca: false };
}

function spiffeIdIn(uris: readonly string[]): string | undefined {
  try {
    return spiffeIdOf({ uris });
  } catch {
    return undefined;
  }
}
