/**
 * Calls inside of a trust domain: an API that was called from outside exchanges the token that it was called with for a transaction token, and calls
 * the services behind it with that. Those pass it on as it came. The token from outside never travels inward.
 * @see draft-ietf-oauth-transaction-tokens
 */
import { type JsonObject, readTraceparent, transactionHeader, transactionTokenType } from '@bailiwick/protocol';
import { scopeList } from './asked.ts';
import { askIssuer } from './attempts.ts';
import { readCall } from './call.ts';
import { BailiwickError } from './errors.ts';
import { networkError } from './http.ts';
import type { PeerFetch } from './identity.ts';
import type { Issuer } from './issuer.ts';
import type { IssuerClock } from './issuer-clock.ts';
import type { Nonces } from './nonces.ts';
import { type Deps, fetchOf } from './options.ts';
import { grantOf, ofAccessToken } from './subject.ts';
import { refusal, sendForm } from './token-request.ts';
import { shown } from './urls.ts';

/** A request that came in: of `node:http` and what is built on it, or a web `Request`. */
export interface IncomingCall {
  readonly headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface TransactionOptions {
  /** What the transaction is for: scopes of the token that the request came with. */
  scope: string | readonly string[];
  /** What it is about, settled for all services behind this one: `tctx`. It can be added to, and never changed. */
  details?: JsonObject;
  /** What it began in, the caller's address say: `rctx`. */
  context?: JsonObject;
  /** Identifiers of the services that it is to come to, where these are fewer than all that it may. */
  resources?: readonly string[];
}

/** A transaction token in hand, or passed on. Nobody gets to see it. */
export interface Transaction {
  /** `fetch` with the `Txn-Token` header, to services of the same trust domain: whoever gets it can use it until it ends. Redirects are not followed. */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
}

/** One that was asked for. */
export interface BegunTransaction extends Transaction {
  readonly scope: readonly string[];
  /** In ms. */
  readonly expiresAt: number;
}

export type BeginTransaction = (request: IncomingCall, options: TransactionOptions) => Promise<BegunTransaction>;

const step = 'asking for a transaction token';

/** Asks the issuer for transaction tokens, each anew: they are for one call and what it calls for. */
export function createTransactions(deps: Deps, issuer: Issuer, clock: IssuerClock, nonces: Nonces): BeginTransaction {
  return async (request, options) => {
    const wanted = { ...presentedIn(request), ...parametersOf(options), audience: await issuer.trustDomain() };
    const identity = await deps.identity();
    const endpoint = await issuer.tokenEndpoint(identity.mutualTls);
    const trace = readTraceparent(headersIn(request, 'traceparent')[0]);
    let askedAt = deps.now();
    const answer = await askIssuer({ deps, clock, nonces }, endpoint.origin, ({ now, nonce }) => {
      askedAt = deps.now();
      const form = new URLSearchParams({ ...grantOf(wanted.subject), ...wanted.form, audience: wanted.audience });
      for (const resource of options.resources ?? []) form.append('resource', resource);
      return sendForm(deps, { endpoint, identity, form, now, nonce, trace, step });
    });
    if (answer.status !== 200) throw refusal(deps, answer, { step, hints }, endpoint);
    const { access_token: token, issued_token_type: type, expires_in: seconds, scope } = answer.json ?? {};
    if (!isToken(token) || type !== transactionTokenType || typeof seconds !== 'number' || typeof scope !== 'string') {
      throw new BailiwickError('bad_answer', `${step}: ${shown(endpoint)} answered with something else`, {
        status: 200,
        hint: 'does the issuer know transaction tokens?',
      });
    }
    return Object.freeze({
      ...carrying(identity.fetch, token, trace),
      scope: scopeList(scope) ?? [],
      expiresAt: askedAt + seconds * 1000,
    });
  };
}

/**
 * The transaction that a request came with, to be passed on as it is: services inside need nothing else, and no identity of their own.
 * @throws BailiwickError `no_transaction`
 */
export function transactionOf(request: IncomingCall, { fetch }: { fetch?: typeof globalThis.fetch } = {}): Transaction {
  const [token, ...more] = headersIn(request, transactionHeader);
  if (more.length > 0 || !isToken(token)) {
    throw new BailiwickError('no_transaction', 'the request has no transaction token to pass on', {
      hint: 'at the edge of the trust domain, ask for one: agent.transaction(request, …)',
    });
  }
  return Object.freeze(
    carrying((url, init) => fetchOf(fetch)(url, init), token, readTraceparent(headersIn(request, 'traceparent')[0])),
  );
}

/** Only what is sent with a body that can't be sent again has to say so. */
const streaming = { duplex: 'half' } as const;

function carrying(send: PeerFetch, token: string, trace: string | undefined): Transaction {
  return {
    fetch: async (input, init) => {
      const { url, method, headers, body, signal, rest, canRepeat } = readCall(input, init);
      headers.set(transactionHeader, token);
      if (trace !== undefined && !headers.has('traceparent')) headers.set('traceparent', trace);
      const fixed = { method, headers, body, signal, redirect: 'manual', ...(canRepeat ? {} : streaming) } as const;
      try {
        return await send(url.href, { ...rest, ...fixed });
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof BailiwickError) throw error;
        throw networkError(`${method} with a transaction token`, url, error);
      }
    },
  };
}

/** What the request came with: a transaction token is replaced, an access token begins one. */
function presentedIn(request: IncomingCall) {
  const [transaction] = headersIn(request, transactionHeader);
  if (isToken(transaction)) return { subject: { type: transactionTokenType, token: transaction } };
  const [, access] = /^(?:DPoP|Bearer) +(\S+)$/i.exec(headersIn(request, 'authorization')[0] ?? '') ?? [];
  if (isToken(access)) return { subject: { type: ofAccessToken, token: access } };
  throw new BailiwickError('no_transaction', 'the request has neither an access token nor a transaction token', {
    hint: 'give the request as it came in, behind its guard',
  });
}

function parametersOf({ scope, details, context }: TransactionOptions) {
  const scopes = scopeList(scope) ?? [];
  if (scopes.length === 0) throw new BailiwickError('bad_option', 'a transaction is for something: name its scope');
  return {
    form: {
      requested_token_type: transactionTokenType,
      scope: scopes.join(' '),
      ...(details !== undefined && { request_details: JSON.stringify(details) }),
      ...(context !== undefined && { request_context: JSON.stringify(context) }),
    },
  };
}

function headersIn({ headers }: IncomingCall, name: string): readonly string[] {
  const values = headers instanceof Headers ? headers.get(name) : headers[name];
  if (values === undefined || values === null) return [];
  return typeof values === 'string' ? [values] : values;
}

/** What is none could break out of the header that it is sent in. */
const isToken = (text: unknown): text is string =>
  typeof text === 'string' && text.length <= 16_384 && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

const hints: Record<string, string> = {
  unauthorized_client: 'look at its registration: is it active, and may it use token exchange?',
  invalid_request:
    'does this agent serve the resource that was called (served_by), does the token live, and does nothing that the transaction says already change?',
  invalid_scope: 'name scopes that the token has which the request came with',
  invalid_target:
    'does the registration of the resource name the services that its transactions come to (token.transactions)?',
  access_denied: 'a policy refuses this; the audit log of the issuer says which',
};
