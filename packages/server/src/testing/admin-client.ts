/** A client of the admin API for tests, made of the protocol alone: every header is the test's to change. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  createClientAssertion,
  createDpopProof,
  generateJwk,
  type PrivateJwk,
  publicJwk,
  signerFrom,
} from '@bailiwick/protocol';
import type { TestServer } from './harness.ts';

export interface Reply {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of an answer by looking at it
  body: any;
  text: string;
}

export interface AdminClient {
  clientId: string;
  jwk: PrivateJwk;
  /** Sends a request with a fresh proof; a string body goes as it is. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** The same, for what must succeed: answers the body. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  ok(method: string, path: string, body?: unknown): Promise<any>;
  /** A live token with all scopes that the client's registration names, for the admin API unless said otherwise. */
  token(resource?: string): Promise<string>;
  /** A fresh token by these parameters. */
  tokenWith(parameters: { resource: string } & Record<string, string>): Promise<string>;
  /** Asks about a token, as itself. @see RFC 7662 */
  introspect(token: string, headers?: Record<string, string>): Promise<{ active: boolean } & Record<string, unknown>>;
  /** Enrols an instance of any agent, by the agent's key. Answers its id. */
  enrol(identity: { client_id: string; jwk: PrivateJwk }): Promise<string>;
  proof(claims: { htm: string; htu: string; accessToken?: string; jti?: string; now?: number }): Promise<string>;
}

const jti = () => randomBytes(12).toString('base64url');

export function adminClient(
  server: Pick<TestServer, 'issuer' | 'address' | 'clock'>,
  identity: { client_id: string; jwk: PrivateJwk },
): AdminClient {
  const { issuer, clock } = server;
  // proofs and assertions name the issuer; what is asked is this very node
  const here = (url: string) => url.replace(issuer, server.address);
  const signer = signerFrom(identity.jwk);
  let held: { token: string; resource: string; until: number } | undefined;

  const assertion = (of = identity) =>
    createClientAssertion(of === identity ? signer : signerFrom(of.jwk), {
      clientId: of.client_id,
      audience: issuer,
      now: clock.now(),
      jti: jti(),
    });
  const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

  async function fetchToken(parameters: { resource: string }, nonce?: string): Promise<string> {
    const htu = `${issuer}/oauth2/token`;
    const response = await fetch(here(htu), {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        dpop: await createDpopProof(signer, {
          htm: 'POST',
          htu,
          now: clock.now(),
          jti: jti(),
          ...(nonce && { nonce }),
        }),
      },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_assertion_type: assertionType,
        client_assertion: await assertion(),
        ...parameters,
      }),
    });
    const answer = (await response.json()) as { access_token?: string; expires_in: number; error?: string };
    if (answer.error === 'use_dpop_nonce' && nonce === undefined) {
      return fetchToken(parameters, response.headers.get('dpop-nonce') ?? '');
    }
    assert.ok(answer.access_token, `no token: ${JSON.stringify(answer)}`);
    const { resource } = parameters;
    held = { token: answer.access_token, resource, until: clock.now() + answer.expires_in * 1000 };
    return answer.access_token;
  }

  const token = async (resource = `${issuer}/admin`) =>
    held && held.resource === resource && clock.now() < held.until ? held.token : fetchToken({ resource });

  const client: AdminClient = {
    clientId: identity.client_id,
    jwk: identity.jwk,
    token,
    async tokenWith(parameters) {
      const before = held;
      const made = await fetchToken(parameters);
      held = before;
      return made;
    },
    async introspect(asked, headers = {}) {
      const response = await fetch(here(`${issuer}/oauth2/introspect`), {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body: new URLSearchParams({
          client_assertion_type: assertionType,
          client_assertion: await assertion(),
          token: asked,
        }),
      });
      assert.equal(response.status, 200);
      return (await response.json()) as { active: boolean };
    },
    async enrol(of) {
      const url = `${issuer}/instances`;
      const own = signerFrom(await generateJwk('ES256'));
      const response = await fetch(here(url), {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          dpop: await createDpopProof(own, { htm: 'POST', htu: url, now: clock.now(), jti: jti() }),
        },
        body: JSON.stringify({ client_assertion_type: assertionType, client_assertion: await assertion(of) }),
      });
      const answer = (await response.json()) as { instance: string };
      assert.equal(response.status, 201, JSON.stringify(answer));
      return answer.instance;
    },
    proof: ({ now = clock.now(), jti: id = jti(), ...claims }) => createDpopProof(signer, { ...claims, now, jti: id }),
    async call(method, path, body, headers = {}) {
      const url = path.startsWith('http') ? path : `${issuer}/admin/v1${path}`;
      const accessToken = await token();
      const proof = await client.proof({ htm: method, htu: url, accessToken });
      const json = body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array);
      const response = await fetch(here(url), {
        method,
        headers: {
          authorization: `DPoP ${accessToken}`,
          dpop: proof,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: json ? JSON.stringify(body) : (body as string) }),
      });
      const text = await response.text();
      const isJson = /json/.test(response.headers.get('content-type') ?? '');
      return {
        status: response.status,
        headers: response.headers,
        text,
        body: isJson && text ? JSON.parse(text) : undefined,
      };
    },
    async ok(method, path, body) {
      const reply = await client.call(method, path, body);
      assert.ok(reply.status < 300, `${method} ${path}: ${reply.status} ${reply.text}`);
      return reply.body;
    },
  };
  return client;
}

/** An administrator with exactly these scopes, in an organization (the default one unless named). */
export async function administrator(
  server: TestServer,
  operator: AdminClient,
  wanted: { scopes: string[]; organization?: string; name?: string },
): Promise<AdminClient & { agent: string; identity: { issuer: string; client_id: string; jwk: PrivateJwk } }> {
  const { scopes } = wanted;
  const name = wanted.name ?? `admin-${randomBytes(5).toString('hex')}`;
  const at = wanted.organization === undefined ? '' : `?organization=${wanted.organization}`;
  const team = await operator.ok('POST', `/teams${at}`, { name: `team-${name}` });
  const resource = `${server.issuer}/admin`;
  const role = await operator.ok('POST', `/roles${at}`, { name: `role-${name}`, permissions: [{ resource, scopes }] });
  const agent = await operator.ok('POST', `/agents${at}`, {
    name,
    kind: 'workload',
    owner: team.id,
    resources: [{ resource, default: true, scope: scopes }],
    limits: { tokens_per_minute: 100_000 },
  });
  await operator.ok('PUT', `/agents/${agent.id}/roles/${role.id}`);
  const jwk = await generateJwk('ES256');
  await operator.ok('POST', '/credentials', { agent: agent.id, jwk: publicJwk(jwk) });
  const identity = { issuer: server.issuer, client_id: agent.id as string, jwk };
  return { ...adminClient(server, identity), agent: agent.id, identity };
}

/** One of everything in an organization, as an operator makes it. Identifiers carry the organization's name. */
export async function populate(operator: AdminClient, organization: string) {
  const at = `?organization=${organization}`;
  const person = await operator.ok('POST', `/people${at}`, {
    name: `Ada of ${organization}`,
    email: `ada@${organization}.example`,
  });
  const team = await operator.ok('POST', `/teams${at}`, { name: 'support', display_name: 'Support' });
  await operator.ok('PUT', `/teams/${team.id}/members/${person.id}`);
  const resource = await operator.ok('POST', `/resources${at}`, {
    identifier: `https://tickets.${organization}.example/api`,
    name: 'Tickets',
    scopes: [{ name: 'tickets:read', description: 'Read tickets' }, { name: 'tickets:write' }],
    operations: [
      { name: 'list', method: 'GET', path: '/tickets', scope: ['tickets:read'], sensitivity: 'low' },
      { name: 'close', tool: 'close_ticket', scope: ['tickets:write'] },
    ],
  });
  const role = await operator.ok('POST', `/roles${at}`, {
    name: 'reader',
    permissions: [{ resource: resource.id, scopes: ['tickets:read'] }],
  });
  const agent = await operator.ok('POST', `/agents${at}`, {
    name: 'desk',
    kind: 'ai_agent',
    owner: person.id,
    purpose: 'answers tickets',
    resources: [{ resource: resource.identifier, default: true, scope: ['tickets:read'] }],
  });
  await operator.ok('PUT', `/agents/${agent.id}/roles/${role.id}`);
  const jwk = await generateJwk('ES256');
  const credential = await operator.ok('POST', '/credentials', {
    agent: agent.id,
    jwk: publicJwk(jwk),
    label: 'laptop',
  });
  const instance = await operator.enrol({ client_id: agent.id, jwk });
  const guardKey = await generateJwk('EdDSA');
  const guard = await operator.ok('POST', `/guards${at}`, {
    name: 'tickets-guard',
    resource: resource.id,
    owner: team.id,
    jwk: publicJwk(guardKey),
  });
  const trustDomain = await operator.ok('POST', `/trust-domains${at}`, {
    name: 'partner.example',
    bundle_endpoint: { url: 'https://localhost:1/spiffe/bundle' }, // where nobody answers
    bundle: { keys: [], spiffe_sequence: 1 },
  });
  const policy = await operator.ok('POST', `/policies${at}`, {
    name: 'nights',
    text: '@id("nights")\nforbid (principal, action, resource)\nwhen { context.time.hour < 6 };\n',
    mode: 'observe',
    reason: 'to see who works at night',
  });
  const issuer = await operator.ok('POST', `/trusted-issuers${at}`, {
    issuer: 'https://login.partner.example',
    jwks_uri: 'https://localhost:1/jwks', // where nobody answers
    rules: [{ name: 'staff', agents: [agent.id], resources: [{ resource: resource.id, scope: 'tickets:read' }] }],
  });
  const mandate = await operator.ok('POST', `/mandates${at}`, {
    person: person.id,
    agent: agent.id,
    resources: [{ resource: resource.id, scope: 'tickets:read' }],
    limits: { uses: 20 },
    expires_in: 86_400,
  });
  return {
    organization,
    person,
    team,
    resource,
    role,
    agent,
    credential,
    jwk,
    mandate,
    instance,
    guard,
    guardKey,
    trustDomain,
    issuer,
    policy,
  };
}
