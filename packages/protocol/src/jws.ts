import { constants, type KeyObject, sign, verify } from 'node:crypto';
import { boundedCache } from './bounded-cache.ts';
import { decodeBase64url, decodeJsonObject, type JsonObject } from './encoding.ts';
import { ProtocolError } from './errors.ts';
import { isJwsAlgorithm, type JwsAlgorithm } from './jwk.ts';

/** A private key with the one algorithm that it signs with. */
export interface SigningKey {
  alg: JwsAlgorithm;
  key: KeyObject;
}

/** A public key with the one algorithm that it verifies. */
export interface VerificationKey {
  alg: JwsAlgorithm;
  key: KeyObject;
}

/** A protected header encoded once for many signatures. */
export interface EncodedHeader {
  readonly alg: JwsAlgorithm;
  readonly segment: string;
}

/** A JWS taken apart. Nothing in it is to be believed before `verifyParsed`. */
export interface ParsedJws {
  /** Shared between equal headers: read it, don't write to it. */
  readonly header: Readonly<JsonObject> & { readonly alg: string; readonly kid?: unknown; readonly typ?: unknown };
  readonly headerSegment: string;
  readonly payload: JsonObject;
  readonly signingInput: string;
  readonly signature: Buffer;
}

/** The longest compact JWS that is looked at, in characters. */
export const maxCompactLength = 16_384;

const maxCachedHeader = 2048;
const headers = boundedCache<ParsedJws['header']>(1024);

/**
 * Encodes a protected header once, for `signCompact`.
 * @throws ProtocolError `unsupported_algorithm`
 */
export function encodeHeader(header: JsonObject): EncodedHeader {
  const { alg } = header;
  if (!isJwsAlgorithm(alg)) throw new ProtocolError('unsupported_algorithm', 'the header names no algorithm of ours');
  return { alg, segment: Buffer.from(JSON.stringify(header), 'utf8').toString('base64url') };
}

/**
 * Signs, synchronously: the thread pool costs more than a signature does.
 * @throws ProtocolError `unsupported_algorithm` if header, key and algorithm don't agree
 * @see RFC 7515 §7.1
 */
export function signCompact(header: JsonObject | EncodedHeader, payload: object, key: SigningKey): string {
  const encoded = isEncodedHeader(header) ? header : encodeHeader(header);
  if (encoded.alg !== key.alg) {
    throw new ProtocolError('unsupported_algorithm', 'the header names another algorithm than the key');
  }
  const signingInput = signingInputOf(encoded, payload);
  return `${signingInput}.${signBytes(Buffer.from(signingInput, 'latin1'), key).toString('base64url')}`;
}

function isEncodedHeader(header: JsonObject | EncodedHeader): header is EncodedHeader {
  return typeof (header as EncodedHeader).segment === 'string';
}

/** What is signed: header and payload, encoded, with a dot between. */
export function signingInputOf(header: EncodedHeader, payload: object): string {
  return `${header.segment}.${Buffer.from(JSON.stringify(payload), 'utf8').toString('base64url')}`;
}

/**
 * The signature over some bytes, in the form that JWS wants (for ES256 `r || s`).
 * @throws ProtocolError `unsupported_algorithm` if the key isn't of the algorithm's type
 */
export function signBytes(data: Uint8Array, { alg, key }: SigningKey): Buffer {
  if (!suits(alg, key)) throw new ProtocolError('unsupported_algorithm', 'the key is not for this algorithm');
  switch (alg) {
    case 'ES256':
      return sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' });
    case 'EdDSA':
      return sign(null, data, key);
    case 'PS256':
      return sign('sha256', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
    case 'RS256':
      return sign('sha256', data, key);
  }
}

/**
 * Takes a compact JWS apart, strictly: three canonical base64url parts, header and payload JSON objects in valid UTF-8,
 * at most 16 KiB unless said otherwise. Refuses `crit` and `b64`, since no extension is understood here.
 * @throws ProtocolError `malformed`, `too_long` or `unsupported_extension`
 * @see RFC 7515 §5.2
 */
export function parseCompact(compact: string, maxLength: number = maxCompactLength): ParsedJws {
  if (typeof compact !== 'string') throw new ProtocolError('malformed', 'the JWS is not a string');
  if (compact.length > maxLength) throw new ProtocolError('too_long', `the JWS is longer than ${maxLength} bytes`);
  const first = compact.indexOf('.');
  const second = compact.indexOf('.', first + 1);
  if (first <= 0 || second <= first + 1 || compact.indexOf('.', second + 1) !== -1) {
    throw new ProtocolError('malformed', 'a compact JWS has three parts');
  }
  const headerSegment = compact.slice(0, first);
  const header = headers.get(headerSegment) ?? parseHeader(headerSegment);
  const payload = decodeJsonObject(compact.slice(first + 1, second), 'the payload');
  const signature = decodeBase64url(compact.slice(second + 1), 'the signature');
  if (signature.length === 0) throw new ProtocolError('malformed', 'the JWS has no signature');
  return { header, headerSegment, payload, signingInput: compact.slice(0, second), signature };
}

function parseHeader(segment: string): ParsedJws['header'] {
  const header = decodeJsonObject(segment, 'the header');
  if (typeof header.alg !== 'string') throw new ProtocolError('malformed', 'the header has no alg');
  if ('crit' in header || 'b64' in header) {
    throw new ProtocolError('unsupported_extension', 'crit and b64 are not supported');
  }
  // one algorithm under two names: WebCrypto's clients write the newer one (RFC 9864 §2.2)
  if (header.alg === 'Ed25519') header.alg = 'EdDSA';
  const checked = Object.freeze(header) as ParsedJws['header'];
  if (segment.length <= maxCachedHeader) headers.set(segment, checked);
  return checked;
}

/**
 * Was this JWS signed by this key, with exactly this algorithm? The algorithm comes from who knows the key; the header's must equal it,
 * and a key of another type (an RSA key used as an HMAC secret, say) verifies nothing.
 * @see RFC 8725 §3.1
 */
export function verifyParsed(parsed: ParsedJws, { alg, key }: VerificationKey): boolean {
  if (parsed.header.alg !== alg || !suits(alg, key)) return false;
  const data = Buffer.from(parsed.signingInput, 'latin1');
  switch (alg) {
    case 'ES256':
      return (
        parsed.signature.length === 64 && verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, parsed.signature)
      );
    case 'EdDSA':
      return verify(null, data, key, parsed.signature);
    case 'PS256':
      return verify(
        'sha256',
        data,
        { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
        parsed.signature,
      );
    case 'RS256':
      return verify('sha256', data, key, parsed.signature);
    default:
      return false;
  }
}

/** Keys already found to be of the algorithm's type, so that asking OpenSSL happens once per key. */
const suitable: Record<JwsAlgorithm, WeakSet<KeyObject>> = {
  ES256: new WeakSet(),
  EdDSA: new WeakSet(),
  PS256: new WeakSet(),
  RS256: new WeakSet(),
};

/** Is this key of the type that the algorithm needs? */
export function suits(alg: JwsAlgorithm, key: KeyObject): boolean {
  const known = Object.hasOwn(suitable, alg) ? suitable[alg] : undefined;
  if (known === undefined) return false;
  if (known.has(key)) return true;
  if (!hasTypeFor(alg, key)) return false;
  known.add(key);
  return true;
}

function hasTypeFor(alg: JwsAlgorithm, key: KeyObject): boolean {
  if (key.type === 'secret') return false;
  switch (alg) {
    case 'ES256':
      return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
    case 'EdDSA':
      return key.asymmetricKeyType === 'ed25519';
    default:
      return key.asymmetricKeyType === 'rsa';
  }
}
