/**
 * Certificates in which any byte may be wrong, for tables of rejections. `certificates.ts` makes proper ones with a library that
 * we did not write; what such a library won't write is written here.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { bitString, der, integer, oid, sequence, tags, time } from '../lib/der.ts';
import { testEpoch } from './harness.ts';

const day = 86_400_000;

export interface KeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

export const ecKeys = (namedCurve = 'P-256'): KeyPair => generateKeyPairSync('ec', { namedCurve });
export const rsaKeys = (modulusLength: number, publicExponent = 65537): KeyPair =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent });
export const ed25519Keys = (): KeyPair => generateKeyPairSync('ed25519');

/** OIDs of signature algorithms, the broken ones too. */
export const signatureIds = {
  'ecdsa-sha1': ['1.2.840.10045.4.1', 'sha1'],
  'ecdsa-sha224': ['1.2.840.10045.4.3.1', 'sha224'],
  'ecdsa-sha256': ['1.2.840.10045.4.3.2', 'sha256'],
  'ecdsa-sha384': ['1.2.840.10045.4.3.3', 'sha384'],
  'rsa-md5': ['1.2.840.113549.1.1.4', 'md5'],
  'rsa-sha1': ['1.2.840.113549.1.1.5', 'sha1'],
  'rsa-sha256': ['1.2.840.113549.1.1.11', 'sha256'],
  ed25519: ['1.3.101.112', undefined],
} as const;
export type SignatureName = keyof typeof signatureIds;

export const algorithm = (name: SignatureName): Buffer =>
  sequence(oid(signatureIds[name][0]), ...(name.startsWith('rsa') ? [der(tags.null)] : []));

export const named = (commonName: string): Buffer =>
  sequence(der(tags.set, sequence(oid('2.5.4.3'), der(tags.utf8String, Buffer.from(commonName)))));

export const extension = (id: string, value: Buffer, critical = false): Buffer =>
  sequence(oid(id), ...(critical ? [der(tags.boolean, Buffer.of(0xff))] : []), der(tags.octetString, value));

export const basicConstraints = (ca: boolean, pathLength?: number): Buffer =>
  extension(
    '2.5.29.19',
    sequence(
      ...(ca ? [der(tags.boolean, Buffer.of(0xff))] : []),
      ...(pathLength === undefined ? [] : [integer(Buffer.of(pathLength))]),
    ),
    true,
  );

/** @param bits such as `0b1000_0000` for digitalSignature; no zeros are cut off */
export const keyUsage = (bits: number, unused: number): Buffer =>
  extension('2.5.29.15', bitString(Buffer.of(bits), unused), true);
export const signs = keyUsage(0b1000_0000, 7);
export const certifies = keyUsage(0b0000_0110, 1);

export const purposes = (...ids: string[]): Buffer => extension('2.5.29.37', sequence(...ids.map(oid)));
export const clientAndServer = purposes('1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2');

export type Name = readonly [tag: number, value: string | Buffer];
export const uri = (value: string): Name => [0x86, value];
export const dns = (value: string): Name => [0x82, value];
export const names = (...list: Name[]): Buffer =>
  extension('2.5.29.17', sequence(...list.map(([tag, value]) => der(tag, Buffer.from(value as string, 'latin1')))));

export interface Crafted {
  der: Buffer;
  keys: KeyPair;
  subject: Buffer;
}

export interface Craft {
  keys?: KeyPair;
  subject?: Buffer;
  issuer?: Crafted | undefined;
  issuerName?: Buffer;
  from?: number;
  until?: number;
  extensions?: readonly Buffer[];
  signature?: SignatureName;
  /** What the signed part says that the signature is. */
  innerSignature?: SignatureName;
  version?: Buffer;
  serial?: Buffer;
  validity?: Buffer;
  spki?: Buffer;
  /** Changed after it was signed. */
  break?: (der: Buffer) => Buffer;
}

/** Makes a certificate exactly so. Without an issuer it signs itself. */
export function craft(what: Craft): Crafted {
  const keys = what.keys ?? ecKeys();
  const subject = what.subject ?? sequence();
  const signer = what.issuer?.keys ?? keys;
  const signature = what.signature ?? defaultSignature(signer);
  const tbs = sequence(
    what.version ?? der(0xa0, integer(Buffer.of(2))),
    what.serial ?? integer(Buffer.of(1, 2, 3)),
    algorithm(what.innerSignature ?? signature),
    what.issuerName ?? what.issuer?.subject ?? subject,
    what.validity ?? sequence(time(what.from ?? testEpoch - day), time(what.until ?? testEpoch + day)),
    subject,
    what.spki ?? (keys.publicKey.export({ type: 'spki', format: 'der' }) as Buffer),
    ...(what.extensions === undefined ? [] : [der(0xa3, sequence(...what.extensions))]),
  );
  const signed = sign(signatureIds[signature][1], tbs, signer.privateKey);
  const whole = sequence(tbs, algorithm(signature), bitString(signed));
  return { der: what.break?.(whole) ?? whole, keys, subject };
}

function defaultSignature({ privateKey }: KeyPair): SignatureName {
  if (privateKey.asymmetricKeyType === 'rsa') return 'rsa-sha256';
  return privateKey.asymmetricKeyType === 'ed25519' ? 'ed25519' : 'ecdsa-sha256';
}

/** A root, an intermediate or whatever else may sign. */
export const craftAuthority = (commonName: string, what: Craft = {}): Crafted =>
  craft({ subject: named(commonName), extensions: [basicConstraints(true), certifies], ...what });

/** A leaf that any verifier should take. */
export const craftLeaf = (issuer: Crafted, what: Craft = {}): Crafted =>
  craft({ issuer, extensions: leafExtensions(uri('spiffe://example.org/home/agent/ins_1')), ...what });

export const leafExtensions = (...list: Name[]): Buffer[] => [
  basicConstraints(false),
  signs,
  clientAndServer,
  names(...list),
];
