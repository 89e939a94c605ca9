/** Reads a token of a trusted issuer, strictly: an ID token is never taken for an access token, nor the reverse. */
import {
  type Actor,
  actorsOf,
  type Confirmation,
  isJsonObject,
  isJwsAlgorithm,
  type JsonObject,
  maxCompactLength,
  nestActor,
  type ParsedJws,
  ProtocolError,
  parseCompact,
  verifyParsed,
} from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { keysOfIssuer } from './issuer-keys.ts';
import type { TokenKind, TrustedIssuer } from './trusted-issuer.ts';

/** What a token of a trusted issuer says, once it has proven to be one. */
export interface IssuedToken {
  kind: TokenKind;
  /** The issuer's name for whom it is about. */
  sub: string;
  claims: JsonObject;
  /** The scopes of an access token; undefined where it names none. */
  scope: readonly string[] | undefined;
  /** What it is bound to; nothing where it may be shown by whoever has it. */
  cnf: Confirmation | undefined;
  /** Who acted before, in the issuer's own names. */
  act: Actor | undefined;
  /** Milliseconds. */
  endsAt: number;
}

const longestName = 255; // OIDC Core §2: sub
const longestKid = 256;

/** Who says that it issued a token, before anything of it is believed; undefined for what is no JWT. */
export function issuerNamedIn(token: string): string | undefined {
  try {
    const { iss } = parseCompact(token).payload;
    return typeof iss === 'string' ? iss : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/**
 * Verifies a token of this issuer, by its keys alone.
 * @param as what it is said to be; `jwt`: whatever its header says
 * @throws OAuthError `invalid_request`
 * @see RFC 9068 §4, OpenID Connect Core §3.1.3.7, RFC 8725
 */
export async function readIssuedToken(
  deps: Deps,
  issuer: TrustedIssuer,
  { token, as }: { token: string; as: TokenKind | 'jwt' },
): Promise<IssuedToken> {
  const parsed = parse(token);
  const kind = kindOf(parsed, as);
  if (!issuer.accepts.includes(kind)) throw unfit(`is an ${inWords[kind]}, and its issuer is not trusted for these`);
  await mustBeSigned(deps, issuer, parsed);
  const claims = parsed.payload;
  if (claims.iss !== issuer.issuer) throw unfit('is of another issuer');
  mustBeFor(issuer, kind, claims);
  const endsAt = mustBeCurrent(deps, issuer, claims);
  return {
    kind,
    sub: nameIn(claims.sub, 'sub'),
    claims,
    scope: kind === 'access_token' && typeof claims.scope === 'string' ? claims.scope.split(' ') : undefined,
    cnf: confirmationIn(claims.cnf),
    act: chainIn(claims.act, issuer),
    endsAt,
  };
}

const inWords: Record<TokenKind, string> = { id_token: 'ID token', access_token: 'access token' };

function parse(token: string): ParsedJws {
  try {
    return parseCompact(token, maxCompactLength);
  } catch (error) {
    if (error instanceof ProtocolError) throw unfit(`is no JWT: ${error.message}`);
    throw error;
  }
}

/**
 * What it is, by its type and by what only the other kind says.
 * @see RFC 9068 §4: the type of access tokens, OpenID Connect Core §2: nonce, at_hash, c_hash, RFC 8725 §3.11
 */
function kindOf({ header, payload }: ParsedJws, as: TokenKind | 'jwt'): TokenKind {
  const typ = mediaType(header.typ);
  const kind: TokenKind | undefined = typ === 'at+jwt' ? 'access_token' : typ === 'jwt' ? 'id_token' : undefined;
  if (kind === undefined || (as !== 'jwt' && as !== kind)) {
    throw unfit(
      `has a type (typ) that is not of ${as === 'jwt' ? 'an ID token or access token' : `an ${inWords[as]}`}`,
    );
  }
  const betrays = onlyIn[kind === 'id_token' ? 'access_token' : 'id_token'].find((name) =>
    Object.hasOwn(payload, name),
  );
  if (betrays !== undefined) throw unfit(`has ${betrays}, which no ${inWords[kind]} has`);
  return kind;
}

/** Claims of one kind that the other doesn't have; an event is neither (a logout token, a security event token). */
const onlyIn: Record<TokenKind, readonly string[]> = {
  id_token: ['nonce', 'at_hash', 'c_hash', 's_hash', 'events'],
  access_token: ['scope', 'scp', 'client_id', 'events'],
};

/** Without a type it is what it always was: a JWT. */
function mediaType(typ: unknown): string | undefined {
  if (typ === undefined) return 'jwt';
  if (typeof typ !== 'string') return undefined;
  return typ.toLowerCase().replace(/^application\//, '');
}

/** Where a key is to be found says the registration alone: `jku`, `jwk`, `x5u` and `x5c` are not looked at. */
async function mustBeSigned(deps: Deps, issuer: TrustedIssuer, parsed: ParsedJws): Promise<void> {
  const { alg, kid } = parsed.header;
  if (!isJwsAlgorithm(alg) || !issuer.algorithms.includes(alg)) {
    throw unfit(`must be signed by one of ${issuer.algorithms.join(', ')}`);
  }
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > longestKid)) throw unfit('has no proper kid');
  const keys = await keysOfIssuer(deps, issuer, { alg, kid });
  if (keys.length === 0) throw unfit('is signed by a key that is not known of its issuer');
  if (!keys.some((key) => verifyParsed(parsed, key))) throw unfit('has a signature that is not of its issuer');
}

/** An ID token is for nobody beside those named; an access token for one of them. @see OpenID Connect Core §3.1.3.7, RFC 9068 §4 */
function mustBeFor({ audiences }: TrustedIssuer, kind: TokenKind, { aud, azp }: JsonObject): void {
  const named = Array.isArray(aud) ? aud : [aud];
  const isOurs = (one: unknown) => typeof one === 'string' && audiences.includes(one);
  const fits = kind === 'id_token' ? named.length > 0 && named.every(isOurs) : named.some(isOurs);
  if (!fits) throw unfit('is for another audience');
  if (kind === 'access_token') return;
  if (azp === undefined && named.length > 1) throw unfit('is for several, and does not say who asked for it (azp)');
  if (azp !== undefined && !isOurs(azp)) throw unfit('was asked for by another party (azp)');
}

/** Answers when it ends (milliseconds). */
function mustBeCurrent({ clock, config }: Deps, { maxAgeSeconds }: TrustedIssuer, claims: JsonObject): number {
  const now = clock.now();
  const skewMs = config.clock_skew_seconds * 1000;
  const [exp, iat] = [timeIn(claims, 'exp'), timeIn(claims, 'iat')];
  if (exp === undefined || iat === undefined) throw unfit('must say when it was issued, and when it ends');
  if (exp <= now) throw unfit('has expired');
  if (iat > now + skewMs) throw unfit('was issued in the future');
  if ((timeIn(claims, 'nbf') ?? now) > now + skewMs) throw unfit('is not valid yet');
  const oldest = iat + maxAgeSeconds * 1000;
  if (oldest <= now) throw unfit(`is older than ${maxAgeSeconds} s, the longest that its issuer is trusted for`);
  return Math.min(exp, oldest);
}

/** Milliseconds. */
function timeIn(claims: JsonObject, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw unfit(`has no proper ${name}`);
  return Math.floor(value * 1000);
}

function nameIn(value: unknown, what: string): string {
  // unpaired surrogates are no text: what can't be written down can't be compared
  if (typeof value !== 'string' || value === '' || value.length > longestName || !value.isWellFormed()) {
    throw unfit(`has no proper ${what}`);
  }
  return value;
}

/** A binding that can't be read must not be taken for none. @see RFC 7800 §3 */
function confirmationIn(cnf: unknown): Confirmation | undefined {
  if (cnf === undefined) return undefined;
  const members = isJsonObject(cnf) ? Object.entries(cnf) : [];
  const known = members.every(
    ([name, value]) => (name === 'jkt' || name === 'x5t#S256') && typeof value === 'string' && value !== '',
  );
  if (members.length === 0 || !known) throw unfit('is bound to a key in a way that is not known here (cnf)');
  return Object.fromEntries(members) as Confirmation;
}

/**
 * The chain that it brings. An issuer speaks for its own: an actor that is said to be anybody else's, above all one of ours, was not there.
 * Nothing of an actor is taken over but who it is.
 */
function chainIn(act: unknown, { issuer }: TrustedIssuer): Actor | undefined {
  try {
    let chain: Actor | undefined;
    for (const actor of actorsOf(act).toReversed()) {
      if (actor.iss !== issuer) throw unfit('has an actor for whom its issuer can not speak (act)');
      const { sub_profile } = actor;
      const known = {
        sub: nameIn(actor.sub, 'actor'),
        iss: issuer,
        ...(sub_profile !== undefined && { sub_profile: nameIn(sub_profile, 'sub_profile of an actor') }),
      };
      chain = nestActor(known, chain);
    }
    return chain;
  } catch (error) {
    if (error instanceof ProtocolError) throw unfit(`has a chain that can not be: ${error.message}`);
    throw error;
  }
}

const unfit = (why: string) => new OAuthError('invalid_request', `subject_token ${why}`);
