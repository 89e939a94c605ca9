import { type AuthorizationDetail, createDpopProof, type JsonObject } from '@bailiwick/protocol';
import { type Asked, detailsIn, parametersOf, scopeList } from './asked.ts';
import { askIssuer, errorNameOf, wordsOf } from './attempts.ts';
import { BailiwickError } from './errors.ts';
import { type Answer, ask } from './http.ts';
import type { Identity, PeerFetch } from './identity.ts';
import type { Issuer } from './issuer.ts';
import type { IssuerClock } from './issuer-clock.ts';
import type { Nonces } from './nonces.ts';
import type { Deps } from './options.ts';
import { requirementsIn, StepUpRequired, steppedUp } from './step-up.ts';
import { type Narrowed, narrowedIn } from './subject.ts';
import { shown } from './urls.ts';

/** What a token is wanted for. Undefined leaves it to the registration. */
export interface Wanted extends Asked {
  resource: string | undefined;
  /** The `traceparent` of what it is wanted for. */
  trace?: string | undefined;
}

/** A token in hand. It stays inside this package's closures. */
export interface HeldToken {
  value: string;
  type: 'DPoP' | 'Bearer';
  scope: string[];
  /** @see RFC 9396 §7 */
  details: AuthorizationDetail[];
  resource: string | undefined;
  /** What was left out of it, and by whom. */
  narrowed: readonly Narrowed[];
  /** In ms. */
  expiresAt: number;
  /** What it was got with, and is used with: it is bound to that key, or certificate. */
  identity: Identity;
}

export type TokenRequester = (wanted: Wanted) => Promise<HeldToken>;

const step = 'asking for a token';

/** Asks the issuer for tokens, by `client_credentials` or in exchange for somebody's authority, bound to a key (DPoP), a certificate (RFC 8705), or both. */
export function createTokenRequester(deps: Deps, issuer: Issuer, clock: IssuerClock, nonces: Nonces): TokenRequester {
  /**
   * @throws BailiwickError with the OAuth error as its code, or `token_refused`, `bad_answer`, and what `ask` throws
   */
  return ({ resource, trace, ...asked }) =>
    steppedUp(deps, asked, (narrowed, identity) => request({ ...narrowed, resource, trace }, identity));

  async function request(wanted: Wanted, identity: Identity): Promise<HeldToken> {
    const endpoint = await issuer.tokenEndpoint(identity.mutualTls);
    // Its life is counted from before it was asked for, so that it never seems longer than it is.
    let askedAt = deps.now();
    const answer = await askIssuer({ deps, clock, nonces }, endpoint.origin, ({ now, nonce }) => {
      askedAt = deps.now();
      return send(deps, { endpoint, identity, wanted, now, nonce });
    });
    if (answer.status !== 200) throw refusal(deps, answer, askingFor(wanted), endpoint);
    const token = heldToken(answer.json, wanted, { askedAt, endpoint, identity });
    wanted.task?.known();
    return token;
  }
}

interface Sending {
  endpoint: URL;
  identity: Identity;
  wanted: Wanted;
  now: number;
  nonce: string | undefined;
}

function send(deps: Deps, { endpoint, identity, wanted, now, nonce }: Sending): Promise<Answer> {
  const form = new URLSearchParams(parametersOf(wanted));
  if (wanted.resource !== undefined) form.set('resource', wanted.resource);
  return sendForm(deps, { endpoint, identity, form, now, nonce, trace: wanted.trace, step });
}

/** Sends a token request, with what proves the agent and, where it has one, its key. */
export async function sendForm(
  deps: Deps,
  {
    endpoint,
    identity,
    form: asked,
    now,
    nonce,
    trace,
    step,
  }: Omit<Sending, 'wanted'> & { form: URLSearchParams; trace: string | undefined; step: string },
): Promise<Answer> {
  const { proofSigner } = identity;
  const [proven, proof] = await Promise.all([
    identity.authenticate({ audience: deps.issuer, now, jti: deps.uuid() }),
    proofSigner && createDpopProof(proofSigner, { htm: 'POST', htu: endpoint.href, now, jti: deps.uuid(), nonce }),
  ]);
  const form = new URLSearchParams([...Object.entries(proven), ...asked]);
  const ofIssuer: PeerFetch = (url, init) => identity.fetch(url, { ...init, ofIssuer: true });
  const by = identity.mutualTls ? { ...deps, fetch: ofIssuer } : deps;
  return ask(by, step, endpoint, {
    method: 'POST',
    headers: {
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
      ...(proof !== undefined && { dpop: proof }),
      ...(trace !== undefined && { traceparent: trace }),
    },
    body: form.toString(),
  });
}

/**
 * A token, of the answer that should bring one.
 * @throws BailiwickError `bad_answer`
 * @see RFC 6749 §5.1
 */
export function heldToken(
  json: JsonObject | undefined,
  wanted: Wanted,
  { askedAt, endpoint, identity }: { askedAt: number; endpoint: URL; identity: Identity },
): HeldToken {
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
    details: detailsIn(json?.authorization_details),
    resource: wanted.resource,
    narrowed: narrowedIn(json?.narrowed),
    expiresAt: askedAt + seconds * 1000,
    identity,
  };
}

const hints: Record<string, string> = {
  unauthorized_client: 'look at its registration: is it active, and may it use client_credentials?',
  invalid_target: 'give the agent this resource in its registration, and check how the resource is written',
  invalid_scope:
    'name scopes that a role of the agent gives on this resource (option scope), or have its registration name default ones',
  access_denied: 'a policy refuses this; the audit log of the issuer says which',
  invalid_dpop_proof: 'check the clock of this machine',
  invalid_authorization_details:
    'name details of a type that the API has, within what a role of the agent (and its task) gives (option details)',
  invalid_grant: 'has the task ended, or is it another agent’s?',
  use_dpop_nonce: 'a proxy seems to drop the DPoP-Nonce header',
};

/** What the same refusals mean where a token was asked for on somebody's authority: the issuer's words say which link of the chain it was. */
const hintsOnBehalf: Record<string, string> = {
  ...hints,
  unauthorized_client: 'look at its registration: is it active, and may it use token exchange?',
  invalid_request:
    'is the mandate this agent’s, and are it and those above it alive? A mandate is taken from the agent that it names alone',
  invalid_grant: 'is it used up, or for another task? Whoever gave the mandate can say',
  invalid_scope: 'name scopes that the mandate has, and a role of the agent gives',
  invalid_authorization_details: 'name details within those of the mandate, and within what a role of the agent gives',
  invalid_target: 'name an API that the mandate is for, and that the agent was given in its registration',
};

const askingFor = ({ resource, subject }: Wanted): Asking => ({
  step: resource === undefined ? step : `${step} for ${resource}`,
  hints: subject === undefined ? hints : hintsOnBehalf,
});

/** What was asked for, and what to do about a refusal, by its code. */
interface Asking {
  step: string;
  hints: Readonly<Record<string, string>>;
}

/** The error of an answer that brings no token. */
export function refusal(deps: Deps, answer: Answer, asking: Asking, endpoint: URL): BailiwickError {
  const { status } = answer;
  const code = errorNameOf(answer, 'token_refused');
  const message = `${asking.step}: ${shown(endpoint)} answered ${status} ${code} to ${deps.clientId}${wordsOf(answer)}`;
  if (code === 'step_up_required') {
    const { requirements, all } = requirementsIn(answer.json);
    // one that isn't known here can't be met here: then nothing is tried
    return all ? new StepUpRequired(message, requirements, { status }) : new BailiwickError(code, message, { status });
  }
  const known = code === 'invalid_client' ? deps.unknownHint : asking.hints[code];
  const hint = known ?? (status === 429 || status >= 500 ? 'try again later' : undefined);
  return new BailiwickError(code, message, { status, hint });
}
