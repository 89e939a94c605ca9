import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import {
  createDpopProof,
  formatChallenge,
  generateJwk,
  importPublicJwk,
  isSubset,
  parseCompact,
  parseDpopProof,
  publicJwk,
  signerFrom,
  validateClientAssertion,
  verifyDpopProof,
  verifyParsed,
} from '@bailiwick/protocol';
import { type Agent, type AgentOptions, BailiwickError, createAgent } from './index.ts';

export const issuer = 'https://id.example';
export const api = 'https://api.example/tickets';
export const clientId = 'agt_01test';
export const jwk = await generateJwk('ES256');

type Handler = (request: Request) => Response | Promise<Response>;

/** A request as it went over the wire. */
export interface Seen {
  url: string;
  method: string;
  headers: Headers;
  body: string;
}

interface Issued {
  scope: string[];
  resource: string | undefined;
  jkt: string;
  expiresAt: number;
}

/** A small internet with a clock: an issuer, an API behind a guard, and whatever hosts a test adds. */
export interface World {
  agent: Agent;
  options: AgentOptions;
  seen: Seen[];
  sleeps: number[];
  time: { now: number };
  issued: Map<string, Issued>;
  /** Answers to give instead of the usual, first come first served. */
  issuerSays: Handler[];
  apiSays: Handler[];
  settings: {
    tokenType: string;
    lifetime: number;
    issuerNonce: string;
    apiNonce?: string;
    needs: Record<string, string[]>;
    issuerClockOffset: number;
  };
  /** Adds a host, or takes one over. */
  host(origin: string, handler: Handler): void;
  /** The requests to the token endpoint. */
  tokenRequests(): Seen[];
  /** The requests that carried a token. */
  withToken(): Seen[];
  /** Fails if anything secret can be read in this, however one looks. */
  assertSilent(value: unknown): void;
}

export function createWorld(changes: Partial<AgentOptions> = {}): World {
  const hosts = new Map<string, Handler>();
  const seen: Seen[] = [];
  const time = { now: 1_800_000_000_000 };
  const sleeps: number[] = [];

  const options: AgentOptions = {
    issuer,
    clientId,
    key: jwk,
    now: () => time.now,
    sleep: async (ms) => {
      sleeps.push(ms);
      time.now += ms;
    },
    fetch: async (input, init) => {
      const request = new Request(input, init);
      seen.push({
        url: request.url,
        method: request.method,
        headers: request.headers,
        body: await request.clone().text(),
      });
      const handler = hosts.get(new URL(request.url).origin);
      if (handler === undefined) throw Object.assign(new TypeError('fetch failed'), { cause: { code: 'ENOTFOUND' } });
      return handler(request);
    },
    ...changes,
  };

  const world: World = {
    agent: createAgent(options),
    options,
    seen,
    sleeps,
    time,
    issued: new Map(),
    issuerSays: [],
    apiSays: [],
    settings: { tokenType: 'DPoP', lifetime: 600, issuerNonce: 'n-issuer-1', needs: {}, issuerClockOffset: 0 },
    host: (origin, handler) => hosts.set(origin, handler),
    tokenRequests: () => seen.filter(({ url, method }) => url === `${issuer}/oauth2/token` && method === 'POST'),
    withToken: () => seen.filter(({ headers }) => headers.has('authorization')),
    assertSilent: (value) => assertSilent(world, value),
  };
  world.host(issuer, (request) => issuerHandler(world, request));
  world.host(new URL(api).origin, (request) => apiHandler(world, request));
  return world;
}

export function json(body: unknown, init: ResponseInit = {}): Response {
  return Response.json(body, init);
}

async function issuerHandler(world: World, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === '/.well-known/oauth-authorization-server') {
    return json({ issuer, token_endpoint: `${issuer}/oauth2/token` });
  }
  assert.equal(pathname, '/oauth2/token');
  const special = world.issuerSays.shift();
  return special === undefined ? tokenResponse(world, request) : special(request);
}

/** A token endpoint as ours: asks for a nonce, checks assertion and proof. */
export async function tokenResponse({ time, settings, issued }: World, request: Request): Promise<Response> {
  const form = new URLSearchParams(await request.text());
  const now = time.now + settings.issuerClockOffset;
  const proof = parseDpopProof(request.headers.get('dpop') ?? '');
  const date = { date: new Date(now).toUTCString() };
  const nonceHeader = { 'dpop-nonce': settings.issuerNonce, ...date };
  if (proof.claims.nonce !== settings.issuerNonce) {
    return json({ error: 'use_dpop_nonce' }, { status: 400, headers: nonceHeader });
  }
  try {
    verifyDpopProof(proof, { htm: 'POST', htu: request.url, now, maxAgeSeconds: 60, futureSeconds: 5 });
    const assertion = parseCompact(form.get('client_assertion') ?? '');
    assert.ok(verifyParsed(assertion, importPublicJwk(publicJwk(jwk))));
    validateClientAssertion(assertion, { issuer, now, maxLifetimeSeconds: 60 });
  } catch {
    return json(
      { error: 'invalid_client', error_description: 'the client could not be authenticated' },
      { status: 401, headers: nonceHeader },
    );
  }
  const scope = (form.get('scope') ?? 'tickets:read').split(' ');
  const value = `secret-token.${issued.size + 1}.${crypto.randomUUID()}`;
  const resource = form.get('resource') ?? undefined;
  issued.set(value, { scope, resource, jkt: proof.jkt, expiresAt: time.now + settings.lifetime * 1000 });
  return json(
    { access_token: value, token_type: settings.tokenType, expires_in: settings.lifetime, scope: scope.join(' ') },
    { headers: nonceHeader },
  );
}

async function apiHandler(world: World, request: Request): Promise<Response> {
  const { origin, pathname } = new URL(request.url);
  if (pathname === '/.well-known/oauth-protected-resource/tickets') {
    return json({ resource: api, authorization_servers: [issuer], dpop_bound_access_tokens_required: true });
  }
  const special = request.headers.has('authorization') ? world.apiSays.shift() : undefined;
  return special === undefined ? guarded(world, request, origin) : special(request);
}

/** An API behind a guard as ours: checks token, binding, nonce and scope. */
export async function guarded(world: World, request: Request, origin: string): Promise<Response> {
  const { time, settings, issued } = world;
  const resource_metadata = `${origin}/.well-known/oauth-protected-resource/tickets`;
  const challenge = (status: number, params: Record<string, string>, headers: Record<string, string> = {}) =>
    json(
      { error: params.error },
      {
        status,
        headers: { 'www-authenticate': formatChallenge('DPoP', { resource_metadata, ...params }), ...headers },
      },
    );
  const token = /^DPoP (.+)$/.exec(request.headers.get('authorization') ?? '')?.[1];
  if (token === undefined) return challenge(401, {});
  const known = issued.get(token);
  const proof = parseDpopProof(request.headers.get('dpop') ?? '');
  if (settings.apiNonce !== undefined && proof.claims.nonce !== settings.apiNonce) {
    return challenge(401, { error: 'use_dpop_nonce' }, { 'dpop-nonce': settings.apiNonce });
  }
  verifyDpopProof(proof, {
    htm: request.method,
    htu: request.url,
    now: time.now,
    maxAgeSeconds: 60,
    futureSeconds: 5,
    accessToken: token,
  });
  if (known === undefined || known.expiresAt <= time.now || known.jkt !== proof.jkt)
    return challenge(401, { error: 'invalid_token' });
  const needs = settings.needs[new URL(request.url).pathname] ?? ['tickets:read'];
  if (!isSubset(needs, known.scope)) return challenge(403, { error: 'insufficient_scope', scope: needs.join(' ') });
  return json({
    method: request.method,
    path: new URL(request.url).pathname,
    body: await request.text(),
    scope: known.scope,
  });
}

function assertSilent(world: World, value: unknown): void {
  const error = value as Error & { cause?: unknown };
  const looks = [
    inspect(value, { depth: 20, showHidden: true, getters: true }),
    String(JSON.stringify(value)),
    String(error?.stack),
    String(error?.message),
    inspect(error?.cause, { depth: 20 }),
    inspect(value, { depth: 20, customInspect: false }),
  ].join('\n');
  for (const secret of secretsOf(world))
    assert.ok(!looks.includes(secret), `${secret.slice(0, 12)}… can be read in it`);
}

/** Every token, assertion, proof and private key that was in play. */
function secretsOf({ seen, issued }: World): string[] {
  const assertions = seen.map(({ body }) => new URLSearchParams(body).get('client_assertion') ?? '');
  const proofs = seen.map(({ headers }) => headers.get('dpop') ?? '');
  return [jwk.d, ...issued.keys(), ...assertions, ...proofs].filter((secret) => secret !== '');
}

/** The BailiwickError that this ends in; it must not show anything secret. */
export async function failure(world: World, work: () => Promise<unknown>): Promise<BailiwickError> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof BailiwickError, `ended in ${inspect(error)} instead of a BailiwickError`);
    assertSilent(world, error);
    return error;
  }
  assert.fail('it did not fail');
}

/** A real HTTP server on a free port of the loopback, closed when the test is over. */
export async function listen(t: { after(work: () => void): void }, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A proof by a thief's own key. */
export async function thiefsProof(htu: string, now: number, accessToken: string): Promise<string> {
  return createDpopProof(signerFrom(await generateJwk('ES256')), { htm: 'GET', htu, now, jti: 'thief', accessToken });
}
