import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { inspect } from 'node:util';
import { generateJwk, type PrivateJwk, publicJwk } from '@bailiwick/protocol';
import { startServer, type TestServer } from '../../server/src/testing/harness.ts';
import { type Agent, type AgentOptions, BailiwickError, createAgent } from './index.ts';
import { listen, thiefsProof } from './testing.ts';

interface Thing {
  id: string;
  name: string;
}

/** The server's own admin API is a protected resource like any other: the agent has to find that out. */
suite('the agent and the real server', () => {
  let server: TestServer;
  let requests: string[] = [];
  let client: { id: string; jwk: PrivateJwk };

  const agentOf = (changes: Partial<AgentOptions> = {}): Agent =>
    createAgent({
      issuer: server.issuer,
      clientId: client.id,
      key: client.jwk,
      now: server.clock.now,
      fetch: async (input, init) => {
        requests.push(`${init?.method ?? 'GET'} ${new URL(String(input)).pathname}`);
        return fetch(input, init);
      },
      ...changes,
    });
  const url = (path: string) => `${server.issuer}/admin/v1${path}`;
  const sent = async (work: () => Promise<unknown>) => {
    requests = [];
    await work();
    return requests;
  };

  before(async () => {
    server = await startServer({ database: 'sqlite' });
    const { items } = await server.admin<{ items: (Thing & { identifier: string })[] }>('GET', '/resources?limit=200');
    const resource = items.find(({ identifier }) => identifier === `${server.issuer}/admin`);
    assert.ok(resource, 'the admin API is registered');
    const team = await server.admin<Thing>('POST', '/teams', { name: 'crew', display_name: 'Crew' });
    const scopes = ['agents:read', 'resources:read'];
    const role = await server.admin<Thing>('POST', '/roles', {
      name: 'reader',
      permissions: [{ resource: resource.id, scopes }],
    });
    const { id } = await server.admin<Thing>('POST', '/agents', {
      name: 'robin',
      kind: 'ai_agent',
      owner: team.id,
      grants: ['client_credentials'],
      resources: [{ resource: resource.id, default: true, scope: ['agents:read'] }],
    });
    client = { id, jwk: await generateJwk('ES256') };
    await server.admin('POST', '/credentials', { agent: id, jwk: publicJwk(client.jwk) });
    await server.admin('PUT', `/agents/${id}/roles/${role.id}`);
  });
  after(() => server?.close());

  test('discover, authenticate, bind, call; and then only call', async () => {
    const agent = agentOf();
    assert.deepEqual(
      await sent(async () => {
        const response = await agent.fetch(url('/agents'));
        assert.equal(response.status, 200);
        const { items } = (await response.json()) as { items: Thing[] };
        assert.ok(items.some(({ id }) => id === client.id));
      }),
      [
        'HEAD /admin/v1/agents',
        'GET /.well-known/oauth-protected-resource/admin',
        'GET /.well-known/oauth-authorization-server',
        'POST /oauth2/token',
        'POST /oauth2/token',
        'GET /admin/v1/agents',
      ],
    );
    assert.deepEqual(await sent(() => agent.fetch(url(`/agents/${client.id}?x=y`))), [
      `GET /admin/v1/agents/${client.id}`,
    ]);
  });

  for (const alg of ['EdDSA', 'PS256', 'RS256'] as const) {
    test(`with an ${alg} key, and proofs by it`, async () => {
      const jwk = await generateJwk(alg);
      await server.admin('POST', '/credentials', { agent: client.id, jwk: publicJwk(jwk) });
      assert.equal((await agentOf({ key: jwk, proofKey: jwk }).fetch(url('/agents'))).status, 200);
    });
  }

  test('step up to a scope that the role gives, and hear of one that it does not', async () => {
    const agent = agentOf();
    assert.equal((await agent.fetch(url('/resources'))).status, 200);
    const refused = await agent.fetch(url('/events'));
    assert.equal(refused.status, 403);
    assert.match(refused.headers.get('www-authenticate') ?? '', /insufficient_scope/);
  });

  test('a token ends; the next is there before anybody notices', async () => {
    const agent = agentOf();
    await agent.fetch(url('/agents'));
    server.clock.advance(9.5 * 60_000);
    const list = await sent(() => agent.fetch(url('/agents')));
    assert.equal(list.at(-1), 'GET /admin/v1/agents');
    assert.ok(list.includes('POST /oauth2/token'));
    assert.ok(!list.some((line) => line.startsWith('HEAD')));
  });

  test('a hundred calls at once: one token', async () => {
    const agent = agentOf();
    await sent(async () => {
      const responses = await Promise.all(Array.from({ length: 100 }, () => agent.fetch(url('/agents'))));
      assert.ok(responses.every(({ status }) => status === 200));
    });
    assert.equal(requests.filter((line) => line.startsWith('HEAD')).length, 1);
    assert.ok(requests.filter((line) => line === 'POST /oauth2/token').length <= 2);
  });

  test('suspended: refused at once and told why it may be; resumed: on its way with a fresh token', async () => {
    const agent = agentOf();
    await agent.fetch(url('/agents'));
    await server.admin('POST', `/agents/${client.id}/suspend`);
    const error = await agent.fetch(url('/agents')).then(
      () => assert.fail('it was let through'),
      (thrown: unknown) => thrown as BailiwickError,
    );
    assert.ok(error instanceof BailiwickError);
    assert.equal(error.code, 'unauthorized_client');
    assert.match(error.message, /suspended/);
    assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(client.jwk.d));
    await server.admin('POST', `/agents/${client.id}/resume`);
    assert.equal((await agent.fetch(url('/agents'))).status, 200);
  });

  test('a stolen token is worth nothing without the key', async () => {
    const agent = agentOf();
    const stolen = (await agent.token({ resource: `${server.issuer}/admin` })).dangerouslyExposeToken();
    const dpop = await thiefsProof(url('/agents'), server.clock.now(), stolen);
    for (const headers of [
      { authorization: `Bearer ${stolen}` },
      { authorization: `DPoP ${stolen}` },
      { authorization: `DPoP ${stolen}`, dpop },
    ]) {
      assert.equal((await fetch(url('/agents'), { headers })).status, 401);
    }
  });

  test('an API that is none of ours: nothing to find, nothing given away', async (t) => {
    const stranger = await listen(t, (_, response) => response.writeHead(404).end());
    await assert.rejects(agentOf().fetch(`${stranger}/healthz`), { code: 'resource_unknown' });
    // the issuer itself is the API for agents, which this one was not given
    await assert.rejects(agentOf().fetch(`${server.issuer}/tasks`), { code: 'invalid_target' });
  });
});
