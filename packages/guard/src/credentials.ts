import { transactionHeader } from '@bailiwick/protocol';
import { Refusal } from './refusal.ts';
import type { GuardRequest } from './request.ts';
import type { TransactionsTaken } from './transaction.ts';

/** How a token comes: in the `Authorization` header, or in one of its own. */
export type PresentedScheme = 'DPoP' | 'Bearer' | 'Txn-Token';

/** What the request presents, not yet believed. */
export interface Presented {
  scheme: PresentedScheme;
  token: string;
  /** The DPoP header, as many times as it was sent. */
  proofs: readonly string[];
}

const maxTokenLength = 16 * 1024;
const tokenInQuery = /(?:^|[&;])(?:access_token|access%5ftoken)=/i;

/**
 * Finds the one access token of a request. It stands in the `Authorization` header or nowhere: URLs end up in logs.
 * @throws Refusal `no_credentials` when there is none, `invalid_request` when there is more than one or it is misplaced
 * @see RFC 6750 §2, RFC 9449 §7.1
 */
export function presentedIn(request: GuardRequest, query: string): Presented {
  const values = request.headers.authorization ?? [];
  if (values.length > 1) {
    throw malformed(
      'The request has more than one Authorization header: send exactly one.',
      'two Authorization headers',
    );
  }
  if (query !== '' && tokenInQuery.test(query)) {
    throw malformed(
      'There is an access token in the URL, where logs can see it: treat it as lost, and send tokens in the Authorization header.',
      'token in the URL',
    );
  }
  const value = values[0];
  if (value === undefined) throw noCredentials('no Authorization header');
  if (value.length > maxTokenLength) throw malformed('The Authorization header is too long.', 'too long');
  const [scheme, token] = split(value);
  if (scheme !== 'dpop' && scheme !== 'bearer') {
    if (/^[a-z][a-z0-9-]*$/.test(scheme)) throw noCredentials('another scheme');
    throw malformed('The Authorization header must be "DPoP <token>": a scheme and one token.', 'no single token');
  }
  if (token === '') throw malformed('The Authorization header names a scheme but no token.', 'no token');
  // Only what separates tokens matters here, and is found fast; a token that is none is found when it is taken apart.
  if (token.includes(' ') || token.includes(',')) {
    throw malformed('The Authorization header must be "DPoP <token>": a scheme and one token.', 'no single token');
  }
  return { scheme: scheme === 'dpop' ? 'DPoP' : 'Bearer', token, proofs: request.headers.dpop ?? [] };
}

/**
 * The same at a resource that takes transaction tokens: exactly one token, of either kind where both are taken. An access token beside a transaction token
 * would leave open which of the two counts, and is one that somebody let travel inward.
 * @throws Refusal `no_credentials` or `invalid_request`
 * @see draft-ietf-oauth-transaction-tokens §"Txn-Token HTTP Header"
 */
export function presentedInside(
  request: GuardRequest,
  query: string,
  { alone }: Pick<TransactionsTaken, 'alone'>,
): Presented {
  const values = request.headers[transactionHeader] ?? [];
  const bringsAccessToken = (request.headers.authorization ?? []).some((value) => /^\s*(?:dpop|bearer)\b/i.test(value));
  if (values.length === 0 && !alone) return presentedIn(request, query);
  if (bringsAccessToken || tokenInQuery.test(query)) {
    throw malformed(
      'Inside of the trust domain a request brings a transaction token (Txn-Token) and no access token: exchange it at the edge.',
      values.length === 0 ? 'access token inside' : 'access token beside a transaction token',
    );
  }
  const [token, ...more] = values.map(withoutBlanks);
  if (token === undefined || token === '') throw noTransaction();
  if (more.length > 0 || /[ ,]/.test(token) || token.length > maxTokenLength) {
    throw malformed('The Txn-Token header must be exactly one transaction token.', 'no single transaction token');
  }
  return { scheme: 'Txn-Token', token, proofs: [] };
}

/** The scheme, which has no case, and what follows it. */
function split(value: string): [scheme: string, token: string] {
  const space = value.indexOf(' ');
  if (space < 0) return [value.toLowerCase(), ''];
  return [value.slice(0, space).toLowerCase(), withoutBlanks(value.slice(space + 1))];
}

/** Without the spaces and tabs that HTTP lets stand around a value (RFC 9110 §5.6.3); whatever else is there belongs to it. */
function withoutBlanks(text: string): string {
  let [from, to] = [0, text.length];
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return from === 0 && to === text.length ? text : text.slice(from, to);
}

const isBlank = (code: number) => code === 0x20 || code === 0x09;

function malformed(detail: string, reason: string): Refusal {
  return new Refusal('invalid_request', detail, { reason });
}

function noCredentials(reason: string): Refusal {
  const detail =
    'Send an access token for this resource in the Authorization header. Where to get one stands in the metadata that the WWW-Authenticate header names.';
  return new Refusal('no_credentials', detail, { reason });
}

function noTransaction(): Refusal {
  const detail = 'Send the transaction token of the call that this one is a part of, in the Txn-Token header.';
  return new Refusal('no_credentials', detail, { reason: 'no Txn-Token header' });
}
