/**
 * Transaction tokens: what is known of a call from outside travels from service to service inside of one trust domain, and the token that it came with
 * stays where it was shown. This follows the editors' copy of 6 July 2026, which is draft 09.
 * @see draft-ietf-oauth-transaction-tokens
 */
import { type AccessTokenClaims, validateAccessTokenClaims } from './access-token.ts';
import { canonicalJson } from './canonical-json.ts';
import { isJsonObject, isPrintable, type JsonObject } from './encoding.ts';
import { ProtocolError } from './errors.ts';
import type { ParsedJws } from './jws.ts';

/** How token exchange calls them. */
export const transactionTokenType = 'urn:ietf:params:oauth:token-type:txn_token';

/** Header `typ`: no verifier of access tokens takes it for one. */
export const transactionTyp = 'txntoken+jwt';

/** The header that carries one from service to service, in lower case. `Authorization` is for whoever calls, and this isn't who calls. */
export const transactionHeader = 'txn-token';

/** Of `tctx`, and of `rctx`, in JSON: every service in between sends both in a header. */
export const longestTransactionContext = 4096;

/** How many workloads may stand in one: the one at the edge, and those that replaced it. */
export const mostRequesters = 6;

/**
 * The claims of a transaction token of ours: those of the access token that it came of (whose it is, who acts, by which mandate), with the
 * trust domain as `aud`. Times are NumericDates: seconds.
 */
export interface TransactionClaims extends Omit<AccessTokenClaims, 'cnf' | 'may_act' | 'authorization_details'> {
  scope: string;
  /** The same in every token of a transaction. */
  txn: string;
  /** The workload that requested this one: its SPIFFE ID. */
  req_wl: string;
  /** Our own: the workloads that requested those before, the first first. The draft has them kept, and leaves open where. */
  req_wl_before?: readonly string[];
  /** What is settled for the whole transaction. */
  tctx?: JsonObject;
  /** What it began in. */
  rctx?: JsonObject;
  /** Our own: ids of the resources that take it. */
  resources: readonly string[];
}

/**
 * Checks what a transaction token says, as far as that is in it: type, issuer, trust domain, times, and the shape of its claims. Its signature and its
 * revocation are the caller's to check, and whether it is for this resource.
 * @param expected `now` in ms
 * @throws ProtocolError as `validateAccessTokenClaims` does
 * @see draft-ietf-oauth-transaction-tokens §"Txn-Token Validation"
 */
export function validateTransactionClaims(
  parsed: ParsedJws,
  expected: { issuer: string; trustDomain: string; now: number; skewSeconds?: number },
): TransactionClaims {
  const { trustDomain: audience, ...rest } = expected;
  const claims = validateAccessTokenClaims(parsed, { ...rest, audience, typ: transactionTyp });
  const {
    txn,
    req_wl,
    req_wl_before = [],
    resources,
    tctx,
    rctx,
  } = claims as AccessTokenClaims & Record<string, unknown>;
  if (!isPrintable(txn, 128)) throw malformed('txn');
  if (typeof claims.scope !== 'string') throw malformed('scope');
  if (!areNames([req_wl])) throw malformed('req_wl');
  if (!areNames(req_wl_before)) throw malformed('req_wl_before');
  if (!areNames(resources)) throw malformed('resources');
  for (const [name, context] of Object.entries({ tctx, rctx })) {
    if (context !== undefined && !isJsonObject(context)) throw malformed(name);
  }
  // one that is bound would be worth nothing to the services that it is passed to: nobody here could check by whom it is used
  if (claims.cnf !== undefined) throw malformed('cnf');
  return claims as TransactionClaims;
}

/** The workloads that requested the tokens of a transaction, the one at the edge first. */
export const requestersOf = ({ req_wl, req_wl_before = [] }: TransactionClaims): readonly string[] => [
  ...req_wl_before,
  req_wl,
];

/**
 * Reads the JSON object of a request's `request_context` or `request_details`.
 * @param name of the parameter, for the message
 * @throws ProtocolError `bad_context`
 */
export function parseTransactionContext(text: string, name: string): JsonObject {
  if (text.length > longestTransactionContext) throw badContext(`${name} is longer than ${longestTransactionContext}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
    canonicalJson(value);
  } catch {
    throw badContext(`${name} must be JSON`);
  }
  if (!isJsonObject(value)) throw badContext(`${name} must be a JSON object`);
  return value;
}

/**
 * A context with what a later request adds. What stands in it stays as it is.
 * @param name of the parameter, for the message
 * @throws ProtocolError `bad_context` where it would say something else, or too much
 */
export function addedToContext(before: JsonObject | undefined, more: JsonObject | undefined, name: string) {
  if (more === undefined) return before;
  for (const [member, value] of Object.entries(more)) {
    const known = before !== undefined && Object.hasOwn(before, member);
    if (known && canonicalJson(before[member]) !== canonicalJson(value)) {
      const which = isPrintable(member, 64) ? member : 'a member';
      throw badContext(`${name} would change ${which}, which the transaction says already`);
    }
  }
  const added = { ...before, ...more };
  if (JSON.stringify(added).length > longestTransactionContext) {
    throw badContext(`${name} would make the context longer than ${longestTransactionContext}`);
  }
  return added;
}

const areNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((name) => isPrintable(name, 2048));

const malformed = (name: string) => new ProtocolError('malformed', `the token has no proper ${name}`);
const badContext = (message: string) => new ProtocolError('bad_context', message);
