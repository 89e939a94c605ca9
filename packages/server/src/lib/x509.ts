/**
 * Certificates as others wrote them (RFC 5280), read strictly and believed in nothing: who signed what is for
 * `x509-verify.ts` to say. A reader of our own on `der.ts` and synchronous `node:crypto`: the road of a handshake and of an
 * enrolment can't wait for a library that takes 230 ms to load; in tests that library is the oracle.
 */
import { ProtocolError, type PublicJwk, sha256Base64url } from '@bailiwick/protocol';
import {
  atEnd,
  bitsOf,
  booleanOf,
  type Element,
  end,
  malformed,
  namedBitsOf,
  oidOf,
  only,
  readerOf,
  smallOf,
  tags,
  take,
  takeIf,
  timeOf,
  unsignedOf,
} from './der.ts';
import { readSpki } from './x509-key.ts';
import { dnOf } from './x509-name.ts';

/** The longest certificate that is looked at, in bytes. */
export const maxCertificateBytes = 16_384;

export const keyUsages = { digitalSignature: 0, keyCertSign: 5, crlSign: 6 } as const;

export const extendedKeyUsages = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' } as const;

export const extensionIds = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const;

/** The names that a certificate says its subject has. Addresses are as text, IPv6 in its shortest form. */
export interface AlternativeNames {
  uris: string[];
  dnsNames: string[];
  ips: string[];
  emails: string[];
  /** Kinds of name that nobody here reads. */
  others: number;
}

/** A certificate taken apart. */
export interface Certificate {
  der: Buffer;
  /** `x5t#S256`. */
  x5t: string;
  tbs: Buffer;
  /** The AlgorithmIdentifier, as it stands. */
  signatureAlgorithm: Buffer;
  signature: Buffer;
  /** Hex. */
  serial: string;
  issuer: Buffer;
  subject: Buffer;
  /** Milliseconds; both ends belong to the time in which it is valid. */
  notBefore: number;
  notAfter: number;
  spki: Buffer;
  publicJwk: PublicJwk;
  basicConstraints: { ca: boolean; pathLength: number | undefined } | undefined;
  /** Numbers of bits. */
  keyUsage: ReadonlySet<number> | undefined;
  extendedKeyUsage: readonly string[] | undefined;
  names: AlternativeNames | undefined;
  subjectKeyIdentifier: Buffer | undefined;
  authorityKeyIdentifier: Buffer | undefined;
  /** Extensions that nobody here understands, and that say they must be. */
  unknownCritical: readonly string[];
  /** Limits on names that nobody here applies: whoever made them would not want them ignored. */
  nameConstraints: boolean;
}

/**
 * Takes a certificate apart.
 * @throws ProtocolError `malformed`, or `weak_key` where its key is none to be relied on
 * @see RFC 5280 §4.1
 */
export function readCertificate(bytes: Buffer): Certificate {
  if (bytes.length > maxCertificateBytes) malformed('the certificate is too long');
  const outer = readerOf(only(bytes, tags.sequence).content);
  const tbs = take(outer, tags.sequence);
  const signatureAlgorithm = take(outer, tags.sequence).bytes;
  const signature = bitsOf(take(outer, tags.bitString));
  end(outer);

  const inner = readerOf(tbs.content);
  const version = readerOf(take(inner, 0xa0).content);
  if (smallOf(take(version, tags.integer)) !== 2) malformed('the certificate is not of version 3');
  end(version);
  const serial = unsignedOf(take(inner, tags.integer));
  if (serial.length > 20 || (serial.length === 1 && serial[0] === 0)) malformed('the serial number is not valid');
  if (!take(inner, tags.sequence).bytes.equals(signatureAlgorithm)) {
    malformed('the certificate names two signature algorithms');
  }
  const issuer = take(inner, tags.sequence).bytes;
  const validity = readerOf(take(inner, tags.sequence).content);
  const notBefore = timeOf(take(validity));
  const notAfter = timeOf(take(validity));
  end(validity);
  const subject = take(inner, tags.sequence).bytes;
  const spki = take(inner, tags.sequence).bytes;
  const extensions = readerOf(take(inner, 0xa3).content);
  const list = take(extensions, tags.sequence);
  end(extensions);
  end(inner);
  return {
    der: bytes,
    x5t: sha256Base64url(bytes),
    tbs: tbs.bytes,
    signatureAlgorithm,
    signature,
    serial: serial.toString('hex'),
    issuer,
    subject,
    notBefore,
    notAfter,
    spki,
    publicJwk: readSpki(spki),
    ...readExtensions(list),
  };
}

export type Extensions = Pick<
  Certificate,
  | 'basicConstraints'
  | 'keyUsage'
  | 'extendedKeyUsage'
  | 'names'
  | 'subjectKeyIdentifier'
  | 'authorityKeyIdentifier'
  | 'unknownCritical'
  | 'nameConstraints'
>;

/** @throws ProtocolError `malformed`: one that comes twice, among others */
export function readExtensions(list: Element): Extensions & { ids: readonly string[] } {
  const found: Extensions & { ids: string[]; unknownCritical: string[] } = {
    basicConstraints: undefined,
    keyUsage: undefined,
    extendedKeyUsage: undefined,
    names: undefined,
    subjectKeyIdentifier: undefined,
    authorityKeyIdentifier: undefined,
    unknownCritical: [],
    nameConstraints: false,
    ids: [],
  };
  const reader = readerOf(list.content);
  if (atEnd(reader)) malformed('the list of extensions is empty');
  while (!atEnd(reader)) {
    const extension = readerOf(take(reader, tags.sequence).content);
    const id = oidOf(take(extension, tags.oid));
    const flag = takeIf(extension, tags.boolean);
    const critical = flag !== undefined && booleanOf(flag);
    if (flag !== undefined && !critical) malformed('an extension says its default'); // DER leaves defaults away
    const value = take(extension, tags.octetString).content;
    end(extension);
    if (found.ids.includes(id)) malformed('an extension comes twice');
    found.ids.push(id);
    readExtension(found, id, critical, value);
  }
  return found;
}

function readExtension(
  found: Extensions & { unknownCritical: string[] },
  id: string,
  critical: boolean,
  value: Buffer,
) {
  switch (id) {
    case extensionIds.basicConstraints:
      found.basicConstraints = readBasicConstraints(value);
      return;
    case extensionIds.keyUsage:
      found.keyUsage = namedBitsOf(only(value, tags.bitString));
      return;
    case extensionIds.extendedKeyUsage:
      found.extendedKeyUsage = readExtendedKeyUsage(value);
      return;
    case extensionIds.subjectAltName:
      found.names = readNames(value);
      return;
    case extensionIds.subjectKeyIdentifier:
      found.subjectKeyIdentifier = only(value, tags.octetString).content;
      return;
    case extensionIds.authorityKeyIdentifier:
      found.authorityKeyIdentifier = takeIf(readerOf(only(value, tags.sequence).content), 0x80)?.content;
      return;
    case extensionIds.nameConstraints:
      found.nameConstraints = true;
      return;
    default:
      if (critical) found.unknownCritical.push(id);
  }
}

function readBasicConstraints(value: Buffer): Certificate['basicConstraints'] {
  const reader = readerOf(only(value, tags.sequence).content);
  const flag = takeIf(reader, tags.boolean);
  const ca = flag !== undefined && booleanOf(flag);
  if (flag !== undefined && !ca) malformed('basicConstraints says its default');
  const length = takeIf(reader, tags.integer);
  end(reader);
  if (length !== undefined && !ca) malformed('basicConstraints has a path length without being a CA');
  return { ca, pathLength: length === undefined ? undefined : smallOf(length) };
}

function readExtendedKeyUsage(value: Buffer): string[] {
  const reader = readerOf(only(value, tags.sequence).content);
  const purposes: string[] = [];
  while (!atEnd(reader)) purposes.push(oidOf(take(reader, tags.oid)));
  return purposes.length > 0 ? purposes : malformed('extendedKeyUsage is empty');
}

/** @see RFC 5280 §4.2.1.6 */
function readNames(value: Buffer): AlternativeNames {
  const names: AlternativeNames = { uris: [], dnsNames: [], ips: [], emails: [], others: 0 };
  const reader = readerOf(only(value, tags.sequence).content);
  if (atEnd(reader)) malformed('subjectAltName is empty');
  while (!atEnd(reader)) {
    const { tag, content } = take(reader);
    if (tag === 0x81) names.emails.push(ia5(content));
    else if (tag === 0x82) names.dnsNames.push(ia5(content));
    else if (tag === 0x86) names.uris.push(ia5(content));
    else if (tag === 0x87) names.ips.push(addressOf(content));
    else names.others++;
  }
  return names;
}

/** Printable ASCII alone: what a NUL or a line break in a name is for, nobody needs. */
function ia5(content: Buffer): string {
  for (const byte of content) if (byte < 0x21 || byte > 0x7e) malformed('a name is not printable ASCII');
  return content.length > 0 ? content.toString('latin1') : malformed('a name is empty');
}

function addressOf(content: Buffer): string {
  if (content.length === 4) return content.join('.');
  if (content.length !== 16) return malformed('an address has a wrong length');
  const groups = Array.from({ length: 8 }, (_, i) => content.readUInt16BE(i * 2).toString(16));
  return canonicalAddress(groups.join(':'));
}

/** An IP address as certificates that were read have it: IPv6 in its shortest form, as URL parsers write it. @see RFC 5952 */
export const canonicalAddress = (address: string): string =>
  address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;

/** The subject as RFC 4514 writes it. */
export const subjectDn = ({ subject }: { subject: Buffer }): string => dnOf(subject);

const pemBlock = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\r\n\t ]+?)-----END \1-----/g;

/**
 * The DER of every block of this kind in a PEM text, in order. What stands between blocks is passed over.
 * @throws ProtocolError `malformed` when a block is no base64, or of another kind
 */
export function pemBlocks(text: string, kind: 'CERTIFICATE' | 'CERTIFICATE REQUEST'): Buffer[] {
  const blocks: Buffer[] = [];
  for (const [, found, body = ''] of text.matchAll(pemBlock)) {
    if (found !== kind) throw new ProtocolError('malformed', `this is no ${kind} in PEM`);
    const base64 = body.replaceAll(/\s+/g, '');
    const bytes = Buffer.from(base64, 'base64');
    if (bytes.toString('base64') !== base64) throw new ProtocolError('malformed', 'a PEM block is not base64');
    blocks.push(bytes);
  }
  return blocks;
}

/** PEM of one block. */
export function pemOf(bytes: Buffer, kind: 'CERTIFICATE' | 'CERTIFICATE REQUEST' = 'CERTIFICATE'): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${kind}-----\n${lines.join('\n')}\n-----END ${kind}-----\n`;
}
