/** The types of tokens that an exchange knows. @see RFC 8693 §3 */
import { transactionTokenType } from '@bailiwick/protocol';
import type { Form } from '../decide/plan.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { single } from '../tokens/form.ts';
import { accessTokenType } from '../tokens/issue.ts';

/** `grant_type`. @see RFC 8693 §2.1 */
export const exchangeGrantType = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** Our access tokens, by either name. */
export const accessTokenTypes: readonly string[] = [accessTokenType, 'urn:ietf:params:oauth:token-type:jwt'];

/** Our own: the id of a mandate. It is no secret, and works for the agent that the mandate names alone. */
export const mandateType = 'urn:bailiwick:params:oauth:token-type:mandate';

/** ID tokens of trusted issuers; their access tokens go by the names of ours. */
export const idTokenType = 'urn:ietf:params:oauth:token-type:id_token';

/** On what an exchange for an access token rests. */
export const subjectTokenTypes: readonly string[] = [mandateType, ...accessTokenTypes, idTokenType];

/** What an exchange gives. */
export const requestedTokenTypes: readonly string[] = [accessTokenType, transactionTokenType];

/**
 * Whether a transaction token is asked for, and no access token.
 * @throws OAuthError `invalid_request` for another type
 * @see RFC 8693 §2.1
 */
export function asksForTransaction(form: Form): boolean {
  const requested = single(form, 'requested_token_type') ?? accessTokenType;
  if (requestedTokenTypes.includes(requested)) return requested === transactionTokenType;
  throw new OAuthError(
    'invalid_request',
    `requested_token_type must be ${requestedTokenTypes.join(' or ')}, or absent`,
  );
}

/** What a transaction begins with, or is gone on with. */
export const transactionSubjects: readonly string[] = [...accessTokenTypes, transactionTokenType];

/** On whose authority, said in one of the types that are known here. @throws OAuthError `invalid_request` @see RFC 8693 §2.1 */
export function subjectToken(
  form: Form,
  types: readonly string[] = subjectTokenTypes,
): { token: string; type: string } {
  const shown = typedToken(form, 'subject_token', types);
  if (shown) return shown;
  throw new OAuthError('invalid_request', 'subject_token is missing');
}

/**
 * A token and what it is said to be; undefined where neither is there.
 * @param name `subject_token` or `actor_token`
 * @throws OAuthError `invalid_request` for one without the other, and for another type than these
 * @see RFC 8693 §2.1
 */
export function typedToken(
  form: Form,
  name: 'subject_token' | 'actor_token',
  types: readonly string[],
): { token: string; type: string } | undefined {
  const token = single(form, name);
  const type = single(form, `${name}_type`);
  if (token === undefined && type === undefined) return undefined;
  if (token === undefined) throw new OAuthError('invalid_request', `${name}_type is there, and no ${name}`);
  if (type === undefined || !types.includes(type)) {
    throw new OAuthError('invalid_request', `${name}_type must be ${types.join(' or ')}`);
  }
  return { token, type };
}
