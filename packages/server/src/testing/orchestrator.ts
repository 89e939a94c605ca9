/** An orchestrator with a key, and requests of its own making: for tests of tasks. */
import assert from 'node:assert/strict';
import { createPrivateKey, randomBytes } from 'node:crypto';
import { generateJwk, type PrivateJwk, publicJwk, signCompact } from '@bailiwick/protocol';
import { type AdminClient, adminClient, type Reply } from './admin-client.ts';
import type { ServerForClients } from './token-client.ts';

export interface OrchestratorClient {
  clientId: string;
  credential: string;
  jwk: PrivateJwk;
  client: AdminClient;
  /** Sends a request to the API for agents with a fresh proof and a kept token. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** Opens a task for this agent that must succeed. */
  open(agent: string, more?: Record<string, unknown>): Promise<{ id: string } & Record<string, unknown>>;
  /** A signed task; every claim and header is the test's to change. */
  sign(changes: { header?: object; claims?: object; task?: object; sub?: string; jwk?: PrivateJwk }): string;
}

const random = () => randomBytes(6).toString('hex');

/** Registers one. @param options.role another role than the built-in one, or none at all */
export async function orchestratorClient(
  server: ServerForClients,
  options: { organization?: string; role?: string | null; agent?: Record<string, unknown> } = {},
): Promise<OrchestratorClient> {
  const { issuer, clock } = server;
  const at = options.organization === undefined ? '' : `?organization=${options.organization}`;
  const post = (path: string, body: object) => server.admin<{ id: string }>('POST', `${path}${at}`, body);
  const team = await post('/teams', { name: `team-${random()}` });
  const agent = await post('/agents', {
    name: `orchestrator-${random()}`,
    kind: 'workload',
    owner: team.id,
    resources: [{ resource: issuer, default: true, scope: ['tasks:open'] }],
    limits: { tokens_per_minute: 100_000 },
    ...options.agent,
  });
  const jwk = await generateJwk('ES256');
  const credential = await server.admin<{ id: string }>('POST', '/credentials', {
    agent: agent.id,
    jwk: publicJwk(jwk),
  });
  const role = options.role === undefined ? await roleOf(server, 'orchestrator') : options.role;
  if (role !== null) await server.admin('PUT', `/agents/${agent.id}/roles/${role}`);
  const client = adminClient(server, { client_id: agent.id, jwk });

  const call: OrchestratorClient['call'] = async (method, path, body, headers = {}) => {
    const accessToken = await client.token(issuer);
    const url = `${issuer}${path}`;
    const response = await fetch(url.replace(issuer, server.address), {
      method,
      headers: {
        authorization: `DPoP ${accessToken}`,
        dpop: await client.proof({ htm: method, htu: url, accessToken }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '') && text !== '';
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined };
  };
  return {
    clientId: agent.id,
    credential: credential.id,
    jwk,
    client,
    call,
    async open(of, more = {}) {
      const reply = await call('POST', '/tasks', { agent: of, workflow: 'billing', lifetime_seconds: 3600, ...more });
      assert.equal(reply.status, 201, reply.text);
      return reply.body;
    },
    sign({ header, claims, task, sub, jwk: key = jwk }) {
      const now = Math.floor(clock.now() / 1000);
      return signCompact(
        { alg: 'ES256', typ: 'task+jwt', ...header },
        {
          iss: agent.id,
          sub,
          aud: issuer,
          iat: now,
          exp: now + 300,
          jti: random(),
          task: { workflow: 'billing', ends_at: new Date(clock.now() + 3_600_000).toISOString(), ...task },
          ...claims,
        },
        { alg: 'ES256', key: createPrivateKey({ key: { ...key }, format: 'jwk' }) },
      );
    },
  };
}

/** The id of a built-in role. */
export async function roleOf(server: ServerForClients, name: string): Promise<string> {
  const { items } = await server.admin<{ items: { id: string; name: string }[] }>('GET', '/roles?limit=200');
  const found = items.find((each) => each.name === name);
  assert.ok(found, `there is a role ${name}`);
  return found.id;
}
