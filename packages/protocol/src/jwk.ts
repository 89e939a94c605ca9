import { createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { decodeBase64url, isJsonObject, isPrintable, type JsonObject, sha256Base64url } from './encoding.ts';
import { ProtocolError } from './errors.ts';

/** The signature algorithms of this house. All are asymmetric: a symmetric one has no place to stand. */
export const jwsAlgorithms = ['ES256', 'EdDSA', 'PS256', 'RS256'] as const;
export type JwsAlgorithm = (typeof jwsAlgorithms)[number];

/** A public key as RFC 7517 writes it. */
export interface PublicJwk {
  kty: string;
  crv?: string;
  x?: string;
  y?: string;
  n?: string;
  e?: string;
  kid?: string;
  alg?: string;
  use?: string;
}

/** A private key as RFC 7517 writes it. Never log one, never send one. */
export interface PrivateJwk extends PublicJwk {
  d: string;
  p?: string;
  q?: string;
  dp?: string;
  dq?: string;
  qi?: string;
}

/** A public key ready to verify with. */
export interface ImportedPublicKey {
  alg: JwsAlgorithm;
  key: KeyObject;
  kid: string;
  jwk: PublicJwk;
}

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];
const minRsaBits = 2048;
const maxRsaBits = 4096;

/** Is this the name of an algorithm we sign and verify with? */
export function isJwsAlgorithm(value: unknown): value is JwsAlgorithm {
  return (jwsAlgorithms as readonly unknown[]).includes(value);
}

/**
 * Makes a new key pair. `kid` is the RFC 7638 thumbprint; RSA keys have 2048 bits.
 * @throws ProtocolError `unsupported_algorithm`
 */
export async function generateJwk(alg: JwsAlgorithm): Promise<PrivateJwk> {
  const jwk = (await generatePrivateKey(alg)).export({ format: 'jwk' }) as PrivateJwk;
  return { ...jwk, kid: thumbprint(jwk), alg, use: 'sig' };
}

async function generatePrivateKey(alg: JwsAlgorithm): Promise<KeyObject> {
  switch (alg) {
    case 'ES256':
      return (await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })).privateKey as KeyObject;
    case 'EdDSA':
      return (await promisify(generateKeyPair)('ed25519', undefined)).privateKey as KeyObject;
    case 'PS256':
    case 'RS256':
      return (await promisify(generateKeyPair)('rsa', { modulusLength: minRsaBits })).privateKey as KeyObject;
    default:
      throw new ProtocolError('unsupported_algorithm', `the algorithm must be one of ${jwsAlgorithms.join(', ')}`);
  }
}

/** The public half: what is needed to verify, and nothing that isn't known to be public. */
export function publicJwk(jwk: PublicJwk): PublicJwk {
  const { kid, alg, use } = jwk;
  return {
    ...requiredMembers(jwk),
    ...(kid === undefined ? {} : { kid }),
    ...(alg === undefined ? {} : { alg }),
    ...(use === undefined ? {} : { use }),
  };
}

/**
 * The RFC 7638 SHA-256 thumbprint of a key, as base64url: equal for equal keys, private or public.
 * @throws ProtocolError `bad_key`
 * @see RFC 7638 §3
 */
export function thumbprint(jwk: PublicJwk): string {
  return sha256Base64url(JSON.stringify(requiredMembers(jwk)));
}

/** The required members in the lexicographic order that RFC 7638 hashes them in. */
function requiredMembers(jwk: PublicJwk): PublicJwk {
  const { kty, crv, x, y, n, e } = jwk;
  switch (kty) {
    case 'EC':
      return { crv: member(crv, 'crv'), kty, x: member(x, 'x'), y: member(y, 'y') };
    case 'OKP':
      return { crv: member(crv, 'crv'), kty, x: member(x, 'x') };
    case 'RSA':
      return { e: member(e, 'e'), kty, n: member(n, 'n') };
    default:
      throw new ProtocolError('bad_key', 'kty must be EC, OKP or RSA');
  }
}

function member(value: string | undefined, name: string): string {
  if (typeof value !== 'string') throw new ProtocolError('bad_key', `the key has no ${name}`);
  return value;
}

/**
 * Reads a public key, strictly: type, curve and algorithm must agree, every number must be written in its one canonical
 * form (else one key had several thumbprints), RSA has 2048 to 4096 bits. Private and symmetric keys are refused.
 * @param alg the algorithm that the surroundings name (a JWS header, say); an RSA key needs it here or as its own `alg`
 * @throws ProtocolError `private_key`, `symmetric_key`, `unsupported_algorithm` or `bad_key`
 * @see RFC 7517 §4, RFC 7518 §6, RFC 8037 §2
 */
export function importPublicJwk(jwk: unknown, alg?: JwsAlgorithm): ImportedPublicKey {
  if (!isJsonObject(jwk)) throw new ProtocolError('bad_key', 'the key is not a JSON object');
  refusePrivate(jwk);
  const suits = algorithmOf(jwk, alg);
  checkPurpose(jwk);
  const required = requiredMembers(jwk as unknown as PublicJwk);
  checkNumbers(required);
  const { kid } = jwk;
  if (kid !== undefined && !isPrintable(kid, 256)) {
    throw new ProtocolError('bad_key', 'kid must be at most 256 printable characters');
  }
  let key: KeyObject;
  try {
    key = createPublicKey({ key: { ...required }, format: 'jwk' });
  } catch {
    throw new ProtocolError('bad_key', 'the key is not valid');
  }
  checkModulus(key);
  const name = kid ?? thumbprint(required);
  return { alg: suits, key, kid: name, jwk: { ...required, kid: name, alg: suits, use: 'sig' } };
}

function refusePrivate(jwk: JsonObject): void {
  if (jwk.kty === 'oct') throw new ProtocolError('symmetric_key', 'symmetric keys are not accepted');
  for (const name of privateMembers) {
    if (name in jwk) throw new ProtocolError('private_key', 'this is a private key: send the public half only');
  }
}

function algorithmOf(jwk: JsonObject, wanted: JwsAlgorithm | undefined): JwsAlgorithm {
  const possible = algorithmsOf(jwk);
  // Web Crypto exports the fully specified name of RFC 9864 for what JWS has always called EdDSA.
  const named = jwk.alg === 'Ed25519' ? 'EdDSA' : jwk.alg;
  if (named !== undefined && !(possible as readonly unknown[]).includes(named)) {
    throw new ProtocolError('unsupported_algorithm', `alg does not suit the key: it can do ${possible.join(' or ')}`);
  }
  if (wanted !== undefined && (!possible.includes(wanted) || (named !== undefined && named !== wanted))) {
    throw new ProtocolError('unsupported_algorithm', 'the key is not for the algorithm that is used');
  }
  const alg = wanted ?? (named as JwsAlgorithm | undefined) ?? (possible.length === 1 ? possible[0] : undefined);
  if (alg === undefined) throw new ProtocolError('bad_key', 'an RSA key must say its alg: PS256 or RS256');
  return alg;
}

function algorithmsOf(jwk: JsonObject): readonly JwsAlgorithm[] {
  if (jwk.kty === 'EC' && jwk.crv === 'P-256') return ['ES256'];
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') return ['EdDSA'];
  if (jwk.kty === 'RSA') return ['PS256', 'RS256'];
  throw new ProtocolError('unsupported_algorithm', 'the key must be EC P-256, OKP Ed25519 or RSA');
}

function checkPurpose(jwk: JsonObject): void {
  if (jwk.use !== undefined && jwk.use !== 'sig') throw new ProtocolError('bad_key', 'the key is not for signatures');
  const operations = jwk.key_ops;
  if (operations === undefined) return;
  if (!Array.isArray(operations) || !operations.includes('verify')) {
    throw new ProtocolError('bad_key', 'key_ops does not allow verify');
  }
}

function checkNumbers(jwk: PublicJwk): void {
  if (jwk.kty === 'RSA') {
    checkExponent(decodeNumber(jwk.e, 'e'));
    if (decodeNumber(jwk.n, 'n')[0] === 0) throw new ProtocolError('bad_key', 'n has leading zeros');
    return;
  }
  for (const name of jwk.kty === 'EC' ? (['x', 'y'] as const) : (['x'] as const)) {
    if (decodeNumber(jwk[name], name).length !== 32) throw new ProtocolError('bad_key', `${name} must have 32 bytes`);
  }
}

function decodeNumber(text: string | undefined, name: string): Buffer {
  // 4096 bits are 683 letters: what is longer need not be decoded to be refused.
  if (text === undefined || text.length > 700) throw new ProtocolError('bad_key', `${name} is too long`);
  try {
    return decodeBase64url(text, name);
  } catch {
    throw new ProtocolError('bad_key', `${name} is not canonical base64url`);
  }
}

/** 65537 or a little more: small exponents are fragile, huge ones make every verification expensive. */
function checkExponent(e: Buffer): void {
  const value = e.length === 3 || e.length === 4 ? e.readUIntBE(0, e.length) : 0;
  if (value < 65537 || value % 2 === 0 || e[0] === 0) throw new ProtocolError('bad_key', 'e must be 65537');
}

function checkModulus(key: KeyObject): void {
  if (key.asymmetricKeyType !== 'rsa') return;
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < minRsaBits || bits > maxRsaBits) {
    throw new ProtocolError('bad_key', `an RSA key must have ${minRsaBits} to ${maxRsaBits} bits`);
  }
}
