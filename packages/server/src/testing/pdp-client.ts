/** Who asks the decision point: an agent that was given that by a role, or a guard. Made of the SDK alone. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type Agent, createAgent } from '@bailiwick/agent';
import { generateJwk, type PrivateJwk, publicJwk } from '@bailiwick/protocol';
import type { Reply } from './admin-client.ts';
import type { TestServer } from './harness.ts';

export interface PdpClient {
  /** Its id. */
  agent: string;
  jwk: PrivateJwk;
  sdk: Agent;
  /** Asks an endpoint below `/access/v1/`. A text is sent as it is. */
  ask(endpoint: string, body: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** One decision that must be answered with 200. */
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of an answer by looking at it
  decide(question: object): Promise<any>;
  /** Ids (or names) that a search finds. */
  find(kind: 'subject' | 'resource' | 'action', question: object): Promise<string[]>;
}

const random = () => randomBytes(6).toString('hex');

/** An agent that may ask about anything of its organization. */
export async function evaluator(
  server: TestServer,
  options: { organization?: string; scope?: string[] } = {},
): Promise<PdpClient> {
  const at = options.organization === undefined ? '' : `?organization=${options.organization}`;
  const post = (path: string, body: object) => server.admin<{ id: string }>('POST', `${path}${at}`, body);
  const scope = options.scope ?? ['access:evaluate'];
  const team = await post('/teams', { name: `team-${random()}` });
  const role = await post('/roles', {
    name: `asks-${random()}`,
    permissions: [{ resource: server.issuer, scopes: scope }],
  });
  const agent = await post('/agents', {
    name: `asking-${random()}`,
    kind: 'workload',
    owner: team.id,
    resources: [{ resource: server.issuer, default: true, scope }],
  });
  const jwk = await generateJwk('ES256');
  await server.admin('POST', '/credentials', { agent: agent.id, jwk: publicJwk(jwk) });
  await server.admin('PUT', `/agents/${agent.id}/roles/${role.id}`);
  return pdpClient(server, agent.id, jwk, scope);
}

/** A guard of a resource, by its id. */
export async function guardClient(server: TestServer, resource: string): Promise<PdpClient & { guard: string }> {
  const team = await server.admin<{ id: string }>('POST', '/teams', { name: `team-${random()}` });
  const jwk = await generateJwk('ES256');
  const guard = await server.admin<{ id: string; agent: string }>('POST', '/guards', {
    name: `guard-${random()}`,
    resource,
    owner: team.id,
    jwk: publicJwk(jwk),
  });
  return { ...pdpClient(server, guard.agent, jwk), guard: guard.id };
}

function pdpClient(server: TestServer, agent: string, jwk: PrivateJwk, scope = ['access:evaluate']): PdpClient {
  const { issuer, clock } = server;
  const sdk = createAgent({ issuer, resource: issuer, clientId: agent, key: jwk, scope, now: clock.now });
  const client: PdpClient = {
    agent,
    jwk,
    sdk,
    async ask(endpoint, body, headers = {}) {
      const response = await sdk.fetch(`${issuer}/access/v1/${endpoint}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
      const text = await response.text();
      const isJson = /json/.test(response.headers.get('content-type') ?? '') && text !== '';
      return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined };
    },
    async decide(question) {
      const { status, text, body } = await client.ask('evaluation', question);
      assert.equal(status, 200, text);
      assert.equal(typeof body.decision, 'boolean');
      return body;
    },
    async find(kind, question) {
      const { status, text, body } = await client.ask(`search/${kind}`, question);
      assert.equal(status, 200, text);
      return (body.results as { id?: string; name?: string }[]).map(({ id, name }) => id ?? name ?? '');
    },
  };
  return client;
}

/** Writes a policy into the default organization. Answers its id. */
export async function writePolicy(server: TestServer, text: string, name = `policy-${random()}`): Promise<string> {
  return (await server.admin<{ id: string }>('POST', '/policies', { name, text, reason: 'a test' })).id;
}
