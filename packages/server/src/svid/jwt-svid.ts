/**
 * JWT-SVIDs: signed by keys of their own, which access tokens are never signed with, and verified with the bundle of the
 * trust domain that they name.
 * @see JWT-SVID (SPIFFE)
 */
import { ProtocolError, parseCompact, parseSpiffeId, signCompact, verifyParsed } from '@bailiwick/protocol';
import type { CaDeps } from '../keys/ca.ts';
import { signingKey } from '../keys/keys.ts';
import { numericDate } from '../lib/clock.ts';
import type { Bundles } from './verify-x509.ts';

/** No JWT-SVID of ours lives longer. */
export const longestJwtSvidMs = 5 * 60_000;

const mostAudiences = 16;

/**
 * Issues a JWT-SVID.
 * @param version of the registry, as `asOf` reads it
 * @param request `expiresAt` in milliseconds, at most five minutes ahead
 * @throws Error for what nobody should ask for: no audience, another trust domain, a longer life
 * @see JWT-SVID §3
 */
export async function issueJwtSvid(
  deps: CaDeps,
  version: number,
  request: { spiffeId: string; audience: readonly string[]; expiresAt: number },
): Promise<string> {
  const { spiffeId, audience, expiresAt } = request;
  const now = deps.clock.now();
  const { trustDomain, path } = parseSpiffeId(spiffeId);
  if (trustDomain !== deps.config.trust_domain || path.length === 0) {
    throw new Error(`a JWT-SVID can't be issued to ${spiffeId}`);
  }
  if (audience.length === 0 || audience.length > mostAudiences || audience.includes('')) {
    throw new Error(`a JWT-SVID must have 1 to ${mostAudiences} audiences`);
  }
  if (expiresAt > now + longestJwtSvidMs || expiresAt <= now) throw new Error('a JWT-SVID lives at most five minutes');
  const key = await signingKey(deps, version, 'ES256', 'jwt_svid');
  const header = { alg: key.alg, kid: key.kid, typ: 'JWT' };
  const claims = { sub: spiffeId, aud: audience, exp: numericDate(expiresAt), iat: numericDate(now) };
  return signCompact(header, claims, key);
}

/** What a JWT-SVID proves, to the audience that it was verified for. */
export interface VerifiedJwtSvid {
  spiffeId: string;
  /** Milliseconds. */
  expiresAt: number;
}

/**
 * Verifies a JWT-SVID. Nothing but `sub`, `aud` and `exp` is asked for, since the specification asks for no more.
 * @param expectation `audience`: the names that we answer to, one of which it must carry; `bundles` answers for known trust domains alone;
 *   `longestMs`: how far its end may lie ahead
 * @throws ProtocolError `malformed`, `bad_spiffe_id`, `unknown_trust_domain`, `unknown_key`, `bad_signature`, `wrong_audience`,
 *   `expired`, `lives_too_long` or `not_yet_valid`
 * @see JWT-SVID §4
 */
export async function verifyJwtSvid(
  deps: { clock: CaDeps['clock']; config: { clock_skew_seconds: number } },
  jwt: string,
  { audience, bundles, longestMs }: { audience: string | readonly string[]; bundles: Bundles; longestMs: number },
): Promise<VerifiedJwtSvid> {
  const parsed = parseCompact(jwt);
  const { header, payload } = parsed;
  if (header.typ !== undefined && header.typ !== 'JWT' && header.typ !== 'JOSE') {
    throw new ProtocolError('malformed', 'the typ of a JWT-SVID must be JWT or JOSE');
  }
  const { trustDomain, path } = parseSpiffeId(payload.sub);
  if (path.length === 0) throw new ProtocolError('bad_spiffe_id', 'the sub names a trust domain, not somebody in it');
  const bundle = await bundles(trustDomain);
  if (bundle === undefined) throw new ProtocolError('unknown_trust_domain', 'the trust domain is not known here');
  const key = typeof header.kid === 'string' ? bundle.jwtAuthorities.get(header.kid) : undefined;
  if (key === undefined) throw new ProtocolError('unknown_key', 'the trust domain has no such key for JWT-SVIDs');
  if (!verifyParsed(parsed, key)) throw new ProtocolError('bad_signature', 'the signature is not valid');
  const skewMs = deps.config.clock_skew_seconds * 1000;
  const expiresAt = checkTimes(payload, { now: deps.clock.now(), skewMs, longestMs });
  checkAudience(payload.aud, typeof audience === 'string' ? [audience] : audience);
  return { spiffeId: payload.sub as string, expiresAt };
}

function checkTimes(
  payload: { exp?: unknown; nbf?: unknown; iat?: unknown },
  { now, skewMs, longestMs }: { now: number; skewMs: number; longestMs: number },
): number {
  const { exp, nbf, iat } = payload;
  if (typeof exp !== 'number' || !Number.isFinite(exp)) throw new ProtocolError('malformed', 'it must have an exp');
  if (exp * 1000 + skewMs <= now) throw new ProtocolError('expired', 'it has expired');
  if (exp * 1000 > now + longestMs + skewMs) throw new ProtocolError('lives_too_long', 'its end lies too far ahead');
  for (const from of [nbf, iat]) {
    if (from === undefined) continue;
    if (typeof from !== 'number' || !Number.isFinite(from))
      throw new ProtocolError('malformed', 'nbf and iat are numbers');
    if (from * 1000 - skewMs > now) throw new ProtocolError('not_yet_valid', 'it is not valid yet');
  }
  return exp * 1000;
}

function checkAudience(aud: unknown, ours: readonly string[]): void {
  const named = typeof aud === 'string' ? [aud] : aud;
  if (!Array.isArray(named) || named.length === 0 || !named.every((each) => typeof each === 'string')) {
    throw new ProtocolError('malformed', 'it must have an aud');
  }
  if (!named.some((each) => ours.includes(each))) throw new ProtocolError('wrong_audience', 'it is for somebody else');
}
