import { createClientAssertion, createDpopProof, formatScope, isPrintable, type JsonObject } from '@bailiwick/protocol';
import { BailiwickError } from './errors.ts';
import { type Answer, ask } from './http.ts';
import type { Issuer } from './issuer.ts';
import type { Nonces } from './nonces.ts';
import { type Deps, scopeList } from './options.ts';
import { shown } from './urls.ts';

/** What a token is wanted for. Undefined leaves it to the registration. */
export interface Wanted {
  resource: string | undefined;
  scope: readonly string[] | undefined;
}

/** A token in hand. It stays inside this package's closures. */
export interface HeldToken {
  value: string;
  type: 'DPoP' | 'Bearer';
  scope: string[];
  resource: string | undefined;
  /** In ms. */
  expiresAt: number;
}

export interface TokenRequester {
  (wanted: Wanted): Promise<HeldToken>;
  /** The present as the issuer sees it, in ms: ours, unless we learned that ours is off. */
  now(): number;
}

interface Attempts {
  nonce: boolean;
  clock: boolean;
  waits: number;
}

const step = 'asking for a token';
const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const maxWaits = 2;
const maxWaitMs = 10_000;
const maxSkewMs = 86_400_000;
const minSkewMs = 5_000;

/** Asks the issuer for tokens by `client_credentials` with `private_key_jwt` and DPoP. */
export function createTokenRequester(deps: Deps, issuer: Issuer, nonces: Nonces): TokenRequester {
  let offset = 0;
  const now = () => deps.now() + offset;

  /** Is there a reason to ask once more? Each reason counts once, but waiting. */
  async function isWorthAnother(answer: Answer, hasOtherNonce: boolean, tried: Attempts): Promise<boolean> {
    const error = answer.json?.error;
    if (error === 'use_dpop_nonce' && hasOtherNonce && !tried.nonce) {
      tried.nonce = true;
      return true;
    }
    if ((error === 'invalid_client' || error === 'invalid_dpop_proof') && !tried.clock) {
      tried.clock = true;
      const skew = skewOf(answer.headers, deps.now());
      const isOff = Math.abs(skew - offset) > minSkewMs;
      if (isOff) offset = skew;
      return isOff;
    }
    if ((answer.status !== 429 && answer.status !== 503) || tried.waits >= maxWaits) return false;
    const wait = retryAfterMs(answer.headers, deps.now());
    if (wait > maxWaitMs) return false;
    tried.waits++;
    await deps.sleep(wait);
    return true;
  }

  /**
   * @throws BailiwickError with the OAuth error as its code, or `token_refused`, `bad_answer`, and what `ask` throws
   */
  async function request(wanted: Wanted): Promise<HeldToken> {
    const endpoint = await issuer.tokenEndpoint();
    const tried: Attempts = { nonce: false, clock: false, waits: 0 };
    for (;;) {
      // Its life is counted from before it was asked for, so that it never seems longer than it is.
      const askedAt = deps.now();
      const nonce = nonces.get(endpoint.origin);
      const answer = await send(deps, endpoint, wanted, now(), nonce);
      nonces.learn(endpoint.origin, answer.headers);
      // Compared with what was sent: another request may have learned the same nonce meanwhile.
      const hasOtherNonce = nonces.get(endpoint.origin) !== nonce;
      if (answer.status === 200) return heldToken(answer.json, wanted, askedAt, endpoint);
      if (!(await isWorthAnother(answer, hasOtherNonce, tried))) throw refusal(deps, answer, wanted, endpoint);
    }
  }

  return Object.assign(request, { now });
}

async function send(
  deps: Deps,
  endpoint: URL,
  wanted: Wanted,
  now: number,
  nonce: string | undefined,
): Promise<Answer> {
  const { clientId, issuer } = deps;
  const [assertion, proof] = await Promise.all([
    createClientAssertion(deps.signer, { clientId, audience: issuer, now, jti: deps.uuid() }),
    createDpopProof(deps.proofSigner, { htm: 'POST', htu: endpoint.href, now, jti: deps.uuid(), nonce }),
  ]);
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: clientId,
    client_assertion_type: assertionType,
    client_assertion: assertion,
  });
  if (wanted.resource !== undefined) form.set('resource', wanted.resource);
  if (wanted.scope !== undefined && wanted.scope.length > 0) form.set('scope', formatScope(wanted.scope));
  return ask(deps, step, endpoint, {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded', dpop: proof },
    body: form.toString(),
  });
}

function heldToken(json: JsonObject | undefined, wanted: Wanted, askedAt: number, endpoint: URL): HeldToken {
  const { access_token: value, token_type: type, expires_in: seconds, scope } = json ?? {};
  const kind = typeof type === 'string' ? type.toLowerCase() : '';
  // What is no proper token could break out of the header that it is sent in.
  const isToken = typeof value === 'string' && value.length <= 16_384 && /^[A-Za-z0-9._~+/-]+=*$/.test(value);
  if (!isToken || (kind !== 'dpop' && kind !== 'bearer') || typeof seconds !== 'number' || !(seconds > 0)) {
    throw new BailiwickError('bad_answer', `${step}: ${shown(endpoint)} answered with something that is no token`, {
      status: 200,
      hint: 'is issuer the address of an OAuth server?',
    });
  }
  return {
    value,
    type: kind === 'dpop' ? 'DPoP' : 'Bearer',
    // RFC 6749 §5.1: left out, the scope is the one that was asked for.
    scope: typeof scope === 'string' ? (scopeList(scope) ?? []) : [...(wanted.scope ?? [])],
    resource: wanted.resource,
    expiresAt: askedAt + seconds * 1000,
  };
}

/** How far the issuer's clock is ahead of ours, from its Date header, if that is believable. */
function skewOf(headers: Headers, now: number): number {
  const skew = Date.parse(headers.get('date') ?? '') - now;
  return Math.abs(skew) <= maxSkewMs ? skew : 0;
}

/** @see RFC 9110 §10.2.3 */
function retryAfterMs(headers: Headers, now: number): number {
  const text = headers.get('retry-after') ?? '1';
  const wait = /^\d{1,6}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(wait) ? Math.max(wait, 100) : 1000;
}

const hints: Record<string, string> = {
  invalid_client:
    'is the clientId right, the key registered for this agent and not expired, and the clock of this machine right?',
  unauthorized_client: 'look at its registration: is it active, and may it use client_credentials?',
  invalid_target: 'give the agent this resource in its registration, and check how the resource is written',
  invalid_scope:
    'name scopes that a role of the agent gives on this resource (option scope), or have its registration name default ones',
  access_denied: 'a policy refuses this; the audit log of the issuer says which',
  invalid_dpop_proof: 'check the clock of this machine',
  use_dpop_nonce: 'a proxy seems to drop the DPoP-Nonce header',
};

function refusal(deps: Deps, answer: Answer, wanted: Wanted, endpoint: URL): BailiwickError {
  const { status, json } = answer;
  const named = json?.error;
  const code = typeof named === 'string' && /^[a-z_]{1,64}$/.test(named) ? named : 'token_refused';
  const what = wanted.resource === undefined ? '' : ` for ${wanted.resource}`;
  const description = clean(json?.error_description);
  const message = `${step}${what}: ${shown(endpoint)} answered ${status} ${code} to ${deps.clientId}${description}`;
  const hint = hints[code] ?? (status === 429 || status >= 500 ? 'try again later' : undefined);
  return new BailiwickError(code, message, { status, hint });
}

/** The issuer's own words, but for anything in them that looks like a token. */
function clean(description: unknown): string {
  if (!isPrintable(description, 500)) return '';
  return `: ${description.replace(/[\w-]{16,}\.[\w.-]+/g, '[left out]')}`;
}
