/**
 * Trust bundles (SPIFFE Trust Domain and Bundle), read strictly: a bundle in which one key is not as it should be is refused
 * as a whole, since whoever wrote that may have written the rest.
 */
import type { KeyObject } from 'node:crypto';
import {
  importPublicJwk,
  isJsonObject,
  isPrintable,
  type JsonObject,
  type JwsAlgorithm,
  ProtocolError,
  type PublicJwk,
  parseSpiffeId,
  thumbprint,
} from '@bailiwick/protocol';
import { keyUsages, readCertificate } from './x509.ts';
import { publicKeyOf } from './x509-key.ts';

/** What a trust domain's identities are verified with. */
export interface Bundle {
  /** DER. One array for one content: what was verified is remembered by it. */
  x509Authorities: readonly Buffer[];
  jwtAuthorities: ReadonlyMap<string, { alg: JwsAlgorithm; key: KeyObject }>;
  sequence: number | undefined;
  /** Seconds. */
  refreshHint: number | undefined;
}

/** A bundle as it is written. */
export interface BundleDocument {
  keys: (JsonObject & { use: string })[];
  spiffe_sequence: number;
  spiffe_refresh_hint: number;
}

export const maxBundleBytes = 512 * 1024;
const maxKeys = 100;
const longestHint = 366 * 86_400;

const wrong = (message: string) => new ProtocolError('bad_bundle', `the trust bundle is not accepted: ${message}`);

/**
 * Reads a bundle, as text or as parsed JSON. Keys for uses that are not known yet are passed over, as the specification wants.
 * @throws ProtocolError `bad_bundle`
 * @see SPIFFE Trust Domain and Bundle §4
 */
export function parseBundle(json: unknown, { trustDomain }: { trustDomain: string }): Bundle {
  const document = typeof json === 'string' ? parseText(json) : json;
  if (!isJsonObject(document) || !Array.isArray(document.keys)) throw wrong('it is no JWK set');
  if (document.keys.length > maxKeys) throw wrong(`it has more than ${maxKeys} keys`);
  const x509Authorities = new Map<string, Buffer>();
  const jwtAuthorities = new Map<string, { alg: JwsAlgorithm; key: KeyObject }>();
  for (const key of document.keys as unknown[]) {
    if (!isJsonObject(key)) throw wrong('a key is no JSON object');
    refuseSecrets(key);
    if (key.use === 'x509-svid') {
      const { x5t, der } = x509Authority(key, trustDomain);
      x509Authorities.set(x5t, der);
    } else if (key.use === 'jwt-svid') {
      const authority = jwtAuthority(key);
      if (authority === undefined) continue;
      if (jwtAuthorities.has(authority.kid)) throw wrong('two keys have one kid');
      jwtAuthorities.set(authority.kid, { alg: authority.alg, key: authority.key });
    } else if (typeof key.use !== 'string' || key.use === 'sig' || key.use === 'enc') {
      throw wrong('a key is for no SVID: its use must be x509-svid or jwt-svid');
    }
  }
  return {
    x509Authorities: [...x509Authorities.values()],
    jwtAuthorities,
    sequence: wholeNumber(document, 'spiffe_sequence', Number.MAX_SAFE_INTEGER),
    refreshHint: wholeNumber(document, 'spiffe_refresh_hint', longestHint),
  };
}

function parseText(text: string): unknown {
  if (text.length > maxBundleBytes) throw wrong('it is too large');
  try {
    return JSON.parse(text);
  } catch {
    throw wrong('it is no JSON');
  }
}

function refuseSecrets(key: JsonObject): void {
  if (key.kty === 'oct') throw wrong('it holds a symmetric key');
  for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) {
    if (name in key) throw wrong('it holds a private key');
  }
}

/** @see SPIFFE Trust Domain and Bundle §4.2, X509-SVID §6 */
function x509Authority(key: JsonObject, trustDomain: string): { x5t: string; der: Buffer } {
  const { x5c } = key;
  if (!Array.isArray(x5c) || x5c.length !== 1 || typeof x5c[0] !== 'string') {
    throw wrong('a key for X.509-SVIDs must have exactly one certificate in x5c');
  }
  const der = Buffer.from(x5c[0], 'base64');
  if (der.toString('base64') !== x5c[0]) throw wrong('a certificate is not base64');
  const certificate = strictly(() => readCertificate(der));
  if (!certificate.basicConstraints?.ca || !certificate.keyUsage?.has(keyUsages.keyCertSign)) {
    throw wrong('a certificate is not one of an authority');
  }
  if (strictly(() => thumbprint(key as unknown as PublicJwk)) !== thumbprint(certificate.publicJwk)) {
    throw wrong('a key is another one than in its certificate');
  }
  for (const uri of certificate.names?.uris ?? []) {
    if (strictly(() => parseSpiffeId(uri)).trustDomain !== trustDomain) {
      throw wrong('a certificate is one of another trust domain');
    }
  }
  strictly(() => publicKeyOf(certificate.spki));
  return { x5t: certificate.x5t, der };
}

/** Undefined for keys of a kind that is sound, and that nothing here verifies with. */
function jwtAuthority(key: JsonObject): { kid: string; alg: JwsAlgorithm; key: KeyObject } | undefined {
  const { kid } = key;
  if (!isPrintable(kid, 256)) throw wrong('a key for JWT-SVIDs must have a kid of at most 256 printable characters');
  if (key.kty === 'EC' && (key.crv === 'P-384' || key.crv === 'P-521')) return undefined;
  const { use: _, ...rest } = key;
  // those who leave alg away sign with RS256
  const alg = key.kty === 'RSA' && key.alg === undefined ? 'RS256' : undefined;
  const imported = strictly(() => importPublicJwk(rest, alg));
  return { kid, alg: imported.alg, key: imported.key };
}

function wholeNumber(document: JsonObject, name: string, most: number): number | undefined {
  const value = document[name];
  if (value === undefined) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrong(`${name} must be a whole number`);
  return Math.min(value as number, most);
}

function strictly<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolError) throw wrong(error.message);
    throw error;
  }
}
