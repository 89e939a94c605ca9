/**
 * A guard that asks before what is sensitive (AuthZEN 1.0), with its identity provider and an agent, over HTTP: what changed
 * after the token was issued, and after introspection said yes, is heard of by the next request that can do harm.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { type Agent, createAgent } from '../packages/agent/src/index.ts';
import { createGuard, type Guard } from '../packages/guard/src/index.ts';
import { generateJwk, publicJwk } from '../packages/protocol/src/index.ts';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { type OrchestratorClient, orchestratorClient } from '../packages/server/src/testing/orchestrator.ts';

const operations = [
  { name: 'read', method: 'GET', path: '/files/{id}', scope: ['files:read'], sensitivity: 'low' },
  { name: 'wipe', method: 'DELETE', path: '/files/{id}', scope: ['files:wipe'], sensitivity: 'high' },
];
const scope = ['files:read', 'files:wipe'];

describe('before what is sensitive', () => {
  let server: TestServer;
  let api: Server;
  let base: string;
  let guard: Guard;
  /** Of the same resource: it introspects each time, and asks nothing else. */
  let strict: Guard;
  let orchestrator: OrchestratorClient;
  let agent: Agent;
  let newAgent: () => Agent;
  /** What the API answered to the agent, whatever the agent made of it. */
  const seen: Response[] = [];
  let agentId: string;
  let roleId: string;
  /** Paths at the identity provider that don't answer. */
  let away: string[] = [];
  const policies: string[] = [];
  let written = 0;

  const post = (path: string, body: object) => server.admin<{ id: string; agent: string }>('POST', path, body);
  const read = async (by = agent) => (await by.fetch(`${base}/files/7`)).status;
  const wipe = (by = agent) => by.fetch(`${base}/files/7`, { method: 'DELETE' });
  const wiped = async (by = agent) => (await wipe(by)).status;
  const policy = async (text: string) => {
    const { id } = await post('/policies', { name: `policy-${written++}`, text, reason: 'a test' });
    policies.push(id);
  };
  const evaluations = async () => {
    const events = await server.admin<{ items: Record<string, never>[] }>(
      'GET',
      '/events?type=access.evaluated&limit=200',
    );
    return events.items as unknown as {
      id: string;
      outcome: string;
      target: string;
      decided_on: Record<string, unknown>;
    }[];
  };

  before(async () => {
    server = await startServer();
    api = createServer((request, response) =>
      (request.headers['which-guard'] === 'strict' ? strict : guard).node((_, answer, caller) =>
        answer.end(caller.operation),
      )(request, response),
    ).listen(0, '127.0.0.1');
    await once(api, 'listening');
    base = `http://localhost:${(api.address() as AddressInfo).port}/api`;
    const { id: owner } = await post('/teams', { name: 'files' });
    const scopes = scope.map((name) => ({ name }));
    const { id: resource } = await post('/resources', { identifier: base, name: 'files', scopes, operations });
    roleId = (await post('/roles', { name: 'keeper', permissions: [{ resource, scopes: scope }] })).id;
    const jwk = await generateJwk('ES256');
    agentId = (
      await post('/agents', {
        name: 'keeper',
        kind: 'ai_agent',
        owner,
        resources: [{ resource, default: true, scope }],
      })
    ).id;
    await post('/credentials', { agent: agentId, jwk: publicJwk(jwk) });
    await server.admin('PUT', `/agents/${agentId}/roles/${roleId}`);
    const guardJwk = await generateJwk('ES256');
    const { agent: guardId } = await post('/guards', { name: 'door', resource, owner, jwk: publicJwk(guardJwk) });
    guard = createGuard({
      issuer: server.issuer,
      resource: base,
      credential: { client_id: guardId, jwk: guardJwk },
      mode: 'introspect',
      introspection: { cacheSeconds: 27 }, // what was alive once is believed for long: only asking hears of the rest
      continuous: { budgetMs: 10_000 }, // how fast this machine is is not what is tested
      now: server.clock.now,
      report: () => {},
      fetch: (input, init) =>
        away.some((path) => String(input).includes(path))
          ? Promise.reject(new TypeError('fetch failed'))
          : fetch(input, init),
    });
    strict = createGuard({
      issuer: server.issuer,
      resource: base,
      credential: { client_id: guardId, jwk: guardJwk },
      mode: 'introspect',
      introspection: { cacheSeconds: 0 },
      continuous: false,
      now: server.clock.now,
    });
    await Promise.all([guard.ready(), strict.ready()]);
    orchestrator = await orchestratorClient(server);
    newAgent = () =>
      createAgent({
        issuer: server.issuer,
        resource: base,
        clientId: agentId,
        key: jwk,
        now: server.clock.now,
        async fetch(input, init) {
          const response = await fetch(input, init);
          if (String(input).startsWith(base)) seen.push(response.clone());
          return response;
        },
      });
    agent = newAgent();
  });
  afterEach(async () => {
    away = [];
    for (const id of policies.splice(0)) await server.admin('POST', `/policies/${id}/remove`, { reason: 'a test' });
  });
  after(async () => {
    guard.close();
    strict.close();
    api.closeAllConnections();
    api.close();
    await server.close();
  });

  test('an agent that may gets through, and the decision is on record; what is harmless is not asked about', async () => {
    const earlier = (await evaluations()).length;
    assert.deepEqual([await read(), await wiped(), await read()], [200, 200, 200]);
    const lines = await evaluations();
    assert.equal(lines.length, earlier + 1);
    const [line] = lines;
    assert.deepEqual([line?.outcome, line?.target], ['allowed', agentId]);
    assert.match(String(line?.decided_on.policy), /^org_\w+\/\d+$/);
  });

  test('a policy that changed bites with the next request, in its public words', async () => {
    assert.equal(await wiped(), 200);
    await policy(`@id("incident") @reason("Nothing is wiped during an incident.") @public
      forbid (principal, action == Action::"resource:access", resource is Operation)
      when { resource.sensitivity == "high" };`);
    const response = await wipe();
    assert.equal(response.status, 403);
    const problem = (await response.json()) as Record<string, string>;
    assert.deepEqual([problem.error, problem.detail], ['access_denied', 'Nothing is wiped during an incident.']);
    assert.equal(await read(), 200);
  });

  test('a policy sees which address the guard was called from', async () => {
    await policy(`@id("not-from-here")
      forbid (principal, action == Action::"resource:access", resource)
      when { context has address && context.address.isLoopback() };`);
    assert.equal(await wiped(), 403);
  });

  test('not yet: a fresher proof is asked for by RFC 9470, and a newer token is one', async () => {
    assert.equal(await wiped(), 200);
    await policy(`@id("fresh") @step_up("fresh_proof 60")
      forbid (principal, action == Action::"resource:access", resource is Operation)
      when { context.proof_age > 60 };`);
    server.clock.advance(61_000);
    seen.length = 0;
    await wipe();
    const [first] = seen;
    assert.equal(first?.status, 401);
    const challenge = first?.headers.get('www-authenticate') ?? '';
    assert.match(challenge, /error="insufficient_user_authentication"/);
    assert.match(challenge, /max_age="?60/);
    const { requirements } = JSON.parse(await (first?.text() ?? '{}')) as { requirements: unknown };
    assert.deepEqual(requirements, [{ type: 'fresh_proof', max_age: 60 }]);
    agent = newAgent();
    assert.equal(await wiped(), 200);
  });

  test('a suspended agent is stopped at its next sensitive act, though introspection had said yes', async () => {
    assert.deepEqual([await read(), await wiped()], [200, 200]);
    await server.admin('POST', `/agents/${agentId}/suspend`, { reason: 'a test' });
    seen.length = 0;
    const act = async (method: string) =>
      (await agent.fetch(`${base}/files/7`, { method }).catch(() => seen[0]))?.status;
    assert.equal(await act('GET'), 200, 'the answer of before is believed for as long as it was configured');
    seen.length = 0;
    await act('DELETE');
    assert.equal(seen[0]?.status, 401);
    assert.match(seen[0]?.headers.get('www-authenticate') ?? '', /error="invalid_token"/);
    await server.admin('POST', `/agents/${agentId}/resume`);
    agent = newAgent();
    assert.equal(await wiped(), 200);
  });

  test('a role that was taken away stops the next sensitive act', async () => {
    assert.equal(await wiped(), 200);
    await server.admin('DELETE', `/agents/${agentId}/roles/${roleId}`);
    seen.length = 0;
    await wipe().catch(() => undefined);
    assert.equal(seen[0]?.status, 401, 'a token that rests on it has ended');
    await server.admin('PUT', `/agents/${agentId}/roles/${roleId}`);
    agent = newAgent();
    assert.equal(await wiped(), 200);
  });

  test('a task that was ended stops its next sensitive act, though introspection had said yes', async () => {
    const { id } = await orchestrator.open(agentId, { resources: [{ resource: base, scope: scope.join(' ') }] });
    const within = agent.with({ task: id });
    const act = async (method: string) => {
      seen.length = 0;
      await within.fetch(`${base}/files/7`, { method }).catch(() => undefined);
      return seen[0];
    };
    assert.deepEqual([(await act('GET'))?.status, (await act('DELETE'))?.status], [200, 200]);
    assert.equal((await orchestrator.call('DELETE', `/tasks/${id}`)).status, 204);
    assert.equal((await act('GET'))?.status, 200, 'the answer of before is believed for as long as it was configured');
    const stopped = await act('DELETE');
    assert.equal(stopped?.status, 401);
    assert.match(stopped?.headers.get('www-authenticate') ?? '', /error="invalid_token"/);
    assert.equal(await wiped(), 200, 'what the agent does outside of the task goes on');
  });

  test('a guard that introspects refuses the token of a task that was ended, and no other', async () => {
    const [{ id }, { id: other }] = await Promise.all([orchestrator.open(agentId), orchestrator.open(agentId)]);
    const act = async (task: string) => {
      seen.length = 0;
      const headers = { 'which-guard': 'strict' };
      await agent
        .with({ task })
        .fetch(`${base}/files/7`, { headers })
        .catch(() => undefined);
      return seen[0];
    };
    assert.deepEqual([(await act(id))?.status, (await act(other))?.status], [200, 200]);
    assert.equal((await orchestrator.call('DELETE', `/tasks/${id}`)).status, 204);
    const stopped = await act(id);
    assert.equal(stopped?.status, 401);
    assert.match(stopped?.headers.get('www-authenticate') ?? '', /error="invalid_token"/);
    assert.equal((await act(other))?.status, 200);
  });

  test('many requests of one moment are allowed each by a decision of its own', async () => {
    const earlier = (await evaluations()).length;
    assert.deepEqual(await Promise.all(Array.from({ length: 12 }, () => wiped())), Array(12).fill(200));
    assert.equal((await evaluations()).length, earlier + 12);
  });

  test('a decision point that can’t be asked means no, for what is sensitive alone', async () => {
    assert.equal(await wiped(), 200);
    away = ['/access/v1/'];
    const response = await wipe();
    assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '1']);
    assert.equal(await read(), 200);
  });
});
