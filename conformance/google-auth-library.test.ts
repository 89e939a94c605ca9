/**
 * Google's own client of RFC 8693, made for workloads outside of its cloud, exchanges here: a mandate, and the token of a caller. It knows no DPoP and
 * one way to say who it is, a secret. So it is for an API that takes what isn't bound, while secrets are allowed.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { IdentityPoolClient, type IdentityPoolClientOptions } from 'google-auth-library';
import { createGuard, type Guard } from '../packages/guard/src/index.ts';
import { type PrivateJwk, publicJwk } from '../packages/protocol/src/index.ts';
import { systemClock } from '../packages/server/src/lib/clock.ts';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { makeKey } from './craft.ts';
import { databases } from './world.ts';

const accessToken = 'urn:ietf:params:oauth:token-type:access_token';
const mandateType = 'urn:bailiwick:params:oauth:token-type:mandate';
const day = 24 * 3_600_000;
const scopes = ['trips:read', 'trips:book'];

interface Told {
  person: string;
  agent: string;
  mandate: string;
  scope: string[];
  chain: string[];
}

interface Registered {
  id: string;
  secret: string;
}

for (const database of databases) {
  describe(`google-auth-library, server on ${database}`, () => {
    let server: TestServer;
    let api: Server;
    let guard: Guard;
    let base: string;
    let bound: string;
    let person: string;
    let mandate: string;
    let assistant: Registered;
    let desk: Registered;
    const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-google-'));

    before(async () => {
      server = await startServer({
        database,
        clock: { ...systemClock, advance: () => {} },
        config: { dangerously_client_secrets_until: new Date(Date.now() + 2 * day).toISOString().slice(0, 10) },
      });
      const post = (to: string, body: object) =>
        server.admin<{ id: string; agent: string; secret: string }>('POST', to, body);
      api = createServer((request, response) =>
        guard.node((_, answer, { person, agent, mandate, scope, chain }) =>
          answer
            .setHeader('content-type', 'application/json')
            .end(JSON.stringify({ person, agent, mandate, scope, chain: chain.map(({ subject }) => subject) })),
        )(request, response),
      ).listen(0, '127.0.0.1');
      await once(api, 'listening');
      base = `http://localhost:${(api.address() as AddressInfo).port}`;
      bound = 'https://bound.example';
      const resources: { id: string; identifier: string }[] = [];
      for (const [name, identifier, token] of [
        ['trips', base, { dangerously_bearer: true }],
        ['bound', bound, {}],
      ] as const) {
        const { id } = await post('/resources', {
          identifier,
          name,
          scopes: scopes.map((each) => ({ name: each })),
          operations: [{ name: 'look', method: 'GET', path: '/trips', scope: ['trips:read'] }],
          token,
        });
        resources.push({ id, identifier });
      }
      const [trips] = resources;
      const owner = (await post('/teams', { name: 'travel' })).id;
      const permissions = resources.map(({ id }) => ({ resource: id, scopes }));
      const role = (await post('/roles', { name: 'travel', permissions })).id;
      const registered = async (name: string): Promise<Registered> => {
        const { id } = await post('/agents', {
          name,
          kind: 'ai_agent',
          owner,
          grants: ['urn:ietf:params:oauth:grant-type:token-exchange'],
          resources: resources.map(({ id: resource }) => ({ resource })),
        });
        await server.admin('PUT', `/agents/${id}/roles/${role}`);
        const expires_at = new Date(Date.now() + day).toISOString();
        return { id, secret: (await post('/credentials', { agent: id, kind: 'secret', expires_at })).secret };
      };
      [assistant, desk] = [await registered('assistant'), await registered('desk')];
      await server.admin('PATCH', `/resources/${trips?.id}`, { served_by: [desk.id] });
      person = (await post('/people', { name: 'Ada Lovelace' })).id;
      mandate = (
        await post('/mandates', {
          person,
          agent: assistant.id,
          resources: resources.map(({ identifier }) => ({ resource: identifier, scope: scopes.join(' ') })),
          passing: { depth: 1 },
          expires_in: 3600,
        })
      ).id;
      const key = makeKey('ES256');
      const jwk = { ...key.jwk, ...key.privateKey.export({ format: 'jwk' }) } as PrivateJwk;
      const { agent } = await post('/guards', { name: 'guard', resource: trips?.id, owner, jwk: publicJwk(jwk) });
      guard = createGuard({ issuer: server.issuer, resource: base, credential: { client_id: agent, jwk } });
      await guard.ready();
    });
    after(async () => {
      await guard.close();
      api.closeAllConnections();
      api.close();
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    });

    /** An external account as Google's tools write it down: where the subject token lies, and where it is exchanged. */
    const external = (more: Partial<IdentityPoolClientOptions> = {}) => {
      const file = path.join(folder, 'subject');
      writeFileSync(file, mandate);
      return new IdentityPoolClient({
        type: 'external_account',
        audience: base,
        subject_token_type: mandateType,
        token_url: `${server.issuer}/oauth2/token`,
        credential_source: { file },
        client_id: assistant.id,
        client_secret: assistant.secret,
        scopes: ['trips:read'],
        ...more,
      });
    };
    const look = async (client: IdentityPoolClient) => (await client.request<Told>({ url: `${base}/trips` })).data;
    const spiffeId = (name: string) => `spiffe://${new URL(server.issuer).hostname}/default/${name}`;

    test('an external account acts on a mandate, and the guarded API knows for whom', async () => {
      const chain = [spiffeId('assistant')];
      const all = { person, agent: assistant.id, mandate, scope: ['trips:read'], chain };
      assert.deepEqual(await look(external()), all);
    });

    test('without scopes it gets what everybody allows', async () => {
      assert.deepEqual((await look(external({ scopes: [] }))).scope, scopes);
    });

    test('an API exchanges the token that it was called with', async () => {
      const { token } = await external().getAccessToken();
      const client = external({
        subject_token_type: accessToken,
        credential_source: undefined,
        subject_token_supplier: { getSubjectToken: async () => token ?? assert.fail('no token') },
        client_id: desk.id,
        client_secret: desk.secret,
      });
      const { agent, chain } = await look(client);
      assert.deepEqual([agent, chain], [desk.id, [spiffeId('desk'), spiffeId('assistant')]]);
    });

    for (const [name, account, words] of [
      ['a wrong secret', () => ({ client_secret: desk.secret }), /code invalid_client: client authentication failed$/],
      [
        'a mandate of another',
        () => ({ client_id: desk.id, client_secret: desk.secret }),
        /code invalid_request: subject_token is no mandate of this agent$/,
      ],
      [
        'an API whose tokens are bound to a key',
        () => ({ audience: bound }),
        /code invalid_request: tokens for this resource are bound to a key/,
      ],
    ] as const) {
      test(`hears in the server’s words why it gets nothing: ${name}`, async () => {
        await assert.rejects(external(account()).getAccessToken(), words);
      });
    }

    test('what it got ends with the mandate, and it hears which', async () => {
      const client = external({ forceRefreshOnFailure: true }); // asks anew when the API says 401
      assert.equal((await look(client)).person, person);
      const order = { subject: mandate, reason: 'a test', wait_seconds: 20 };
      const { acknowledgement } = await server.admin<{ acknowledgement: { complete: boolean } }>(
        'POST',
        '/revocations',
        order,
      );
      assert.equal(acknowledgement.complete, true);
      await assert.rejects(
        look(client),
        new RegExp(`code invalid_request: mandate ${mandate} is paused, or has ended$`),
      );
    });
  });
}
