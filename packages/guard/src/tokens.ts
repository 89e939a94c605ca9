import {
  type AccessTokenClaims,
  boundedCache,
  isJwsAlgorithm,
  type JwsAlgorithm,
  type ParsedJws,
  ProtocolError,
  parseCompact,
  parseContext,
  type TokenContext,
  type TransactionClaims,
  validateAccessTokenClaims,
  verifyParsed,
} from '@bailiwick/protocol';
import { callerOf, type KnownCaller } from './caller.ts';
import { type FeedMark, unchecked } from './feed/standing.ts';
import type { IssuerKey, IssuerState } from './issuer.ts';
import { Unavailable } from './json-client.ts';
import type { Refreshed } from './refreshed.ts';
import { Refusal } from './refusal.ts';
import type { TokenProfile } from './registration.ts';
import { transactionClaims, transactionOf } from './transaction.ts';

/** A token whose signature and claims hold. Whether it still stands, and who presents it, are other questions. */
export interface VerifiedToken {
  readonly key: IssuerKey;
  readonly profile: TokenProfile;
  readonly claims: AccessTokenClaims;
  /** Where and when it may be used, as far as that is limited. */
  readonly context: TokenContext | undefined;
  readonly scope: ReadonlySet<string>;
  readonly caller: KnownCaller;
  /** ms since 1970, the tolerance for clocks included. */
  readonly acceptedUntil: number;
  /** What the identity provider last said of it. */
  readonly standing: Standing;
  /** For a token that is limited in place: what it last said of it by where it was shown. */
  readonly standingAt: Map<string, Standing>;
  /** What the feed last told of it. */
  readonly mark: FeedMark;
}

export interface Standing {
  /** When the question was sent whose answer this is. */
  askedAt: number;
  active: boolean;
  /** Until when (by the clock that is never slow, ms) the identity provider waits for whoever believes this answer. */
  heldUntil: number;
  asking: { since: number; heldUntil: number; answer: Promise<boolean> } | undefined;
}

/** Of a token that nobody was asked about yet. */
export const unasked = (): Standing => ({
  askedAt: Number.NEGATIVE_INFINITY,
  active: false,
  heldUntil: Number.NEGATIVE_INFINITY,
  asking: undefined,
});

export interface TokenVerifier {
  /** A token that was verified before and still may be used; undefined if it has to be verified. One map lookup. */
  recall(token: string, profile: TokenProfile, now: number): VerifiedToken | undefined;
  /** @throws Refusal `invalid_token`; Unavailable when the keys can't be had */
  verify(token: string, profile: TokenProfile, now: number): Promise<VerifiedToken>;
}

/**
 * Verifies access tokens by the identity provider's published keys, and remembers those that passed, by the whole token.
 * @param options.capacity how many tokens to remember at least; at most twice this many
 * @see RFC 9068 §4
 */
export function tokenVerifier(options: {
  issuer: string;
  issuerState: Refreshed<IssuerState>;
  algorithms: readonly JwsAlgorithm[];
  skewSeconds: number;
  capacity: number;
}): TokenVerifier {
  const { issuer, issuerState, algorithms, skewSeconds, capacity } = options;
  const memory = boundedCache<VerifiedToken>(capacity);

  function recall(token: string, profile: TokenProfile, now: number): VerifiedToken | undefined {
    const known = memory.get(token);
    if (known === undefined || known.key.withdrawn || known.profile !== profile) return undefined;
    if (issuerState.peek() === undefined) return undefined; // the keys are too old to be believed: verifying says so
    return now < known.acceptedUntil ? known : undefined;
  }

  async function verify(token: string, profile: TokenProfile, now: number): Promise<VerifiedToken> {
    const parsed = parse(token);
    const key = await keyFor(parsed);
    // Others with the same token may have been here while we waited: then it has one memory, and is asked about once.
    const known = recall(token, profile, now);
    if (known !== undefined) return known;
    if (!verifyParsed(parsed, key)) throw notOurs('bad_signature');
    const verified = believed(parsed, key, profile, now);
    memory.set(token, verified);
    return verified;
  }

  function parse(token: string): ParsedJws {
    try {
      return parseCompact(token);
    } catch (error) {
      throw notOurs(error instanceof ProtocolError ? error.code : 'malformed');
    }
  }

  /** The algorithm is checked against the list before anything else, and against the key's own in `verifyParsed`. */
  async function keyFor({ header }: ParsedJws): Promise<IssuerKey> {
    const { alg, kid } = header;
    if (!isJwsAlgorithm(alg) || !algorithms.includes(alg)) throw notOurs('unsupported_algorithm');
    if (typeof kid !== 'string') throw notOurs('no_kid');
    const state = issuerState.peek() ?? (await issuerState.get());
    const known = state.keys.get(kid);
    if (known !== undefined && !known.withdrawn) return known;
    const upToDate = await issuerState.renew();
    const found = issuerState.peek()?.keys.get(kid);
    if (found !== undefined && !found.withdrawn) return found;
    // A key that we can't look up may be new: then the token is good, and a 401 would make the caller throw it away.
    if (!upToDate) throw new Unavailable('the key of a token is unknown, and the JWKS could not be refreshed');
    throw notOurs('unknown_kid');
  }

  function believed(parsed: ParsedJws, key: IssuerKey, profile: TokenProfile, now: number): VerifiedToken {
    try {
      const claims = profile.isTransaction
        ? transactionClaims(parsed, profile, { issuer, now, skewSeconds })
        : accessClaims(parsed, profile, now);
      const scope = claims.scope ? claims.scope.split(' ') : [];
      return {
        key,
        profile,
        claims,
        context: contextOf(claims),
        scope: new Set(scope),
        caller: callerOf(claims, scope, profile.isTransaction ? transactionOf(claims as TransactionClaims) : undefined),
        acceptedUntil: (claims.exp + skewSeconds) * 1000,
        standing: unasked(),
        standingAt: new Map(),
        mark: unchecked(claims.rev),
      };
    } catch (error) {
      throw notAccepted(error);
    }
  }

  function accessClaims(parsed: ParsedJws, { audience, tag, typ }: TokenProfile, now: number): AccessTokenClaims {
    const claims = validateAccessTokenClaims(parsed, { issuer, audience, now, typ, skewSeconds });
    if (tag === undefined || claims.links.includes(tag)) return claims;
    throw new ProtocolError('wrong_resource', 'the token is for another resource of the same audience');
  }

  /** One answer for all that isn't signed by the issuer: whoever forges learns nothing about what was nearly right. */
  function notOurs(reason: string): Refusal {
    return new Refusal('invalid_token', `This is not an access token of ${issuer}.`, { reason });
  }

  return { recall, verify };
}

/** A limit that can't be checked here is not taken as met, one of a later version included. */
function contextOf({ ctx }: AccessTokenClaims): TokenContext | undefined {
  if (ctx === undefined) return undefined;
  try {
    return parseContext(ctx);
  } catch {
    throw new ProtocolError('unreadable_context', 'the token is limited in an unknown way');
  }
}

const said: Record<string, string> = {
  unreadable_context: 'The access token is limited in a way that this resource cannot check.',
  expired: 'The access token has expired: get a new one.',
  not_yet_valid: 'The access token is from the future: a clock is wrong.',
  wrong_audience: 'The access token is for another resource: get one for this resource.',
  wrong_resource: 'The access token is for another resource: get one for this resource.',
  too_deep: 'More act one for another in this access token than may.',
  wrong_type: 'This is a token of the issuer, but no access token for this resource.',
};

/** The issuer signed this, so its holder may know what is wrong with it. */
function notAccepted(error: unknown): Refusal {
  const reason = error instanceof ProtocolError ? error.code : `claims: ${(error as Error).message}`;
  return new Refusal(
    'invalid_token',
    said[reason] ?? 'The access token has claims that this resource does not accept.',
    {
      reason,
    },
  );
}
