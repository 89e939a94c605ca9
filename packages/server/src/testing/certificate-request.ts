/** Certificate requests, good and bad, for tests: made by a library that we did not write. */
import { KeyObject, webcrypto } from 'node:crypto';
import { type Signer, signerFrom } from '@bailiwick/protocol';
import type { TestName } from './certificates.ts';

export interface TestRequestOptions {
  /** RFC 4514; empty unless said. */
  subject?: string;
  names?: TestName[];
  /** Asks to be an authority. */
  ca?: boolean;
  /** Asks for usages of the key. */
  usages?: boolean;
  /** Has a password, as CAs of old wanted one. */
  password?: string;
  alg?: 'ES256' | 'EdDSA' | 'RS256' | 'ES384' | 'RSA-1024';
}

export interface TestRequest {
  pem: string;
  /** By the same key. Only for algorithms of ours. */
  signer: Signer | undefined;
  /** Its private key, as PEM. */
  key: string;
}

const rsa = (modulusLength: number) => ({
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength,
  publicExponent: new Uint8Array([1, 0, 1]),
});
const algorithms = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  ES384: { name: 'ECDSA', namedCurve: 'P-384' },
  EdDSA: { name: 'Ed25519' },
  RS256: rsa(2048),
  'RSA-1024': rsa(1024),
};

export async function makeRequest(options: TestRequestOptions = {}): Promise<TestRequest> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto as Crypto);
  const { alg = 'ES256', names = [] } = options;
  const keys = (await webcrypto.subtle.generateKey(algorithms[alg], true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: options.subject ?? '',
    keys,
    signingAlgorithm: { name: keys.privateKey.algorithm.name, hash: 'SHA-256' },
    extensions: [
      ...(names.length > 0
        ? [new x509.SubjectAlternativeNameExtension(names.map(([type, value]) => ({ type, value })))]
        : []),
      ...(options.ca ? [new x509.BasicConstraintsExtension(true)] : []),
      ...(options.usages ? [new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign)] : []),
    ],
    attributes: options.password === undefined ? [] : [new x509.ChallengePasswordAttribute(options.password)],
  });
  const key = KeyObject.from(keys.privateKey).export({ format: 'pem', type: 'pkcs8' }) as string;
  const ours = alg === 'ES256' || alg === 'EdDSA' || alg === 'RS256';
  const jwk = ours ? KeyObject.from(keys.privateKey).export({ format: 'jwk' }) : undefined;
  return { pem: request.toString('pem'), key, signer: jwk && signerFrom({ ...jwk, alg } as never) };
}
