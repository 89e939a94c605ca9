import { createPrivateKey, createPublicKey, KeyObject, sign, verify } from 'node:crypto';
import { isJsonObject } from './encoding.ts';
import { ProtocolError } from './errors.ts';
import {
  importPublicJwk,
  isJwsAlgorithm,
  type JwsAlgorithm,
  type PrivateJwk,
  type PublicJwk,
  publicJwk,
} from './jwk.ts';
import { type EncodedHeader, signBytes, signingInputOf } from './jws.ts';

/** Whatever can sign without showing its key: memory, a file, an HSM, a key management service. */
export interface Signer {
  readonly alg: JwsAlgorithm;
  readonly publicJwk: PublicJwk;
  readonly kid: string;
  /** The JWS signature over these bytes (for ES256 `r || s`, 64 bytes). */
  sign(data: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/**
 * Makes a signer of a private JWK, a private KeyObject or an object that already is one. The private half stays in a closure:
 * neither `util.inspect` nor `JSON.stringify` can reach it.
 * @throws ProtocolError `bad_key` or `unsupported_algorithm`
 */
export function signerFrom(key: PrivateJwk | KeyObject | Signer): Signer {
  if (key instanceof KeyObject) return signerOf(key, undefined);
  if (typeof (key as Signer | null)?.sign === 'function') return wrapped(key as Signer);
  if (!isJsonObject(key) || typeof key.d !== 'string') {
    throw new ProtocolError('bad_key', 'the key must be a private JWK, a private KeyObject or an object with sign()');
  }
  return signerOf(privateKeyObject(key as unknown as PrivateJwk), key as unknown as PrivateJwk);
}

function privateKeyObject(jwk: PrivateJwk): KeyObject {
  try {
    const key = createPrivateKey({ key: { ...jwk }, format: 'jwk' });
    if (signsFor(key)) return key;
  } catch {
    // said below, the same for whatever is wrong with it
  }
  throw new ProtocolError('bad_key', 'the private key is not valid');
}

/** Do the halves belong together? A JWK brings both, and Node.js 24 doesn't compare them. */
function signsFor(key: KeyObject): boolean {
  const probe = Buffer.from('a probe');
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  return verify(digest, probe, createPublicKey(key), sign(digest, probe, key));
}

function signerOf(key: KeyObject, jwk: PrivateJwk | undefined): Signer {
  if (key.type !== 'private') throw new ProtocolError('bad_key', 'to sign, the key must be a private one');
  const half = createPublicKey(key).export({ format: 'jwk' }) as PublicJwk;
  const named = jwk === undefined ? half : { ...half, ...labels(jwk) };
  // An RSA key that names no algorithm gets the better of its two.
  const fallback = named.kty === 'RSA' && named.alg === undefined ? 'PS256' : undefined;
  const { alg, kid, jwk: shown } = importPublicJwk(named, fallback);
  return Object.freeze({ alg, kid, publicJwk: shown, sign: (data: Uint8Array) => signBytes(data, { alg, key }) });
}

function labels(jwk: PrivateJwk): Partial<PublicJwk> {
  const { kid, alg, use } = publicJwk(jwk);
  return {
    ...(kid === undefined ? {} : { kid }),
    ...(alg === undefined ? {} : { alg }),
    ...(use === undefined ? {} : { use }),
  };
}

function wrapped(signer: Signer): Signer {
  const alg = isJwsAlgorithm(signer.alg) ? signer.alg : undefined;
  const named = signer.kid === undefined ? signer.publicJwk : { ...signer.publicJwk, kid: signer.kid };
  const { alg: suits, kid, jwk } = importPublicJwk(named, alg);
  return Object.freeze({
    alg: suits,
    kid,
    publicJwk: jwk,
    sign: (data: Uint8Array) => signer.sign(data),
  });
}

/** Signs with a signer: like `signCompact`, for keys that may be elsewhere. */
export async function signWith(signer: Signer, header: EncodedHeader, payload: object): Promise<string> {
  if (header.alg !== signer.alg) throw new ProtocolError('unsupported_algorithm', 'the header names another algorithm');
  const signingInput = signingInputOf(header, payload);
  const signature = await signer.sign(Buffer.from(signingInput, 'latin1'));
  return `${signingInput}.${Buffer.from(signature).toString('base64url')}`;
}
