import { isZoneName, type TokenContext } from './context.ts';
import type { AuthorizationDetail } from './details.ts';
import { isJsonObject, sha256Base64url } from './encoding.ts';
import { ProtocolError } from './errors.ts';
import type { ParsedJws } from './jws.ts';
import { parseScope } from './scope.ts';
import { checkTimes } from './times.ts';

/** What a token is bound to. Every member present must match. @see RFC 7800, RFC 9449 §6.1, RFC 8705 §3.1 */
export interface Confirmation {
  jkt?: string;
  'x5t#S256'?: string;
}

/** Who acts, and inside who acted before. @see RFC 8693 §4.1 */
export interface Actor {
  sub: string;
  iss?: string;
  sub_profile?: string;
  cnf?: Confirmation;
  act?: Actor;
}

/** Who may become the next actor. @see RFC 8693 §4.4 */
export interface MayAct {
  sub: string;
  iss: string;
}

/** The claims of an access token of ours. Times are NumericDates: seconds. @see RFC 9068 §2.2 */
export interface AccessTokenClaims {
  iss: string;
  sub: string;
  aud: string;
  client_id: string;
  exp: number;
  iat: number;
  jti: string;
  scope?: string;
  cnf?: Confirmation;
  /** The organization whose data this is. */
  org: string;
  instance?: string;
  task?: { id: string; workflow?: string; step?: string; env?: string };
  /** Where it may be used. */
  ctx?: TokenContext;
  /** The compute zone that its instance is attested to be in. */
  zone?: string;
  /** The revocation number as of which it was issued. */
  rev: number;
  /** Tags of everything else whose revocation ends this token. */
  links: string[];
  sub_profile: string;
  act?: Actor;
  /** Id of the mandate that it rests on, where somebody let the agent act for them. */
  mandate?: string;
  /** In place of that, the rule of a trusted issuer (`iss_…`) by whose word it lets the agent act. */
  issuer_rule?: { issuer: string; rule: string };
  /** The one agent that may exchange it, beside the one whose it is. @see RFC 8693 §4.4 */
  may_act?: MayAct;
  authorization_details?: readonly AuthorizationDetail[];
  /** Its place in a Token Status List, for verifiers that know nothing else of ours. @see draft-ietf-oauth-status-list §6.2 */
  status?: { status_list: { idx: number; uri: string } };
}

/** The short tag under which a token names what it depends on: the first 8 letters of base64url(SHA-256(id)). */
export function linkTag(id: string): string {
  return sha256Base64url(id).slice(0, 8);
}

/**
 * The tags of everything whose revocation ends this token: what it names, what it links, and the key that signed it.
 * @param kid of the token's header: whoever holds a stolen key would leave it out of the claims
 */
export function tagsOf(claims: AccessTokenClaims, kid: string): string[] {
  const { jti, client_id, org, instance, task, mandate, links } = claims;
  const named = [jti, client_id, org, instance, task?.id, mandate, kid].filter((id) => id !== undefined);
  return [...named.map(linkTag), ...links];
}

/**
 * Checks what an access token says: type, issuer, audience, times, and that the claims we rest on have their shape. Its signature,
 * its binding and its revocation are the caller's to check.
 * @param expected `now` in ms; `typ` as the resource's token profile says (`at+jwt`)
 * @throws ProtocolError `wrong_type`, `wrong_issuer`, `wrong_audience`, `expired`, `not_yet_valid`, `malformed`
 * @see RFC 9068 §4
 */
export function validateAccessTokenClaims(
  parsed: ParsedJws,
  expected: { issuer: string; audience: string; now: number; typ?: string; skewSeconds?: number },
): AccessTokenClaims {
  const { issuer, audience, now, typ = 'at+jwt', skewSeconds = 0 } = expected;
  if (mediaType(parsed.header.typ) !== typ.toLowerCase())
    throw new ProtocolError('wrong_type', `the token is no ${typ}`);
  const claims = parsed.payload;
  if (claims.iss !== issuer) throw new ProtocolError('wrong_issuer', 'the token is from another issuer');
  if (audienceOf(claims.aud) !== audience)
    throw new ProtocolError('wrong_audience', 'the token is for another resource');
  checkTimes(claims, { now, skewSeconds }, 'the token');
  for (const name of ['sub', 'client_id', 'jti', 'org'] as const) {
    if (typeof claims[name] !== 'string' || claims[name] === '') throw malformed(name);
  }
  if (typeof claims.iat !== 'number') throw malformed('iat');
  checkAuthority(claims);
  return { ...claims, aud: audience } as AccessTokenClaims;
}

function checkAuthority(claims: ParsedJws['payload']): void {
  if (!Number.isSafeInteger(claims.rev) || (claims.rev as number) < 0) throw malformed('rev');
  if (!Array.isArray(claims.links) || !claims.links.every((link) => typeof link === 'string')) throw malformed('links');
  if (claims.scope !== undefined) {
    if (typeof claims.scope !== 'string') throw malformed('scope');
    if (claims.scope !== '') parseScope(claims.scope);
  }
  if (claims.cnf !== undefined) checkConfirmation(claims.cnf);
  if (claims.zone !== undefined && !isZoneName(claims.zone)) throw malformed('zone');
  if (claims.mandate !== undefined && typeof claims.mandate !== 'string') throw malformed('mandate');
}

/** A binding that can't be read must not be taken for none. */
function checkConfirmation(cnf: unknown): void {
  if (!isJsonObject(cnf)) throw malformed('cnf');
  const names = Object.keys(cnf);
  if (names.length === 0) throw malformed('cnf');
  for (const name of names) {
    if ((name !== 'jkt' && name !== 'x5t#S256') || typeof cnf[name] !== 'string') throw malformed('cnf');
  }
}

function mediaType(typ: unknown): string | undefined {
  if (typeof typ !== 'string') return undefined;
  const name = typ.toLowerCase();
  return name.startsWith('application/') ? name.slice('application/'.length) : name;
}

/** One audience, written alone or as a list of one. A token for several is for none of ours. */
function audienceOf(aud: unknown): unknown {
  return Array.isArray(aud) && aud.length === 1 ? aud[0] : aud;
}

function malformed(name: string): ProtocolError {
  return new ProtocolError('malformed', `the token has no proper ${name}`);
}
