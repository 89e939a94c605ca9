/** Agents that act for one person at one API, with requests of their own making: for tests of what is done on mandates. */
import assert from 'node:assert/strict';
import type { Signer } from '@bailiwick/protocol';
import type { Reply } from './admin-client.ts';
import { exchangeScene, type SharedApi } from './exchange.ts';
import { type InstanceClient, instanceClient } from './instance-client.ts';
import type { ServerForClients, TokenClient } from './token-client.ts';

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
  api: SharedApi;
  agents: readonly Delegate[];
  /** A mandate of the person, by an administrator: to book and to read, to pay up to 100 at once, and to be passed on four times over. */
  give(agent: Delegate, more?: Record<string, unknown>): Promise<ShownMandate>;
}

/** So many agents that may do everything at one API. */
export async function delegates(server: ServerForClients, count: number): Promise<Delegates> {
  const { person, api, agent } = await exchangeScene(server);
  const agents = await Promise.all(Array.from({ length: count }, async () => delegate(server, await agent())));
  const resources = [
    { resource: api.identifier, scope: 'book read', authorization_details: [{ type: 'payment', amount: 100 }] },
  ];
  return {
    person,
    api,
    agents,
    give: ({ id }, more = {}) =>
      server.admin('POST', '/mandates', {
        ...{ person, agent: id, resources, passing: { depth: 4 }, expires_in: 86_400 },
        ...more,
      }),
  };
}

/** An agent that calls `/mandates`. */
export function delegate(server: ServerForClients, client: TokenClient): Delegate {
  const { issuer, address, clock } = server;
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
