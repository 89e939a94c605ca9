/**
 * Certificates of every kind, good and bad, for tests: made by a library that we did not write, so that what we read is
 * not what we wrote.
 */
import { createHash, KeyObject, webcrypto } from 'node:crypto';
import { testEpoch } from './harness.ts';

export interface TestCertificate {
  /** PEM of the certificate, and of its private key. */
  pem: string;
  key: string;
  der: Buffer;
  /** As `x5t#S256` has it. */
  x5t: string;
  keys: webcrypto.CryptoKeyPair;
  subject: string;
  /** PEM of it and of everything between it and its root, which is what a client shows in a handshake. */
  chain: string;
  /** It signed itself. */
  root: boolean;
}

/** What is said in a name that stands for the holder: `['url', 'spiffe://…']`. */
export type TestName = ['dns' | 'ip' | 'email' | 'url', string];

export interface TestCertificateOptions {
  /** RFC 4514; none said: an empty name. */
  subject?: string;
  /** Signs itself without. */
  issuer?: TestCertificate | undefined;
  names?: TestName[];
  /** Milliseconds; by default from a day before the tests' time until a year after. */
  from?: number;
  until?: number;
  ca?: boolean;
  pathLength?: number;
  alg?: 'ES256' | 'ES384' | 'EdDSA' | 'RS256' | 'RSA-1024' | 'P-521';
  hash?: 'SHA-1' | 'SHA-256';
  /** Of KeyUsage: digitalSignature for a leaf, keyCertSign for an authority; none at all for `[]`. */
  usages?: ('digitalSignature' | 'keyCertSign' | 'cRLSign' | 'keyEncipherment')[];
  /** Purposes of ExtendedKeyUsage; none said: clientAuth for a leaf. */
  purposes?: string[];
  /** The key pair of another certificate. */
  keys?: webcrypto.CryptoKeyPair;
}

const day = 24 * 60 * 60 * 1000;
const algorithms = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  ES384: { name: 'ECDSA', namedCurve: 'P-384' },
  'P-521': { name: 'ECDSA', namedCurve: 'P-521' },
  EdDSA: { name: 'Ed25519' },
  RS256: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
  'RSA-1024': {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 1024,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
};

let serial = 0;

/** An authority that signs itself, or one between a root and its leaves. */
export function makeAuthority(subject: string, options: TestCertificateOptions = {}): Promise<TestCertificate> {
  return makeCertificate({ subject, ca: true, usages: ['keyCertSign', 'cRLSign'], purposes: [], ...options });
}

/** A certificate as the options say; a good client's leaf by default. */
export async function makeCertificate(options: TestCertificateOptions = {}): Promise<TestCertificate> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto as Crypto);
  const { issuer, ca = false, usages = ['digitalSignature'], purposes = ['1.3.6.1.5.5.7.3.2'] } = options;
  const alg = algorithms[options.alg ?? 'ES256'];
  const keys =
    options.keys ?? ((await webcrypto.subtle.generateKey(alg, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair);
  const signer = issuer?.keys ?? keys;
  const subject = options.subject ?? '';
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: (++serial + 0x10_0000).toString(16).padStart(8, '0'),
    subject,
    issuer: issuer?.subject ?? subject,
    notBefore: new Date(options.from ?? testEpoch - day),
    notAfter: new Date(options.until ?? testEpoch + 365 * day),
    publicKey: keys.publicKey,
    signingKey: signer.privateKey,
    signingAlgorithm: { name: signer.privateKey.algorithm.name, hash: options.hash ?? 'SHA-256' },
    extensions: [
      new x509.BasicConstraintsExtension(ca, options.pathLength, true),
      ...(usages.length > 0
        ? [
            new x509.KeyUsagesExtension(
              usages.reduce((all, each) => all | flag(x509, each), 0),
              true,
            ),
          ]
        : []),
      ...(purposes.length > 0 ? [new x509.ExtendedKeyUsageExtension(purposes)] : []),
      ...(options.names
        ? [
            new x509.SubjectAlternativeNameExtension(
              options.names.map(([type, value]) => ({ type, value })),
              subject === '',
            ),
          ]
        : []),
    ],
  });
  const der = Buffer.from(certificate.rawData);
  const pem = `${certificate.toString('pem')}\n`;
  return {
    pem,
    key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
    der,
    x5t: createHash('sha256').update(der).digest('base64url'),
    keys,
    subject,
    chain: pem + (issuer && !issuer.root ? issuer.chain : ''),
    root: issuer === undefined,
  };
}

function flag(
  x509: typeof import('@peculiar/x509'),
  usage: NonNullable<TestCertificateOptions['usages']>[number],
): number {
  return x509.KeyUsageFlags[usage];
}
