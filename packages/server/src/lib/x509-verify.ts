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
  notAfter: number;
  /** The keys through which it leads to its anchor, that of the anchor last: SHA-256 of each SubjectPublicKeyInfo, base64url. */
  authorityKeys: readonly string[];
}

/** How much work a chain was, for whoever has to make refusals cost the same. */
export interface Work {
  /** Signatures that were looked at. */
  signatures: number;
}

export const maxChainLength = 5;
/** How many signatures by anchors are tried: several may have one name, if they don't tell their keys apart. */
const maxTries = 4;

const refused = (code: string, message: string) => new ProtocolError(code, message);

interface Remembered {
  leaf: VerifiedLeaf;
  notBefore: number;
  notAfter: number;
}

interface Memory {
  held: BoundedCache<Remembered>;
  /** Apart, so that strangers can't drive acquaintances out. */
  failed: BoundedCache<{ code: string; message: string }>;
}

/** By the anchors (which the caller keeps and doesn't change): what held once holds while everything in it is valid. */
const memories = new WeakMap<readonly Buffer[], Memory>();
const parsedAnchors = new WeakMap<readonly Buffer[], readonly Anchor[]>();

type Anchor = Certificate & { key: KeyObject };

/**
 * Validates a chain, from an anchor down: what leads to none by its names costs no signature. What held is remembered for
 * these anchors, and what failed as well.
 * @param chain DER, the leaf first, each signed by the next; an anchor itself may stand at its end
 * @param anchors DER of the authorities that are believed. Keep one array for one set, and don't change it
 * @param now milliseconds
 * @param work counts what was done
 * @throws ProtocolError `malformed`, `chain_too_long`, `weak_key`, `unsupported_algorithm`, `critical_extension`,
 *   `name_constraints`, `not_yet_valid`, `expired`, `ca_leaf`, `not_a_ca`, `key_usage`, `extended_key_usage`, `path_length`,
 *   `unknown_ca` or `bad_signature`
 * @see RFC 5280 §6.1, X509-SVID §5
 */
export function verifyChain(
  chain: readonly Buffer[],
  {
    anchors,
    now,
    purpose,
    work,
  }: { anchors: readonly Buffer[]; now: number; purpose: Purpose; work?: Work | undefined },
): VerifiedLeaf {
  const [first] = chain;
  if (first === undefined) throw refused('malformed', 'there is no certificate');
  if (chain.length > maxChainLength)
    throw refused('chain_too_long', `at most ${maxChainLength} certificates are looked at`);
  const { held, failed } = memoryOf(anchors);
  const id = `${purpose}${digestOf(chain)}`;
  const failure = failed.get(id);
  if (failure !== undefined) throw refused(failure.code, failure.message);
  let known = held.get(id);
  if (known === undefined) {
    try {
      known = verified(chain, anchorsOf(anchors), purpose, work ?? { signatures: 0 });
    } catch (error) {
      if (error instanceof ProtocolError) failed.set(id, { code: error.code, message: error.message });
      throw error;
    }
    held.set(id, known);
  }
  checkTime(known, now); // all that depends on when it is asked
  return known.leaf;
}

function verified(chain: readonly Buffer[], anchors: readonly Anchor[], purpose: Purpose, work: Work): Remembered {
  const certificates = certificatesOf(chain);
  const leaf = certificates[0] as Certificate;
  checkLeaf(leaf, purpose);
  const path = pathOf(certificates, anchors, purpose, work);
  return {
    leaf: { ...leafOf(leaf), authorityKeys: path.slice(1).map(keyIdOf) },
    notBefore: Math.max(...path.map(({ notBefore }) => notBefore)),
    notAfter: Math.min(...path.map(({ notAfter }) => notAfter)),
  };
}

/** How `authorityKeys` names the key of a certificate. */
export const keyIdOf = ({ spki }: Pick<Certificate, 'spki'>): string => sha256Base64url(spki);

const digests = new WeakMap<readonly Buffer[], string>();

/** A connection has one chain, which is hashed once. */
function digestOf(chain: readonly Buffer[]): string {
  let digest = digests.get(chain);
  if (digest === undefined) {
    digest = sha256Base64url(chain.length === 1 ? (chain[0] as Buffer) : Buffer.concat(chain));
    digests.set(chain, digest);
  }
  return digest;
}

let lastRead: { chain: readonly Buffer[]; certificates: readonly Certificate[] } | undefined;

/** The last one is kept: a request asks by several sets of anchors in a row. */
function certificatesOf(chain: readonly Buffer[]): readonly Certificate[] {
  if (lastRead?.chain !== chain) lastRead = { chain, certificates: chain.map(readCertificate) };
  return lastRead.certificates;
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
  let known = uris.get(der);
  if (known === undefined) {
    known = readCertificate(der).names?.uris ?? [];
    uris.set(der, known);
  }
  return known;
}

const uris = new WeakMap<Buffer, readonly string[]>();

function memoryOf(anchors: readonly Buffer[]): Memory {
  let memory = memories.get(anchors);
  if (memory === undefined) {
    memory = { held: boundedCache(4096), failed: boundedCache(256) };
    memories.set(anchors, memory);
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

function checkTime({ notBefore, notAfter }: Remembered, now: number): void {
  if (now < notBefore) throw refused('not_yet_valid', 'a certificate is not valid yet');
  if (now > notAfter) throw refused('expired', 'a certificate has expired');
}

/**
 * From the leaf up by names alone to what an anchor has signed, and down again by signatures: no key of a stranger is used
 * before somebody whom we believe has vouched for it. Every step is checked, or there is no path.
 */
function pathOf(
  certificates: readonly Certificate[],
  anchors: readonly Anchor[],
  purpose: Purpose,
  work: Work,
): Certificate[] {
  let tries = maxTries;
  for (const [i, certificate] of certificates.entries()) {
    for (const anchor of anchors) {
      if (tries === 0 || !mayHaveIssued(anchor, certificate)) continue;
      tries--;
      if (!signed(anchor.key, anchor, certificate, work)) continue;
      checkAuthority(anchor, i, purpose);
      checkDown(certificates.slice(0, i + 1), work);
      return [...certificates.slice(0, i + 1), anchor];
    }
    const issuer = certificates[i + 1];
    if (issuer === undefined || !mayHaveIssued(issuer, certificate)) break;
    checkAuthority(issuer, i, purpose);
  }
  throw refused('unknown_ca', 'the certificate leads to no authority that is believed here');
}

/** The last of them is believed: each has signed the one before, or nothing holds. */
function checkDown(certificates: readonly Certificate[], work: Work): void {
  for (let i = certificates.length - 1; i > 0; i--) {
    const [issuer, certificate] = [certificates[i], certificates[i - 1]] as [Certificate, Certificate];
    if (!signed(publicKeyOf(issuer.spki), issuer, certificate, work)) {
      throw refused('bad_signature', 'a certificate was not signed by the next one');
    }
  }
}

/** Names, and key identifiers where both say one. @see RFC 5280 §6.1.3 (a)(4) */
function mayHaveIssued(issuer: Certificate, certificate: Certificate): boolean {
  if (!issuer.subject.equals(certificate.issuer)) return false;
  const { subjectKeyIdentifier: ours } = issuer;
  const { authorityKeyIdentifier: theirs } = certificate;
  return ours === undefined || theirs === undefined || ours.equals(theirs);
}

function signed(key: KeyObject, issuer: Certificate, certificate: Certificate, work: Work): boolean {
  const { tbs, signatureAlgorithm: algorithm, signature } = certificate;
  work.signatures++;
  return signatureHolds({ bytes: tbs, algorithm, signature }, key, issuer.publicJwk.kty);
}

function leafOf(leaf: Certificate): Omit<VerifiedLeaf, 'authorityKeys'> {
  const names = leaf.names ?? { uris: [], dnsNames: [], ips: [], emails: [] };
  const { uris, dnsNames, ips, emails } = names;
  const base = { uris, dnsNames, ips, emails, subjectDn: subjectDn(leaf), publicJwk: leaf.publicJwk, x5t: leaf.x5t };
  return { ...base, spiffeId: spiffeIdIn(uris), notAfter: leaf.notAfter };
}

function spiffeIdIn(uris: readonly string[]): string | undefined {
  try {
    return spiffeIdOf({ uris });
  } catch {
    return undefined;
  }
}
