/** Whether a token is what it says, and still alive. @see RFC 7662 */
import {
  type AccessTokenClaims,
  type ContextDimension,
  contextRefusal,
  type ParsedJws,
  ProtocolError,
  parseCompact,
  tagsOf,
  verifyParsed,
} from '@bailiwick/protocol';
import { presenterOf, seenPlace } from '../decide/place.ts';
import type { Deps } from '../deps.ts';
import { verificationKey } from '../keys/keys.ts';
import { type Counter, tagsEndedSince } from '../liveness/liveness.ts';
import type { Queries } from '../store/database.ts';

/** How a token stands. A token that isn't ours, or was altered, is `foreign`. */
export type Standing =
  | { state: 'alive'; claims: AccessTokenClaims; typ: string; kid: string }
  | { state: 'expired' | 'ended'; claims: AccessTokenClaims; typ: string; kid: string }
  | { state: 'foreign' };

/** Looks at a token as of now. Never throws for what a client sent. */
export async function standingOf(deps: Deps, token: string, asOf: Counter): Promise<Standing> {
  const parsed = parsedOrNothing(token);
  const kid = parsed?.header.kid;
  if (!parsed || typeof kid !== 'string') return { state: 'foreign' };
  const key = await verificationKey(deps, asOf.version, kid);
  if (!key || !verifyParsed(parsed, { alg: key.alg, key: key.publicKey })) return { state: 'foreign' };
  // signed by us: its claims have the shape that `claimsOf` gave them
  const claims = parsed.payload as unknown as AccessTokenClaims;
  const typ = String(parsed.header.typ);
  if (claims.iss !== deps.config.issuer || !Array.isArray(claims.links)) return { state: 'foreign' };
  if (claims.exp * 1000 <= deps.clock.now()) return { state: 'expired', claims, typ, kid };
  // nothing at all was revoked since it was planned
  if (claims.rev >= asOf.rev) return { state: 'alive', claims, typ, kid };
  return { state: (await tokenEnded(deps.db, claims, kid)) ? 'ended' : 'alive', claims, typ, kid };
}

/** Whether a revocation has ended this token of ours: of itself, of anything that it names or links, or of the key that signed it (`kid`). */
export async function tokenEnded(q: Queries, claims: AccessTokenClaims, kid: string): Promise<boolean> {
  return tagsEndedSince(q, tagsOf(claims, kid), claims.rev);
}

/**
 * Which limit of a token of ours (`ctx`) somebody is outside of who shows it now, from this address; undefined if of none. Who isn't found is
 * outside of every limit in place.
 */
export function outsideOf(
  deps: Pick<Deps, 'places' | 'clock'>,
  { ctx, zone }: AccessTokenClaims,
  address: string | undefined,
): ContextDimension | undefined {
  return ctx && contextRefusal(ctx, presenterOf(seenPlace(deps, address, zone), deps.clock.now()));
}

function parsedOrNothing(token: string): ParsedJws | undefined {
  try {
    return parseCompact(token);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
