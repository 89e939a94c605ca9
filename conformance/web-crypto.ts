// The same keys as the crafted ones, in the form that clients built on WebCrypto want.
import { createPublicKey, type KeyObject } from 'node:crypto';
import type { Key } from './craft.ts';

const algorithms = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  EdDSA: { name: 'Ed25519' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
};

/** The private half, to sign with. */
export function cryptoKey(key: Key): Promise<CryptoKey> {
  return imported(key.privateKey, key.alg, 'sign');
}

/** Both halves, for DPoP. */
export async function cryptoKeyPair(key: Key): Promise<{ privateKey: CryptoKey; publicKey: CryptoKey }> {
  return {
    privateKey: await imported(key.privateKey, key.alg, 'sign'),
    publicKey: await imported(createPublicKey(key.privateKey), key.alg, 'verify'),
  };
}

function imported(key: KeyObject, alg: Key['alg'], use: 'sign' | 'verify'): Promise<CryptoKey> {
  const jwk = key.export({ format: 'jwk' });
  return crypto.subtle.importKey('jwk', jwk, algorithms[alg], use === 'verify', [use]);
}
