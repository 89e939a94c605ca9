import { randomUUID } from 'node:crypto';
import {
  createDpopProof,
  encodeHeader,
  generateJwk,
  type JwsAlgorithm,
  linkTag,
  type Operation,
  type PrivateJwk,
  parseCompact,
  publicJwk,
  type Signer,
  signerFrom,
  signWith,
  validateClientAssertion,
} from '@bailiwick/protocol';
import type { GuardOptions } from '../options.ts';
import type { GuardRequest } from '../request.ts';
import type { Runtime } from '../runtime.ts';
import type { FakeFeed } from './fake-feed.ts';

export const issuer = 'https://id.example';
export const resource = 'https://api.example/v1';

export const resourceId = 'res_tickets';

export const operations: Operation[] = [
  { name: 'list tickets', method: 'GET', path: '/tickets', scope: ['tickets:read'], sensitivity: 'low' },
  { name: 'read ticket', method: 'GET', path: '/tickets/{id}', scope: ['tickets:read'], sensitivity: 'low' },
  {
    name: 'close ticket',
    method: 'POST',
    path: '/tickets/{id}/close',
    scope: ['tickets:read', 'tickets:write'],
    sensitivity: 'medium',
  },
  { name: 'purge', method: 'DELETE', path: '/tickets/purge', scope: ['tickets:purge'], sensitivity: 'high' },
];

/** Time that stands still until it is moved. */
export interface FakeClock {
  now(): number;
  advance(ms: number): void;
}

export function fakeClock(start = Date.UTC(2026, 10, 22, 12)): FakeClock {
  let time = start;
  return {
    now: () => time,
    advance(ms) {
      time += ms;
    },
  };
}

/** A question to the decision point. @see AuthZEN 1.0 §6.1 */
export interface Question {
  subject: { type: string; id: string };
  action: { name: string; properties?: Record<string, unknown> };
  resource: { type: string; id: string };
  context: Record<string, unknown>;
}

/** An identity provider in memory: the guard talks to it through `fetch`, as it would over the network. */
export interface FakeIssuer {
  clock: FakeClock;
  fetch: typeof globalThis.fetch;
  /** How often each path was asked for. */
  asked: Record<string, number>;
  /** What doesn't answer: `true` for all, or paths. */
  away: boolean | Set<string>;
  /** `jti`s that don't stand any more. */
  ended: Set<string>;
  /** The `presenter_address` of each introspection, in order. */
  presented: (string | undefined)[];
  /** Addresses from which no token is active. */
  outside: Set<string>;
  registration: Record<string, unknown>;
  /** Where revocations are followed; none unless a test wants one. */
  feed: FakeFeed | undefined;
  /** What the decision point says to a question; yes, unless a test wants something else. */
  evaluate: (question: Question) => unknown;
  /** The batches of questions that it was asked. */
  evaluated: Question[][];
  guard: { client_id: string; jwk: PrivateJwk };
  /** What the JWKS publishes; the first of them signs. */
  keys: PrivateJwk[];
  /** Waited for once the answer to an introspection stands, and before it is sent. */
  beforeAnswer: () => Promise<void>;
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>, key?: PrivateJwk): Promise<string>;
  options(more?: Partial<GuardOptions>): GuardOptions;
}

const guardKey = generateJwk('ES256');
const firstKey = generateJwk('ES256');

export async function fakeIssuer(clock = fakeClock()): Promise<FakeIssuer> {
  const guard = { client_id: 'agt_guard', jwk: await guardKey };
  const accessTokens = new Map<string, Record<string, unknown>>();
  const fake: FakeIssuer = {
    clock,
    asked: {},
    away: false,
    ended: new Set(),
    presented: [],
    outside: new Set(),
    guard,
    keys: [await firstKey],
    registration: {
      id: 'grd_1',
      agent_id: guard.client_id,
      resource: {
        id: resourceId,
        identifier: resource,
        name: 'Tickets',
        scopes: [{ name: 'tickets:read' }],
        operations,
        token: {},
      },
    },
    feed: undefined,
    evaluate: () => ({ decision: true }),
    evaluated: [],
    beforeAnswer: async () => {},
    async fetch(input, init) {
      const url = new URL(String(input));
      const { pathname } = url;
      fake.asked[pathname] = (fake.asked[pathname] ?? 0) + 1;
      if (fake.away === true || (fake.away instanceof Set && fake.away.has(pathname)))
        throw new TypeError('fetch failed');
      if (fake.feed !== undefined && /^\/feed(?:\/|$)/.test(pathname)) return fake.feed.answer(url, init);
      const answer = await answers[pathname]?.(init);
      return answer ?? new Response('{}', { status: 404 });
    },
    async token(claims = {}, header = {}, key = fake.keys[0]!) {
      const signer = signerFrom(key);
      const iat = Math.floor(clock.now() / 1000);
      const all = { ...claimsAt(iat), ...claims };
      const compact = await signWith(
        signer,
        encodeHeader({ typ: 'at+jwt', alg: signer.alg, kid: key.kid!, ...header }),
        all,
      );
      accessTokens.set(compact, all);
      return compact;
    },
    options: (more = {}) => ({
      issuer,
      resource,
      credential: guard,
      operations,
      runtime: quiet(fake),
      ...more,
    }),
  };

  const answers: Record<string, (init: RequestInit | undefined) => Response | Promise<Response>> = {
    '/.well-known/oauth-authorization-server': () =>
      Response.json({
        issuer,
        jwks_uri: `${issuer}/oauth2/jwks`,
        introspection_endpoint: `${issuer}/oauth2/introspect`,
        token_endpoint: `${issuer}/oauth2/token`,
        ...(fake.feed && { bailiwick_feed_endpoint: `${issuer}/feed` }),
        grant_types_supported: ['client_credentials'],
      }),
    '/oauth2/jwks': () => Response.json({ keys: fake.keys.map(publicJwk) }),
    '/.well-known/oauth-protected-resource/admin': () =>
      Response.json({
        resource: `${issuer}/admin`,
        authorization_servers: [issuer],
        dpop_bound_access_tokens_required: true,
      }),
    '/oauth2/token': () => Response.json({ access_token: 'guards-own', token_type: 'DPoP', expires_in: 600 }),
    '/admin/v1/guards/self': () => Response.json(fake.registration),
    async '/access/v1/evaluations'(init) {
      const { evaluations } = JSON.parse(String(init?.body)) as { evaluations: Question[] };
      fake.evaluated.push(evaluations);
      await fake.beforeAnswer();
      return Response.json({ evaluations: evaluations.map((question) => fake.evaluate(question)) });
    },
    async '/oauth2/introspect'(init) {
      const form = new URLSearchParams(String(init?.body));
      const assertion = validateClientAssertion(parseCompact(form.get('client_assertion') ?? ''), {
        issuer,
        now: clock.now(),
        maxLifetimeSeconds: 300,
      });
      if (assertion.clientId !== guard.client_id) return Response.json({ error: 'invalid_client' }, { status: 401 });
      const claims = accessTokens.get(form.get('token') ?? '');
      const address = form.get('presenter_address') ?? undefined;
      fake.presented.push(address);
      const stands =
        claims !== undefined && !fake.ended.has(String(claims.jti)) && !fake.outside.has(address ?? 'unknown');
      await fake.beforeAnswer();
      return Response.json(stands ? { active: true, ...claims } : { active: false });
    },
  };
  return fake;
}

function claimsAt(iat: number): Record<string, unknown> {
  return {
    iss: issuer,
    sub: 'spiffe://id.example/default/reader',
    aud: resource,
    client_id: 'agt_reader',
    org: 'org_default',
    sub_profile: 'ai_agent',
    iat,
    exp: iat + 600,
    jti: randomUUID(),
    scope: 'tickets:read',
    rev: 0,
    links: [linkTag('crd_1'), linkTag(resourceId)],
  };
}

/** Nothing in the background, nothing on the terminal; problems are collected. */
export function quiet(fake: Pick<FakeIssuer, 'clock' | 'fetch'>): Runtime & { problems: string[] } {
  const problems: string[] = [];
  return {
    monotonic: fake.clock.now,
    now: fake.clock.now,
    fetch: fake.fetch,
    follow: fake.fetch,
    random: (bytes) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('base64url'),
    every: () => () => {},
    after(ms, work) {
      if (ms > 10) return () => {}; // nothing takes so long that it would run out of time
      const soon = setImmediate(work);
      return () => clearImmediate(soon);
    },
    later(ms, work) {
      return this.after(ms, work);
    },
    report: (problem) => problems.push(problem),
    problems,
  };
}

/** An agent with a key of its own. */
export interface FakeAgent {
  signer: Signer;
  /** A token bound to the agent's key. */
  token(claims?: Record<string, unknown>): Promise<string>;
  proof(request: { method: string; url: string; token: string; changes?: Partial<Proof> }): Promise<string>;
  /** A whole request, as it should be: `changes` make it what it shouldn't. */
  request(method?: string, path?: string, changes?: Changes): Promise<GuardRequest>;
}

interface Proof {
  htm: string;
  htu: string;
  now: number;
  jti: string;
  nonce: string;
  accessToken: string;
}

export interface Changes {
  token?: string;
  claims?: Record<string, unknown>;
  proof?: Partial<Proof>;
}

const agentKeys: Partial<Record<JwsAlgorithm, Promise<PrivateJwk>>> = {};

export async function fakeAgent(fake: FakeIssuer, key?: PrivateJwk): Promise<FakeAgent> {
  agentKeys.ES256 ??= generateJwk('ES256');
  const signer = signerFrom(key ?? (await agentKeys.ES256));
  const { thumbprint } = await import('@bailiwick/protocol');
  const agent: FakeAgent = {
    signer,
    token: (claims = {}) => fake.token({ cnf: { jkt: thumbprint(signer.publicJwk) }, ...claims }),
    proof: ({ method, url, token, changes = {} }) =>
      createDpopProof(signer, {
        htm: method,
        htu: url,
        now: fake.clock.now(),
        jti: randomUUID(),
        accessToken: token,
        ...changes,
      }),
    async request(method = 'GET', path = '/tickets', changes = {}) {
      const token = changes.token ?? (await agent.token(changes.claims));
      const proof = await agent.proof({ method, url: `${resource}${path}`, token, changes: changes.proof ?? {} });
      return {
        method,
        url: `/v1${path}`,
        headers: { authorization: [`DPoP ${token}`], dpop: [proof] },
        remoteAddress: '192.0.2.7',
      };
    },
  };
  return agent;
}
