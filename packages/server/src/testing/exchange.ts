/** People, agents that may act for them, and exchanges of their own making: for tests of RFC 8693. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type AccessTokenClaims, parseCompact } from '@bailiwick/protocol';
import type { ServerForClients } from './token-client.ts';
import { type Answer, type TokenClient, tokenClient } from './token-client.ts';

export const exchangeType = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
export const mandateType = 'urn:bailiwick:params:oauth:token-type:mandate';

/** An API that several agents were given. */
export interface SharedApi {
  id: string;
  identifier: string;
  role: string;
}

export interface ExchangeScene {
  /** Everybody's: scopes `book`, `pay` and `read`, and details of the type `payment`. */
  api: SharedApi;
  person: string;
  /** Another API with a role that gives all of it. */
  anotherApi(more?: Record<string, unknown>): Promise<SharedApi>;
  /** An agent that was given these, and may exchange. */
  agent(apis?: readonly SharedApi[], more?: Record<string, unknown>): Promise<TokenClient>;
  /** Gives a mandate that must be given: for a day, for `book` and `pay` on the shared API. */
  give(agent: TokenClient, more?: Record<string, unknown>): Promise<string>;
}

const random = () => randomBytes(5).toString('hex');

export async function exchangeScene(server: ServerForClients): Promise<ExchangeScene> {
  const post = (path: string, body: object) => server.admin<{ id: string }>('POST', path, body);
  const person = await post('/people', { name: `Person ${random()}`, email: `${random()}@example.com` });

  const anotherApi = async (more: Record<string, unknown> = {}): Promise<SharedApi> => {
    const identifier = `https://${random()}.example/api`;
    const scopes = ['book', 'pay', 'read'];
    const { id } = await post('/resources', {
      identifier,
      name: `API ${random()}`,
      scopes: scopes.map((name) => ({ name })),
      details_types: [
        {
          type: 'payment',
          description: 'Pay somebody',
          schema: {
            type: 'object',
            properties: { amount: { type: 'number' }, currency: { type: 'string' }, to: { type: 'string' } },
            required: ['amount', 'currency'],
          },
          compare: { amount: 'at_most' },
        },
      ],
      ...more,
    });
    const role = await post('/roles', {
      name: `role-${random()}`,
      permissions: [{ resource: id, scopes, details: [{ type: 'payment', amount: 1000 }] }],
    });
    return { id, identifier, role: role.id };
  };
  const api = await anotherApi();
  return {
    api,
    person: person.id,
    anotherApi,
    async agent(apis = [api], more = {}) {
      const client = await tokenClient(server, {
        agent: {
          grants: ['client_credentials', exchangeType],
          resources: apis.map(({ id }, index) => ({ resource: id, default: index === 0, scope: ['book', 'pay'] })),
          limits: { tokens_per_minute: 100_000 },
          ...more,
        },
      });
      for (const { role } of apis) await server.admin('PUT', `/agents/${client.clientId}/roles/${role}`);
      return client;
    },
    async give(agent, more = {}) {
      const { id } = await post('/mandates', {
        person: person.id,
        agent: agent.clientId,
        resources: [{ resource: api.identifier, scope: 'book pay' }],
        expires_in: 86_400,
        ...more,
      });
      return id;
    },
  };
}

/** Parameters of an exchange of a mandate, or of an access token. */
export const exchangeOf = (subject: string, more: Record<string, string> = {}): Record<string, string> => ({
  grant_type: exchangeType,
  subject_token: subject,
  subject_token_type: subject.startsWith('mdt_') ? mandateType : accessTokenType,
  ...more,
});

/** Exchanges, which must succeed. */
export async function exchanged(
  client: Pick<TokenClient, 'send'>,
  subject: string,
  more: Record<string, string> = {},
): Promise<{ token: string; claims: AccessTokenClaims; body: Answer['body'] }> {
  const { status, body } = await client.send(exchangeOf(subject, more));
  assert.equal(status, 200, JSON.stringify(body));
  const token = String(body.access_token);
  return { token, claims: parseCompact(token).payload as unknown as AccessTokenClaims, body };
}
