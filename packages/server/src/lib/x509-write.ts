/** Certificates as we write them (RFC 5280): ECDSA P-256 with SHA-256, on synchronous `node:crypto`. */
import { hash, type KeyObject, sign } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { bitString, der, integer, oid, sequence, tags, time } from './der.ts';
import type { Random } from './random.ts';
import { extendedKeyUsages, extensionIds } from './x509.ts';
import { ecdsaWithSha256 } from './x509-key.ts';

/** Who signs: its name and key as its own certificate says them. */
export interface Issuer {
  /** A Name, in DER. */
  name: Buffer;
  keyIdentifier: Buffer;
  key: KeyObject;
}

export interface Content {
  serial: Buffer;
  /** A Name, in DER. */
  subject: Buffer;
  spki: Buffer;
  /** Milliseconds; cut to whole seconds. */
  notBefore: number;
  notAfter: number;
  /** Extensions, as `extension` makes them. */
  extensions: readonly Buffer[];
}

const version3 = der(0xa0, integer(Buffer.of(2)));
const critical = der(tags.boolean, Buffer.of(0xff));

/** Signs a certificate. Answers its DER. */
export function signCertificate(content: Content, issuer: Issuer): Buffer {
  const tbs = sequence(
    version3,
    integer(content.serial),
    ecdsaWithSha256,
    issuer.name,
    sequence(time(content.notBefore), time(content.notAfter)),
    content.subject,
    content.spki,
    der(0xa3, sequence(...content.extensions)),
  );
  return sequence(tbs, ecdsaWithSha256, bitString(sign('sha256', tbs, issuer.key)));
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  const parts = isCritical ? [oid(id), critical] : [oid(id)];
  return sequence(...parts, der(tags.octetString, value));
}

/** 20 bytes that tell keys apart: of SHA-256 over the SubjectPublicKeyInfo. @see RFC 7093 §2 */
export const keyIdentifierOf = (spki: Buffer): Buffer => hash('sha256', spki, 'buffer').subarray(0, 20);

export const subjectKeyIdentifier = (identifier: Buffer): Buffer =>
  extension(extensionIds.subjectKeyIdentifier, der(tags.octetString, identifier));

export const authorityKeyIdentifier = (identifier: Buffer): Buffer =>
  extension(extensionIds.authorityKeyIdentifier, sequence(der(0x80, identifier)));

/** What the certificate of an authority says of itself. */
export const authorityExtensions = (pathLength?: number): Buffer[] => [
  extension(
    extensionIds.basicConstraints,
    sequence(der(tags.boolean, Buffer.of(0xff)), ...(pathLength === undefined ? [] : [integer(Buffer.of(pathLength))])),
    true,
  ),
  extension(extensionIds.keyUsage, bitString(Buffer.of(0b0000_0110), 1), true), // keyCertSign, cRLSign
];

/** What the certificate of a leaf says of itself: no authority, signs handshakes, as client and as server. */
export const leafExtensions: readonly Buffer[] = [
  extension(extensionIds.basicConstraints, sequence(), true),
  extension(extensionIds.keyUsage, bitString(Buffer.of(0b1000_0000), 7), true), // digitalSignature
  extension(extensionIds.extendedKeyUsage, sequence(oid(extendedKeyUsages.server), oid(extendedKeyUsages.client))),
];

/** The names of the subject. @see RFC 5280 §4.2.1.6 */
export function alternativeNames(names: {
  uri: string;
  dnsNames?: readonly string[] | undefined;
  ipAddresses?: readonly string[] | undefined;
}): Buffer {
  const list = [der(0x86, Buffer.from(names.uri, 'latin1'))];
  for (const name of names.dnsNames ?? []) list.push(der(0x82, Buffer.from(name, 'latin1')));
  for (const address of names.ipAddresses ?? []) list.push(der(0x87, addressBytes(address)));
  return extension(extensionIds.subjectAltName, sequence(...list));
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address) || address.includes('%')) throw new Error('a certificate can name IP addresses alone');
  const { hostname } = new URL(`http://[${address}]`); // the shortest form, without dotted parts
  const [head = '', tail] = hostname.slice(1, -1).split('::');
  const groupsOf = (text: string) => (text === '' ? [] : text.split(':'));
  const [left, right] = [groupsOf(head), groupsOf(tail ?? '')];
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  const bytes = Buffer.alloc(16);
  for (const [i, group] of groups.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2);
  return bytes;
}

/** A serial number that nobody can foresee: 127 random bits. @see RFC 5280 §4.1.2.2 */
export function serialNumber(random: Random): Buffer {
  const bytes = random.bytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40; // positive, and always of one length
  return bytes;
}
