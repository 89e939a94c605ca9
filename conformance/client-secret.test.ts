/** Shared secrets: off unless the configuration names the day until which they last, and then no weaker than they must be. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { fakeClock } from '../packages/server/src/lib/clock.ts';
import { startServer, type TestServer, testEpoch } from '../packages/server/src/testing/harness.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';
import { databases } from './world.ts';

const hour = 3_600_000;
const day = 24 * hour;
const until = new Date(testEpoch + 30 * day).toISOString().slice(0, 10);

interface SecretClient extends TokenClient {
  secret: string;
  added: string;
}

interface Reply {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of an answer by looking at it
  json: any;
}

const basic = (id: string, secret: string, scheme = 'Basic') =>
  `${scheme} ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`;
const raw = (text: string | Buffer) => `Basic ${Buffer.from(text).toString('base64')}`;

for (const database of databases) {
  describe(`client secrets on ${database}`, () => {
    let server: TestServer;
    const clock = fakeClock(testEpoch);
    before(async () => {
      server = await startServer({ database, clock, config: { dangerously_client_secrets_until: until } });
    });
    after(() => server.close());

    async function withSecret(endsIn = 7 * day): Promise<SecretClient> {
      const client = await tokenClient(server, { token: { dangerously_bearer: true } });
      return { ...client, ...(await addSecret(client.clientId, endsIn)) };
    }
    async function addSecret(agent: string, endsIn: number): Promise<{ secret: string; added: string }> {
      const expires_at = new Date(clock.now() + endsIn).toISOString();
      const { id, secret } = await server.admin<{ id: string; secret: string }>('POST', '/credentials', {
        agent,
        kind: 'secret',
        expires_at,
      });
      return { secret, added: id };
    }
    async function ask(form: Record<string, string> | string, authorization?: string, path = 'token'): Promise<Reply> {
      const headers = { 'content-type': 'application/x-www-form-urlencoded', ...(authorization && { authorization }) };
      const body = typeof form === 'string' ? form : new URLSearchParams(form).toString();
      server.deps.failures.counts.clear();
      const response = await fetch(`${server.issuer}/oauth2/${path}`, { method: 'POST', headers, body });
      return { status: response.status, headers: response.headers, json: await response.json() };
    }
    const lastReason = () => [...server.deps.failures.counts.values()].at(-1)?.reason;
    const grant = { grant_type: 'client_credentials' };
    const post = (id: string, secret: string) => ask({ ...grant, client_id: id, client_secret: secret });

    function assertFailed(reply: Reply, reason: string): void {
      assert.equal(reply.status, 401);
      assert.deepEqual(reply.json, { error: 'invalid_client', error_description: 'client authentication failed' });
      assert.equal(lastReason(), reason);
    }

    test('client_secret_basic and client_secret_post get tokens, show them and give them up', async () => {
      const { clientId, secret, identifier } = await withSecret();
      for (const [form, authorization] of [
        [{ client_id: clientId, client_secret: secret }, undefined],
        [{}, basic(clientId, secret)],
        [{ client_id: clientId }, basic(clientId, secret, 'bAsIc')],
      ] as [Record<string, string>, string | undefined][]) {
        const { status, json } = await ask({ ...grant, ...form }, authorization);
        assert.equal(status, 200, JSON.stringify(json));
        const token = json.access_token as string;
        const shown = await ask({ ...form, token }, authorization, 'introspect');
        assert.equal(shown.json.active, true);
        assert.equal(shown.json.aud, identifier);
        assert.equal((await ask({ ...form, token }, authorization, 'revoke')).status, 200);
        assert.equal((await ask({ ...form, token }, authorization, 'introspect')).json.active, false);
      }
    });

    test('oauth4webapi gets a token by either, having found them in the metadata', async () => {
      const { clientId, secret } = await withSecret();
      const insecure = { [oauth.allowInsecureRequests]: true };
      const issuer = new URL(server.issuer);
      const as = await oauth.processDiscoveryResponse(
        issuer,
        await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
      );
      for (const [method, auth] of [
        ['client_secret_basic', oauth.ClientSecretBasic(secret)],
        ['client_secret_post', oauth.ClientSecretPost(secret)],
      ] as const) {
        assert.ok(as.token_endpoint_auth_methods_supported?.includes(method));
        const client = { client_id: clientId };
        const response = await oauth.clientCredentialsGrantRequest(as, client, auth, {}, insecure);
        const { token_type } = await oauth.processClientCredentialsResponse(as, client, response);
        assert.equal(token_type, 'bearer');
      }
    });

    test('tokens are bound to a key all the same, where the resource asks for it', async () => {
      const client = await tokenClient(server);
      const { secret } = await addSecret(client.clientId, day);
      const { status, json } = await post(client.clientId, secret);
      assert.equal(status, 400);
      assert.match(json.error_description, /DPoP/);
    });

    test('two secrets live at a time, so that one can replace the other', async () => {
      const client = await withSecret();
      const second = await addSecret(client.clientId, 7 * day);
      assert.equal((await post(client.clientId, client.secret)).status, 200);
      assert.equal((await post(client.clientId, second.secret)).status, 200);
      await server.admin('DELETE', `/credentials/${client.added}`);
      assertFailed(await post(client.clientId, client.secret), 'wrong secret');
      assert.equal((await post(client.clientId, second.secret)).status, 200);
    });

    test('what is stored is no secret', async () => {
      const { secret, added } = await withSecret();
      const row = await server.deps.db.get<Record<string, unknown>>('select * from credentials where id = ?', [added]);
      assert.ok(!JSON.stringify(row).includes(secret.slice(4)));
      const shown = await server.admin('GET', `/credentials/${added}`);
      assert.ok(!JSON.stringify(shown).includes(secret.slice(4)));
    });

    const rows: [string, (client: SecretClient, other: SecretClient) => Promise<Reply>, string][] = [
      ['a wrong secret', ({ clientId }, other) => post(clientId, other.secret), 'wrong secret'],
      ['a secret with something behind it', ({ clientId, secret }) => post(clientId, `${secret}x`), 'wrong secret'],
      ['a secret without its prefix', ({ clientId, secret }) => post(clientId, secret.slice(4)), 'wrong secret'],
      [
        'its hash',
        async ({ clientId, added }) => {
          const row = await server.deps.db.get<{ thumbprint: string }>(
            'select thumbprint from credentials where id = ?',
            [added],
          );
          return post(clientId, row?.thumbprint as string);
        },
        'wrong secret',
      ],
      ['an unknown client', ({ secret }) => post('agt_00000000000000000000000000', secret), 'unknown client'],
      [
        'a secret that has ended',
        async ({ clientId }) => {
          const { secret } = await addSecret(clientId, hour);
          assert.equal((await post(clientId, secret)).status, 200);
          clock.advance(hour);
          return post(clientId, secret);
        },
        'wrong secret',
      ],
      [
        'a secret that was removed',
        async ({ clientId, secret, added }) => {
          await server.admin('DELETE', `/credentials/${added}`);
          return post(clientId, secret);
        },
        'no live secret',
      ],
      ['Basic of nothing', () => ask(grant, 'Basic'), 'Basic is malformed'],
      ['Basic that is no base64', () => ask(grant, 'Basic %%%'), 'Basic is malformed'],
      [
        'Basic with something behind it',
        ({ clientId, secret }) => ask(grant, `${basic(clientId, secret)} x`),
        'Basic is malformed',
      ],
      ['Basic without a colon', ({ clientId }) => ask(grant, raw(clientId)), 'Basic is malformed'],
      ['Basic without a password', ({ clientId }) => ask(grant, raw(`${clientId}:`)), 'Basic is malformed'],
      ['Basic that is no UTF-8', ({ clientId }) => ask(grant, raw(`${clientId}:%ff`)), 'Basic is malformed'],
      [
        'Basic with a raw byte',
        ({ clientId }) => ask(grant, raw(Buffer.concat([Buffer.from(`${clientId}:`), Buffer.of(0xe9)]))),
        'Basic is malformed',
      ],
      [
        'a client_id that is not the user of Basic',
        ({ clientId, secret }, other) => ask({ ...grant, client_id: other.clientId }, basic(clientId, secret)),
        'client_id is not the user of Basic',
      ],
    ];
    for (const [sentence, send, reason] of rows) {
      test(sentence, async () => assertFailed(await send(await withSecret(), await withSecret()), reason));
    }

    test('who tried Basic is asked for Basic', async () => {
      const { headers } = await ask(grant, basic('nobody', 'nothing'));
      assert.match(headers.get('www-authenticate') ?? '', /^Basic realm="/);
      assert.equal((await post('nobody', 'nothing')).headers.get('www-authenticate'), null);
    });

    test('a secret beside any other method is one method too many', async () => {
      const client = await withSecret();
      const { clientId, secret } = client;
      const both = [
        await ask({ ...grant, client_id: clientId, client_secret: secret }, basic(clientId, secret)),
        await ask({ ...(await client.form()), client_secret: secret }),
        await ask(await client.form(), basic(clientId, secret)),
      ];
      for (const { status, json } of both) {
        assert.deepEqual([status, json.error], [400, 'invalid_request']);
      }
    });

    test('a client_secret needs a client_id', async () => {
      const { secret } = await withSecret();
      const { status, json } = await ask({ ...grant, client_secret: secret });
      assert.deepEqual([status, json.error], [400, 'invalid_request']);
    });

    test('on the day after the last they are off, and metadata no longer names them', async () => {
      const last = Date.parse(until) + day;
      const client = await withSecret(last - clock.now());
      clock.advance(last - 1 - clock.now());
      assert.equal((await post(client.clientId, client.secret)).status, 200);
      clock.advance(1);
      const metadata = await (await fetch(`${server.issuer}/.well-known/openid-configuration`)).text();
      assert.doesNotMatch(metadata, /client_secret/);
      const { status, json } = await post(client.clientId, client.secret);
      assert.equal(status, 401);
      assert.match(json.error_description, /^client authentication is needed: private_key_jwt/);
    });
  });
}

test('secrets are off by default, even those that were made before', async () => {
  const server = await startServer({ config: { dangerously_client_secrets_until: until } });
  const client = await tokenClient(server, { token: { dangerously_bearer: true } });
  const expires_at = new Date(server.clock.now() + day).toISOString();
  const body = { agent: client.clientId, kind: 'secret', expires_at };
  const { secret } = await server.admin<{ secret: string }>('POST', '/credentials', body);
  const node = await startServer({ joins: server });
  try {
    const metadata = await (await fetch(`${node.address}/.well-known/openid-configuration`)).text();
    assert.doesNotMatch(metadata, /client_secret/);
    const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: client.clientId });
    const at = (address: string) =>
      fetch(`${address}/oauth2/token`, {
        method: 'POST',
        body: form,
        headers: { authorization: basic(client.clientId, secret) },
      });
    assert.equal((await at(server.address)).status, 200);
    assert.equal((await at(node.address)).status, 401);
  } finally {
    await node.close();
    await server.close();
  }
});
