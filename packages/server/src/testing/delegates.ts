/** Agents that act for one person at one API, with requests of their own making: for tests of what is done on mandates. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Signer } from '@bailiwick/protocol';
import type { Reply } from './admin-client.ts';
import { type InstanceClient, instanceClient } from './instance-client.ts';
import { type ServerForClients, type TokenClient, tokenClient } from './token-client.ts';

/** Who sends a request: the agent by its own key, unless one of its instances does. */
type By = { signer: Signer };

export interface Delegate {
  id: string;
  client: TokenClient;
  instances: InstanceClient;
  /** Sends a request to the API for agents with a kept token for `/mandates` and a fresh proof. */
  call(
    method: string,
    path: string,
    body?: unknown,
    options?: { by?: By; headers?: Record<string, string> },
  ): Promise<Reply>;
  /** Passes a part of a mandate on, which must succeed. */
  pass(parent: string, to: Record<string, unknown>, by?: By): Promise<ShownMandate>;
}

export type ShownMandate = { id: string; status: string } & Record<string, unknown>;

export interface Delegates {
  person: string;
  /** Id and identifier of the API; its scopes are `trips:read` and `trips:book`, its details of type `payment`. */
  resource: string;
  identifier: string;
  agents: readonly Delegate[];
  /** A mandate of the person, by an administrator. */
  give(agent: Delegate, more?: Record<string, unknown>): Promise<ShownMandate>;
}

const random = () => randomBytes(5).toString('hex');

export const tripScopes = 'trips:read trips:book';

/** Registers so many agents, all with a role that gives everything at the API. */
export async function delegates(server: ServerForClients, count: number): Promise<Delegates> {
  const post = (path: string, body: object) => server.admin<{ id: string }>('POST', path, body);
  const tag = random();
  const identifier = `https://${tag}.example/trips`;
  const { id: resource } = await post('/resources', {
    identifier,
    name: `trips ${tag}`,
    scopes: tripScopes.split(' ').map((name) => ({ name })),
    details_types: [
      {
        type: 'payment',
        description: 'Pay for a trip',
        schema: {
          type: 'object',
          properties: { amount: { type: 'number' }, currency: { type: 'string' } },
          required: ['amount'],
          additionalProperties: false,
        },
        compare: { amount: 'at_most' },
      },
    ],
  });
  const permissions = [{ resource, scopes: tripScopes.split(' '), details: [{ type: 'payment', amount: 1000 }] }];
  const [role, person] = await Promise.all([
    post('/roles', { name: `trips-${tag}`, permissions }),
    post('/people', { name: `Ada ${tag}`, email: `${tag}@example.com` }),
  ]);
  const agents = await Promise.all(
    Array.from({ length: count }, async () => {
      const agent = await delegate(server, { resources: [{ resource, default: true, scope: [] }] });
      await server.admin('PUT', `/agents/${agent.id}/roles/${role.id}`);
      return agent;
    }),
  );
  return {
    person: person.id,
    resource,
    identifier,
    agents,
    give: ({ id: agent }, more = {}) =>
      server.admin('POST', '/mandates', {
        person: person.id,
        agent,
        resources: [
          { resource: identifier, scope: tripScopes, authorization_details: [{ type: 'payment', amount: 100 }] },
        ],
        passing: { depth: 4 },
        expires_in: 86_400,
        ...more,
      }),
  };
}

/** An agent with a key, as administrators write it. */
export async function delegate(server: ServerForClients, agent: Record<string, unknown>): Promise<Delegate> {
  const { issuer, address, clock } = server;
  const client = await tokenClient(server, { agent: { limits: { tokens_per_minute: 100_000 }, ...agent } });
  const instances = instanceClient(server, client);
  const held = new Map<Signer, { token: string; until: number }>();

  async function tokenOf({ signer }: By): Promise<string> {
    const known = held.get(signer);
    if (known && clock.now() < known.until) return known.token;
    const { status, body } = await instances.tokenOf({ id: '', signer }, { resource: issuer, scope: 'mandates:pass' });
    assert.equal(status, 200, JSON.stringify(body));
    held.set(signer, { token: body.access_token, until: clock.now() + body.expires_in * 1000 });
    return body.access_token;
  }

  const call: Delegate['call'] = async (method, path, body, { by = client, headers = {} } = {}) => {
    const accessToken = await tokenOf(by);
    const url = `${issuer}${path}`;
    const response = await fetch(url.replace(issuer, address), {
      method,
      headers: {
        authorization: `DPoP ${accessToken}`,
        dpop: await instances.proofBy(by.signer, method, url.replace(/\?.*$/, ''), { accessToken }),
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
    id: client.clientId,
    client,
    instances,
    call,
    async pass(parent, to, by = client) {
      const reply = await call('POST', '/mandates', { parent, ...to }, { by });
      assert.equal(reply.status, 201, reply.text);
      return reply.body;
    },
  };
}
