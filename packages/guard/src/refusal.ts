import { type AuthorizationDetail, formatChallenge, type Requirement } from '@bailiwick/protocol';
import type { PresentedScheme } from './credentials.ts';
import type { TransactionsTaken } from './transaction.ts';

/** Why a request did not pass. Each has its status, its challenge and its public words below, and nowhere else. */
export type RefusalCode =
  | 'no_credentials'
  | 'invalid_request'
  | 'invalid_token'
  | 'invalid_dpop_proof'
  | 'use_dpop_nonce'
  | 'operation_not_listed'
  | 'insufficient_scope'
  | 'wrong_authority'
  | 'access_denied'
  | 'insufficient_user_authentication'
  | 'unavailable'
  | 'internal';

/** What would be enough: all of it may be told to the caller. */
export interface Needed {
  /** All scopes that the operation takes. */
  scope?: readonly string[];
  /** Details of which one would reach it in place of, or beside, the scopes. */
  details?: readonly AuthorizationDetail[];
  requirements?: readonly Requirement[];
  /** Of how people authenticate, the most preferred first. @see RFC 9470 §3 */
  acrValues?: readonly string[];
  /** How long ago the person's authentication, or the proof that took its place, may have been, in seconds. @see RFC 9470 §3 */
  maxAgeSeconds?: number;
}

/** A refusal on its way to becoming an answer. `message` is for the operator's eyes, `detail` for the caller's. */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly code: RefusalCode;
  readonly detail: string;
  readonly needed: Needed;
  readonly retryAfterSeconds: number;

  constructor(
    code: RefusalCode,
    detail: string,
    { reason, retryAfterSeconds = 1, ...needed }: Needed & { reason?: string; retryAfterSeconds?: number } = {},
  ) {
    super(reason ?? detail);
    this.code = code;
    this.detail = detail;
    this.needed = needed;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/**
 * The body of a refusal.
 * @see RFC 9457
 */
export interface Problem {
  type: string;
  title: string;
  status: number;
  /** What was wrong and what would be right. */
  detail: string;
  /** The OAuth error code, where there is one. */
  error?: string;
  /** All scopes that the operation needs. */
  scope?: string;
  /** Details (RFC 9396) of which one would reach it. No standard says this in a challenge. */
  authorization_details?: readonly AuthorizationDetail[];
  /** What policy wants before it says yes. */
  requirements?: readonly Requirement[];
}

/** A complete answer that the guard gives in place of the route. */
export interface Answer {
  allowed: false;
  status: number;
  headers: Record<string, string | string[]>;
  body: string;
  problem?: Problem;
}

/** What the challenges of a resource say; a part of its configuration. */
export interface ChallengeContext {
  metadataUrl: string;
  algorithms: readonly string[];
  /** Whether the resource takes tokens as Bearer: those bound to a certificate alone, or (`dangerously_bearer`) to nothing. */
  bearer: boolean;
  /** The scheme that the request tried, if any. */
  scheme?: PresentedScheme | undefined;
  /** Where transaction tokens are taken: for which trust domain, and whether nothing else is. */
  transactions?: Pick<TransactionsTaken, 'trustDomain' | 'alone'> | undefined;
  nonce?: string | undefined;
}

const table = {
  no_credentials: { status: 401, title: 'An access token is missing' },
  invalid_request: { status: 400, title: 'The request is malformed', error: 'invalid_request' },
  invalid_token: { status: 401, title: 'The access token is not accepted', error: 'invalid_token' },
  invalid_dpop_proof: { status: 401, title: 'The DPoP proof is not accepted', error: 'invalid_dpop_proof' },
  use_dpop_nonce: { status: 401, title: 'The DPoP proof needs a nonce', error: 'use_dpop_nonce' },
  operation_not_listed: { status: 403, title: 'This operation is not listed' },
  insufficient_scope: { status: 403, title: 'The access token does not reach this far', error: 'insufficient_scope' },
  wrong_authority: { status: 403, title: 'Not on this authority', error: 'access_denied' },
  access_denied: { status: 403, title: 'Policy says no', error: 'access_denied' },
  insufficient_user_authentication: {
    status: 401,
    title: 'Not yet: policy wants more first',
    error: 'insufficient_user_authentication',
  },
  unavailable: { status: 503, title: 'The access token cannot be checked right now' },
  internal: { status: 500, title: 'The request could not be checked' },
} satisfies Record<RefusalCode, { status: number; title: string; error?: string }>;

/**
 * Turns a refusal into the answer that the caller gets.
 * @see RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3, RFC 9728 §5.1
 */
export function answerTo(refusal: Refusal, context: ChallengeContext): Answer {
  const { status, title, error } = table[refusal.code] as { status: number; title: string; error?: string };
  const { details, requirements, acrValues, maxAgeSeconds } = refusal.needed;
  const scope = listed(refusal.needed.scope);
  const problem: Problem = {
    type: `urn:bailiwick:problem:${refusal.code.replaceAll('_', '-')}`,
    title,
    status,
    detail: refusal.detail,
    ...(error === undefined ? {} : { error }),
    ...(scope === undefined ? {} : { scope }),
    ...(details === undefined ? {} : { authorization_details: details }),
    ...(requirements === undefined ? {} : { requirements }),
  };
  const headers: Answer['headers'] = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
  // No scope would change a no of policy, nor on whose authority a token is: a challenge would send the caller to get another of the kind.
  if (status === 401 || (error !== undefined && error !== 'access_denied')) {
    const max_age = maxAgeSeconds === undefined ? undefined : String(maxAgeSeconds);
    const needed = { scope, acr_values: listed(acrValues), max_age };
    headers['www-authenticate'] = challenges(context, error, needed);
  }
  if (context.nonce !== undefined && status === 401) headers['dpop-nonce'] = context.nonce;
  if (status === 503) headers['retry-after'] = String(refusal.retryAfterSeconds);
  return { allowed: false, status, headers, body: JSON.stringify(problem), problem };
}

function listed(names: readonly string[] | undefined): string | undefined {
  return names === undefined || names.length === 0 ? undefined : names.join(' ');
}

/** The answer when even refusing failed: it says nothing of why. */
export const notChecked: Answer = Object.freeze(
  answerTo(new Refusal('internal', 'Something went wrong while checking this request. It was not let through.'), {
    metadataUrl: '',
    algorithms: [],
    bearer: false,
  }),
);

/** One challenge per scheme that would be right; the error stands with the scheme that was tried. */
function challenges(
  context: ChallengeContext,
  error: string | undefined,
  needed: Record<string, string | undefined>,
): string | string[] {
  const { metadataUrl, algorithms, bearer, scheme, transactions } = context;
  // Whoever is outside gets no token that would do here: nothing tells them where to get one.
  if (transactions !== undefined && (transactions.alone || scheme === 'Txn-Token')) {
    return formatChallenge('Txn-Token', { realm: transactions.trustDomain, error, scope: needed.scope });
  }
  const told = (own: 'DPoP' | 'Bearer') =>
    error !== undefined && (scheme === undefined || scheme === own || !bearer) ? { error } : {};
  const dpop = formatChallenge('DPoP', {
    ...told('DPoP'),
    ...needed,
    algs: algorithms.join(' '),
    resource_metadata: metadataUrl,
  });
  if (!bearer) return dpop;
  const plain = formatChallenge('Bearer', { ...told('Bearer'), ...needed, resource_metadata: metadataUrl });
  // The scheme that was tried stands first, and else that of clients (MCP's SDK 1) that read no further.
  return scheme === 'DPoP' ? [dpop, plain] : [plain, dpop];
}
