import type { KeyObject } from 'node:crypto';
import { boundedCache } from './bounded-cache.ts';
import { isJsonObject, isPrintable, sha256Base64url } from './encoding.ts';
import { ProtocolError } from './errors.ts';
import { importPublicJwk, isJwsAlgorithm, type JwsAlgorithm, thumbprint } from './jwk.ts';
import { type EncodedHeader, encodeHeader, type ParsedJws, parseCompact, verifyParsed } from './jws.ts';
import { type Signer, signWith } from './signer.ts';

export interface DpopClaims {
  jti: string;
  htm: string;
  htu: string;
  /** NumericDate: seconds. */
  iat: number;
  nonce?: string;
  ath?: string;
}

/** A proof taken apart: well formed, with the key it carries. Nothing in it is proven before `verifyDpopProof`. */
export interface DpopProof {
  /** The RFC 7638 thumbprint of the proof's key, for `cnf.jkt`. */
  readonly jkt: string;
  readonly alg: JwsAlgorithm;
  readonly key: KeyObject;
  readonly claims: DpopClaims;
  readonly parsed: ParsedJws;
}

export interface DpopExpectation {
  htm: string;
  /** Where the request was sent; all its addresses, where an endpoint has several. */
  htu: string | readonly string[];
  /** The present, in ms. */
  now: number;
  maxAgeSeconds: number;
  futureSeconds: number;
  /** At a resource: the token that the proof must name by its hash. */
  accessToken?: string;
  /** Is this nonce one that we gave? When set, a proof without a nonce is refused with `use_dpop_nonce`. */
  nonce?: (nonce: string) => boolean;
}

export interface DpopInput {
  htm: string;
  htu: string;
  /** The present, in ms. */
  now: number;
  jti: string;
  nonce?: string;
  accessToken?: string;
}

interface ProofKey {
  alg: JwsAlgorithm;
  key: KeyObject;
  jkt: string;
}

const maxProofLength = 8192;
const maxCachedHeader = 2048;
const foreignKeys = ['jku', 'x5u', 'x5c', 'x5t', 'x5t#S256'];
/** By exact header segment, so a warm proof imports no key and hashes no thumbprint. Only proofs that verified get in. */
const proofKeys = boundedCache<ProofKey>(4096);
const proofHeaders = new WeakMap<Signer, EncodedHeader>();

/**
 * Makes a proof of possession for one request.
 * @param input `htu` may have a query and fragment: they are left out
 * @see RFC 9449 §4.2
 */
export async function createDpopProof(signer: Signer, input: DpopInput): Promise<string> {
  const { htm, now, jti, nonce, accessToken } = input;
  const claims: DpopClaims = { jti, htm, htu: normalizeHtu(input.htu), iat: Math.floor(now / 1000) };
  if (nonce !== undefined) claims.nonce = nonce;
  if (accessToken !== undefined) claims.ath = accessTokenHash(accessToken);
  return signWith(signer, proofHeader(signer), claims);
}

function proofHeader(signer: Signer): EncodedHeader {
  const known = proofHeaders.get(signer);
  if (known !== undefined) return known;
  const { kty, crv, x, y, n, e } = signer.publicJwk;
  const jwk = JSON.parse(JSON.stringify({ kty, crv, x, y, n, e })) as object;
  const header = encodeHeader({ typ: 'dpop+jwt', alg: signer.alg, jwk });
  proofHeaders.set(signer, header);
  return header;
}

/** The `ath` of a token: SHA-256 of its ASCII letters, as base64url. */
export function accessTokenHash(accessToken: string): string {
  return sha256Base64url(accessToken);
}

/**
 * Takes a proof apart and checks its form: type, algorithm, a public key in the header, all claims there.
 * @throws ProtocolError `malformed`, `wrong_type`, `unsupported_algorithm`, `foreign_key`, `private_key`, `symmetric_key`, `bad_key`, …
 * @see RFC 9449 §4.3
 */
export function parseDpopProof(proof: string): DpopProof {
  if (typeof proof === 'string' && proof.length > maxProofLength) {
    throw new ProtocolError('too_long', 'the DPoP proof is longer than 8 KiB');
  }
  const parsed = parseCompact(proof);
  const { alg, key, jkt } = proofKeys.get(parsed.headerSegment) ?? proofKeyOf(parsed);
  return { jkt, alg, key, claims: claimsOf(parsed), parsed };
}

function proofKeyOf({ header }: ParsedJws): ProofKey {
  if (header.typ !== 'dpop+jwt') throw new ProtocolError('wrong_type', 'the DPoP proof must have typ dpop+jwt');
  if (!isJwsAlgorithm(header.alg)) {
    throw new ProtocolError('unsupported_algorithm', 'the DPoP proof must be signed with ES256, EdDSA, PS256 or RS256');
  }
  for (const name of foreignKeys) {
    if (name in header)
      throw new ProtocolError('foreign_key', `the DPoP proof must not have ${name}: its key is in jwk`);
  }
  if (!isJsonObject(header.jwk)) throw new ProtocolError('bad_key', 'the DPoP proof has no jwk in its header');
  const { key, jwk } = importPublicJwk(header.jwk, header.alg);
  return { alg: header.alg, key, jkt: thumbprint(jwk) };
}

function claimsOf({ payload }: ParsedJws): DpopClaims {
  const { jti, htm, htu, iat, nonce, ath } = payload;
  if (!isPrintable(jti, 256)) throw new ProtocolError('malformed', 'the DPoP proof needs a jti of 1 to 256 characters');
  if (!isPrintable(htm, 64)) throw new ProtocolError('malformed', 'the DPoP proof has no htm');
  if (typeof htu !== 'string' || htu.length > 4096) throw new ProtocolError('malformed', 'the DPoP proof has no htu');
  if (typeof iat !== 'number' || !Number.isFinite(iat))
    throw new ProtocolError('malformed', 'the DPoP proof has no iat');
  if (nonce !== undefined && !isPrintable(nonce, 1024))
    throw new ProtocolError('malformed', 'the nonce is not a string');
  if (ath !== undefined && typeof ath !== 'string') throw new ProtocolError('malformed', 'ath is not a string');
  return payload as unknown as DpopClaims;
}

/**
 * Checks that the proof was made by its key, for this request, now. Replay is the caller's to notice: remember `jkt` and `jti`
 * for as long as the proof could pass.
 * @throws ProtocolError `wrong_method`, `wrong_url`, `wrong_token`, `expired`, `not_yet_valid`, `use_dpop_nonce`, `bad_signature`
 * @see RFC 9449 §4.3
 */
export function verifyDpopProof(proof: DpopProof, expected: DpopExpectation): void {
  const { claims, parsed } = proof;
  if (claims.htm !== expected.htm) throw new ProtocolError('wrong_method', 'htm is not the method of this request');
  if (!isOneOf(claims.htu, expected.htu)) {
    throw new ProtocolError('wrong_url', 'htu is not the URL of this request');
  }
  if (expected.accessToken !== undefined && claims.ath !== accessTokenHash(expected.accessToken)) {
    throw new ProtocolError('wrong_token', 'ath is not the hash of the access token');
  }
  const age = expected.now / 1000 - claims.iat;
  if (age > expected.maxAgeSeconds) throw new ProtocolError('expired', 'the DPoP proof is too old: check the clock');
  if (-age > expected.futureSeconds) {
    throw new ProtocolError('not_yet_valid', 'the DPoP proof is from the future: check the clock');
  }
  if (expected.nonce !== undefined && (claims.nonce === undefined || !expected.nonce(claims.nonce))) {
    throw new ProtocolError('use_dpop_nonce', 'the DPoP proof must carry the nonce from the DPoP-Nonce header');
  }
  if (!verifyParsed(parsed, proof))
    throw new ProtocolError('bad_signature', 'the signature of the DPoP proof is wrong');
  remember(proof);
}

function remember({ parsed, alg, key, jkt }: DpopProof): void {
  const { headerSegment } = parsed;
  if (headerSegment.length > maxCachedHeader || proofKeys.get(headerSegment) !== undefined) return;
  proofKeys.set(headerSegment, { alg, key, jkt });
}

function isOneOf(claimed: string, expected: string | readonly string[]): boolean {
  if (typeof expected === 'string') return claimed === expected || sameHtu(claimed, expected);
  return expected.includes(claimed) || expected.some((each) => sameHtu(claimed, each));
}

function sameHtu(claimed: string, expected: string): boolean {
  try {
    return normalizeHtu(claimed) === normalizeHtu(expected);
  } catch {
    return false;
  }
}

/**
 * A URL as proofs compare it: without query and fragment, scheme and host in lower case, no default port, dot segments resolved,
 * percent-encoding in its normal form.
 * @throws ProtocolError `bad_url`
 * @see RFC 9449 §4.3, RFC 3986 §6.2.2 and §6.2.3
 */
export function normalizeHtu(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || (parsed.protocol !== 'https:' && parsed.protocol !== 'http:')) {
    throw new ProtocolError('bad_url', 'the URL must be an absolute http or https URL');
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new ProtocolError('bad_url', 'the URL must not contain a user name or password');
  }
  const path = parsed.pathname;
  return parsed.origin + (path.includes('%') ? path.replace(/%[0-9a-fA-F]{2}/g, normalEscape) : path);
}

function normalEscape(triplet: string): string {
  const letter = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
  return /[A-Za-z0-9._~-]/.test(letter) ? letter : triplet.toUpperCase();
}
