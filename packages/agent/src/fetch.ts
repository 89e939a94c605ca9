import {
  type Challenge,
  createDpopProof,
  isSubset,
  parseScope,
  protectedResourceMetadataUrl,
  readTraceparent,
  resourceCovers,
  type Signer,
  union,
} from '@bailiwick/protocol';
import { type Asked, keyOf, laterThan } from './asked.ts';
import { type AgentRequestInit, type Call, readCall } from './call.ts';
import { BailiwickError } from './errors.ts';
import { discard, isRedirect, networkError, orAborted } from './http.ts';
import type { Nonces } from './nonces.ts';
import type { Deps } from './options.ts';
import { challengesOf, type Resource, type Resources } from './resources.ts';
import type { HeldToken } from './token-request.ts';
import type { Tokens } from './tokens.ts';
import { traceFor } from './trace.ts';
import { shown } from './urls.ts';

export type AgentFetch = (input: string | URL | Request, init?: AgentRequestInit) => Promise<Response>;

interface Rooms {
  deps: Deps;
  nonces: Nonces;
  resources: Resources;
  tokens: Tokens;
  /** The present for proofs, in ms. */
  proofNow: () => number;
  /** What tokens are asked for unless a call says otherwise. */
  asked: Asked;
}

/** Where a call stands: what is sent next. */
interface State {
  call: Call;
  resource: Resource;
  /** What this call wishes. */
  wished: Asked;
  /** That, or what it was widened to. */
  asked: Asked;
  token: HeldToken;
  /** Remedies that were tried; each is tried once. */
  tried: Set<'nonce' | 'token' | 'proof' | 'scope' | 'resource'>;
  redirects: number;
}

/** Sees what an answer asks for and returns what to send next, or undefined when it is the caller's answer. */
type Remedy = (rooms: Rooms, state: State, response: Response, hasOtherNonce: boolean) => Promise<State | undefined>;

const maxRedirects = 5;
const maxWidened = 500;
const refusals = new Set(['invalid_scope', 'invalid_target', 'access_denied', 'unauthorized_client']);

/** `fetch`, with a token of the API that protects the URL, bound to this process, that nobody gets to see. */
export function createFetch(rooms: Rooms): AgentFetch {
  const widened = new Map<string, readonly string[]>();
  return async (input, init) => {
    const call = readCall(input, init);
    call.signal?.throwIfAborted();
    const wished = laterThan(rooms.asked, call.asked);
    startTrace(rooms, call, wished);
    const resource = await orAborted(resourceOf(rooms, call), call.signal);
    const keyFor = ({ identifier }: Resource) => JSON.stringify([identifier, keyOf(wished)]);
    const scope = mayWiden(rooms, wished) ? widened.get(keyFor(resource)) : undefined;
    const before = { call, resource, wished, asked: scope === undefined ? wished : { ...wished, scope } };
    const first = await tokenOrWish(rooms, before);
    if (first.asked !== before.asked) widened.delete(keyFor(resource));
    let state: State = { ...before, ...first, tried: new Set(), redirects: 0 };
    for (;;) {
      const [response, next] = await exchange(rooms, state);
      if (next === undefined) return response;
      discard(response);
      if (next.asked !== state.asked) {
        if (next.asked === wished) widened.delete(keyFor(next.resource));
        else remember(widened, keyFor(next.resource), next.asked.scope);
      }
      state = next;
    }
  };
}

/** What the caller says the call is part of is passed on as it is. */
function startTrace({ deps }: Rooms, { headers }: Call, { task }: Asked): void {
  const trace = headers.has('traceparent') ? undefined : traceFor(deps, task?.id);
  if (trace !== undefined) headers.set('traceparent', trace);
}

/** Whoever named scopes or details for this very call gets no others. */
function mayWiden({ deps }: Rooms, { stepUp }: Asked): boolean {
  return stepUp ?? deps.stepUp;
}

function remember(widened: Map<string, readonly string[]>, key: string, scope: readonly string[] | undefined): void {
  if (scope === undefined) return;
  widened.set(key, scope);
  if (widened.size > maxWidened) widened.delete(widened.keys().next().value as string);
}

async function resourceOf(rooms: Rooms, call: Call): Promise<Resource> {
  const identifier = call.resource ?? rooms.deps.resource;
  if (identifier === undefined) return rooms.resources.covering(call.url);
  if (!resourceCovers(identifier, call.url.href)) {
    throw new BailiwickError('resource_mismatch', `${shown(call.url)} is not within ${identifier}`, {
      hint: 'tokens go only to the API that they are for; leave resource out to have it found',
    });
  }
  return { identifier, boundOnly: false, takesCertificates: false };
}

async function tokenFor(
  rooms: Rooms,
  call: Call,
  resource: Resource,
  asked: Asked,
  refused?: HeldToken,
): Promise<HeldToken> {
  const trace = readTraceparent(call.headers.get('traceparent'));
  const wanted = { ...asked, resource: resource.identifier, trace };
  const token = await orAborted(rooms.tokens.get(wanted, refused), call.signal);
  const isBound = token.type === 'DPoP' || (token.identity.mutualTls && resource.takesCertificates);
  if (resource.boundOnly && !isBound) {
    throw new BailiwickError(
      'binding_missing',
      `${resource.identifier} takes bound tokens only, and the issuer gave an unbound one`,
      {
        hint: 'the registration of the resource and its guard disagree about dangerously_bearer',
      },
    );
  }
  return token;
}

/** What was widened once may be beyond the agent's roles by now: then a token for what was wished, and the API says again what it lacks. */
async function tokenOrWish(
  rooms: Rooms,
  { call, resource, asked, wished }: Pick<State, 'call' | 'resource' | 'asked' | 'wished'>,
  refused?: HeldToken,
): Promise<Pick<State, 'asked' | 'token'>> {
  try {
    return { asked, token: await tokenFor(rooms, call, resource, asked, refused) };
  } catch (error) {
    const isNo = error instanceof BailiwickError && (refusals.has(error.code) || error.code === 'step_up_required');
    if (asked === wished || !isNo) throw error;
    return { asked: wished, token: await tokenFor(rooms, call, resource, wished, refused) };
  }
}

async function exchange(rooms: Rooms, state: State): Promise<[Response, State | undefined]> {
  const { call } = state;
  const { origin } = call.url;
  const nonce = rooms.nonces.get(origin);
  const response = await send(rooms, state, nonce);
  rooms.nonces.learn(origin, response.headers);
  // Compared with what was sent: another call may have learned the same nonce meanwhile.
  const hasOtherNonce = rooms.nonces.get(origin) !== nonce;
  const next = await remedyFor(response)?.(rooms, state, response, hasOtherNonce);
  if (next !== undefined && next.call.body !== null && !call.canRepeat) {
    discard(response);
    throw new BailiwickError(
      'body_not_repeatable',
      `${call.method} ${shown(call.url)} has to be sent again, and its body was a stream`,
      {
        status: response.status,
        hint: 'give the body as a string, Uint8Array or Blob; or make a small call first, so that token and nonce are fresh',
      },
    );
  }
  return [response, next];
}

async function send(rooms: Rooms, { call, token }: State, nonce: string | undefined): Promise<Response> {
  const { url, method, body, signal, peer } = call;
  // A token that is bound to a certificate goes with that one; any other with the newest.
  const identity = token.identity.mutualTls ? token.identity : await rooms.deps.identity();
  const headers = new Headers(call.headers);
  headers.set('authorization', `${token.type} ${token.value}`);
  if (token.type === 'DPoP') headers.set('dpop', await proof(rooms, call, token, nonce));
  const streaming = call.canRepeat ? {} : ({ duplex: 'half' } as const);
  try {
    const fixed = { method, headers, body, signal, redirect: 'manual' } as const;
    return await identity.fetch(url.href, {
      ...call.rest,
      ...streaming,
      ...fixed,
      ...(peer !== undefined && { peer }),
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof BailiwickError) throw error;
    throw networkError(`${method} with a token`, url, error);
  }
}

function proof(
  { deps, proofNow }: Rooms,
  { url, method }: Call,
  token: HeldToken,
  nonce: string | undefined,
): Promise<string> {
  return createDpopProof(token.identity.proofSigner as Signer, {
    htm: method,
    htu: url.href,
    now: proofNow(),
    jti: deps.uuid(),
    nonce,
    accessToken: token.value,
  });
}

function remedyFor(response: Response): Remedy | undefined {
  if (isRedirect(response)) return followRedirect;
  if (response.status === 401) return answerChallenge;
  return response.status === 403 ? widenScope : undefined;
}

/**
 * Follows a redirect of a GET (or the GET that a 303 asks for) within the same resource, with a new proof. The token goes nowhere else.
 */
const followRedirect: Remedy = async (_rooms, state, response) => {
  const { call, resource } = state;
  const location = response.headers.get('location');
  if (call.redirect === 'manual' || (location === null && response.type !== 'opaqueredirect')) return undefined;
  const isRead = call.method === 'GET' || call.method === 'HEAD';
  const target = location === null ? null : URL.parse(location, call.url.href);
  const allowed = call.redirect === 'follow' && state.redirects < maxRedirects && (isRead || response.status === 303);
  if (!allowed || target === null || !resourceCovers(resource.identifier, target.href)) {
    discard(response);
    throw new BailiwickError(
      'redirect_refused',
      `${call.method} ${shown(call.url)} was answered with a redirect that is not followed`,
      {
        status: response.status,
        hint: "a token never leaves its API, and only GET is repeated elsewhere; look at it with redirect: 'manual'",
      },
    );
  }
  return { ...state, call: isRead ? { ...call, url: target } : asGet(call, target), redirects: state.redirects + 1 };
};

function asGet(call: Call, url: URL): Call {
  const headers = new Headers(call.headers);
  for (const name of ['content-type', 'content-length', 'content-encoding', 'content-language', 'content-location'])
    headers.delete(name);
  return { ...call, url, method: 'GET', headers, body: null, canRepeat: true };
}

/** A 401: another nonce, another API than we thought, or a fresh token. */
const answerChallenge: Remedy = async (rooms, state, response, hasOtherNonce) => {
  const { call, tried } = state;
  const challenges = challengesOf(response.headers);
  const errors = challenges.map(({ params }) => params.error);
  if (errors.includes('use_dpop_nonce')) {
    if (!hasOtherNonce || tried.has('nonce')) return undefined;
    return { ...state, tried: new Set([...tried, 'nonce']) };
  }
  const place = challenges.find(({ params }) => params.resource_metadata !== undefined)?.params.resource_metadata;
  if (place !== undefined && isOther(rooms, state, place)) {
    const resource = await orAborted(rooms.resources.rediscover(call.url, place), call.signal);
    const found = await tokenOrWish(rooms, { ...state, resource });
    return { ...state, ...found, resource, tried: new Set([...tried, 'resource']) };
  }
  const remedy = errors.includes('invalid_token') ? 'token' : wantsProofAnew(challenges) ? 'proof' : undefined;
  if (remedy === undefined || tried.has(remedy)) return undefined;
  const fresh = await tokenOrWish(rooms, state, state.token);
  // One that was kept for the wish may have ended with the wider one: it has a try of its own.
  if (fresh.asked !== state.asked) return { ...state, ...fresh };
  return { ...state, ...fresh, tried: new Set([...tried, remedy]) };
};

/** Is what the token was got by too old (RFC 9470 §3)? A fresh token has a fresh proof; how people sign in is not ours to change. */
function wantsProofAnew(challenges: readonly Challenge[]): boolean {
  return challenges.some(
    ({ params }) => params.error === 'insufficient_user_authentication' && /^\d{1,9}$/.test(params.max_age ?? ''),
  );
}

/** Does the host point at other metadata than that of the resource we took it for? Only a resource that was found is looked for again. */
function isOther({ deps }: Rooms, { call, resource, tried }: State, place: string): boolean {
  if (tried.has('resource') || (call.resource ?? deps.resource) !== undefined) return false;
  return URL.parse(place)?.href !== protectedResourceMetadataUrl(resource.identifier);
}

/** A 403 for want of scope: one try with what the token had and what the API says it takes. */
const widenScope: Remedy = async (rooms, state, response) => {
  const { call, resource, token, tried } = state;
  if (!mayWiden(rooms, state.asked) || tried.has('scope')) return undefined;
  const challenge = challengesOf(response.headers).find(({ params }) => params.error === 'insufficient_scope');
  const needed = scopesOf(challenge?.params.scope);
  if (needed === undefined || isSubset(needed, token.scope)) return undefined;
  const asked = { ...state.asked, scope: union(token.scope, needed) };
  try {
    const wider = await tokenFor(rooms, call, resource, asked);
    return { ...state, asked, token: wider, tried: new Set([...tried, 'scope']) };
  } catch (error) {
    // The issuer won't: then the API's own answer says it best.
    if (error instanceof BailiwickError && refusals.has(error.code)) return undefined;
    throw error;
  }
};

function scopesOf(scope: string | undefined): string[] | undefined {
  try {
    return scope === undefined ? undefined : parseScope(scope);
  } catch {
    return undefined;
  }
}
