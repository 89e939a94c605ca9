/** What is refused to orchestrators, and what of it is on record. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type OrchestratorClient, orchestratorClient } from '../testing/orchestrator.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

interface Scene {
  orchestrator: OrchestratorClient;
  agent: TokenClient;
  foreign: TokenClient;
  suspended: TokenClient;
}

type Change = (scene: Scene) => unknown;

const day = 86_400;
const resource = (of: Scene, more: object = { scope: 'tickets:read' }) => ({
  resources: [{ resource: of.agent.identifier, ...more }],
});

/** Members that spoil a request which would be fine, with the status and the field that the refusal names. */
const rejections: [what: string, change: Change, status: number, field: string][] = [
  ['no agent', () => ({ agent: undefined }), 400, 'agent'],
  ['an agent by name', () => ({ agent: 'desk' }), 400, 'agent'],
  ['an agent that never was', () => ({ agent: 'agt_01hzzzzzzzzzzzzzzzzzzzzzzz' }), 422, 'agent'],
  ['an agent of another organization', (s) => ({ agent: s.foreign.clientId }), 422, 'agent'],
  ['a suspended agent', (s) => ({ agent: s.suspended.clientId }), 422, 'agent'],
  ['no workflow', () => ({ workflow: undefined }), 400, 'workflow'],
  ['a workflow with spaces', () => ({ workflow: 'pay everything' }), 400, 'workflow'],
  ['a workflow of 101 letters', () => ({ workflow: 'a'.repeat(101) }), 400, 'workflow'],
  ['a step with a NUL', () => ({ step: 'a\u0000b' }), 400, 'step'],
  ['an environment of 64 letters', () => ({ environment: 'a'.repeat(64) }), 400, 'environment'],
  ['a purpose of 2001 letters', () => ({ purpose: 'a'.repeat(2001) }), 400, 'purpose'],
  ['a purpose with control characters', () => ({ purpose: 'a\u001b[2Jb' }), 400, 'purpose'],
  ['a member that nobody knows', () => ({ wokflow: 'x' }), 400, 'wokflow'],
  ['no end', () => ({ lifetime_seconds: undefined }), 422, 'ends_at'],
  ['two ends', () => ({ ends_at: '2030-01-01T00:00:00Z' }), 422, 'ends_at'],
  ['no time at all', () => ({ lifetime_seconds: 0 }), 400, 'lifetime_seconds'],
  ['more than a day', () => ({ lifetime_seconds: day + 1 }), 400, 'lifetime_seconds'],
  ['an end that is past', () => ({ lifetime_seconds: undefined, ends_at: '2020-01-01T00:00:00Z' }), 422, 'ends_at'],
  ['a far end', () => ({ lifetime_seconds: undefined, ends_at: '2031-01-01T00:00:00Z' }), 422, 'ends_at'],
  ['an end without offset', () => ({ lifetime_seconds: undefined, ends_at: '2026-11-01T10:00:00' }), 400, 'ends_at'],
  ['resources that are none', () => ({ resources: [] }), 400, 'resources'],
  ['21 resources', (s) => ({ resources: Array(21).fill(resource(s).resources[0]) }), 400, 'resources'],
  ['a resource twice', (s) => ({ resources: Array(2).fill(resource(s).resources[0]) }), 422, 'resources[1].resource'],
  [
    'a resource of another agent',
    (s) => ({ resources: [{ resource: s.foreign.identifier, scope: 'tickets:read' }] }),
    422,
    'resources[0].resource',
  ],
  [
    'a resource that never was',
    () => ({ resources: [{ resource: 'https://nobody.example', scope: 'a' }] }),
    422,
    'resources[0].resource',
  ],
  [
    'a resource with a NUL',
    () => ({ resources: [{ resource: 'https://a.example/\u0000', scope: 'a' }] }),
    400,
    'resources[0].resource',
  ],
  ['nothing named on a resource', (s) => resource(s, {}), 422, 'resources[0]'],
  [
    'a scope that the resource lacks',
    (s) => resource(s, { scope: 'tickets:read tickets:burn' }),
    422,
    'resources[0].scope',
  ],
  [
    'two spaces between scopes',
    (s) => resource(s, { scope: 'tickets:read  tickets:write' }),
    400,
    'resources[0].scope',
  ],
  [
    'an operation that the resource lacks',
    (s) => resource(s, { operations: ['burn'] }),
    422,
    'resources[0].operations',
  ],
  ['no operations', (s) => resource(s, { operations: [] }), 400, 'resources[0].operations'],
  [
    'details of an unknown type',
    (s) => resource(s, { authorization_details: [{ type: 'transfer' }] }),
    422,
    'resources[0].authorization_details[0].type',
  ],
  [
    'details of no type',
    (s) => resource(s, { authorization_details: [{ amount: 1 }] }),
    422,
    'resources[0].authorization_details[0].type',
  ],
  [
    'details that name an unknown operation',
    (s) => resource(s, { authorization_details: [{ type: 'operation', actions: ['burn'] }] }),
    422,
    'resources[0].authorization_details[0].actions',
  ],
  [
    'details of 17 levels',
    (s) =>
      resource(s, {
        authorization_details: [JSON.parse(`${'{"type":"operation","a":'.repeat(17)}1${'}'.repeat(17)}`)],
      }),
    400,
    'body',
  ],
];

for (const database of databases) {
  describe(`refusals to orchestrators, on ${database}`, () => {
    let server: TestServer;
    let scene: Scene;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      const { id } = await server.admin<{ id: string }>('POST', '/organizations', { name: 'elsewhere' });
      const [orchestrator, agent, suspended] = await Promise.all([
        orchestratorClient(server),
        tokenClient(server),
        tokenClient(server),
      ]);
      await server.admin('POST', `/agents/${suspended.clientId}/suspend`, {});
      scene = { orchestrator, agent, suspended, foreign: await elsewhere(id) };
    });
    after(() => server.close());

    /** An agent of another organization: a token client that was registered there. */
    const elsewhere = (organization: string) =>
      tokenClient({
        ...server,
        admin: (method, path, body) =>
          server.admin(method, method === 'POST' ? `${path}?organization=${organization}` : path, body),
      });

    const good = () => ({ agent: scene.agent.clientId, workflow: 'billing', lifetime_seconds: 600 });

    for (const [what, change, status, field] of rejections) {
      test(what, async () => {
        const { orchestrator } = scene;
        const reply = await orchestrator.call('POST', '/tasks', { ...good(), ...(change(scene) as object) });
        assert.equal(reply.status, status, reply.text);
        assert.equal(reply.body.errors[0].field, field, reply.text);
        assert.match(reply.headers.get('content-type') ?? '', /^application\/problem\+json/);
      });
    }

    test('none of it has left a task, and what was decided on is on record without what was sent', async () => {
      const { items } = await server.admin<{ items: unknown[] }>('GET', '/tasks');
      assert.equal(items.length, 0);
      const { items: events } = await server.admin<{ items: Record<string, unknown>[] }>(
        'GET',
        `/events?agent=${scene.orchestrator.clientId}&type=task.refused&limit=200`,
      );
      assert.equal(events.length, rejections.filter(([, , status]) => status === 422).length);
      assert.ok(!JSON.stringify(events).includes('nobody.example'));
    });

    test('a body that is none, too large, or of another type', async () => {
      const { orchestrator } = scene;
      for (const [body, status, headers] of [
        ['{', 400, {}],
        ['[]', 400, {}],
        ['"x"', 400, {}],
        ['{"__proto__":{}}', 400, {}],
        [JSON.stringify({ ...good(), purpose: 'a'.repeat(2_000_000) }), 413, {}],
        ['agent=x', 415, { 'content-type': 'application/x-www-form-urlencoded' }],
      ] as const) {
        const reply = await orchestrator.call('POST', '/tasks', body, headers);
        assert.equal(reply.status, status, `${body.slice(0, 20)}: ${reply.text}`);
      }
    });

    test('whoever has no token, one for another API, or one without the scope', async () => {
      const { orchestrator, agent } = scene;
      const url = `${server.issuer}/tasks`;
      const post = (headers: Record<string, string>) =>
        fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '{}' });
      assert.equal((await post({})).status, 401);
      const admin = await orchestrator.client.token(server.issuer);
      assert.equal((await post({ authorization: `Bearer ${admin}` })).status, 401, 'a stolen token without its key');
      const other = String((await agent.send()).body.access_token);
      const proof = await orchestrator.client.proof({ htm: 'POST', htu: url, accessToken: other });
      assert.equal((await post({ authorization: `DPoP ${other}`, dpop: proof })).status, 401);
      const powerless = await orchestratorClient(server, {
        role: await roleWith(['access:evaluate']),
        agent: { resources: [{ resource: server.issuer, default: true, scope: ['access:evaluate'] }] },
      });
      const refused = await powerless.call('POST', '/tasks', good());
      assert.equal(refused.status, 403, refused.text);
      assert.match(refused.headers.get('www-authenticate') ?? '', /insufficient_scope.*tasks:open/);
    });

    /** Operators may make roles on the API for agents too. */
    async function roleWith(scopes: string[]): Promise<string> {
      const permissions = [{ resource: server.issuer, scopes }];
      return (await server.admin<{ id: string }>('POST', '/roles', { name: `r-${scopes.length}`, permissions })).id;
    }

    test('another orchestrator neither sees nor ends it, of whichever organization', async () => {
      const { orchestrator, agent } = scene;
      const task = await orchestrator.open(agent.clientId);
      const { id } = await server.admin<{ id: string }>('POST', '/organizations', { name: 'far' });
      for (const other of [await orchestratorClient(server), await orchestratorClient(server, { organization: id })]) {
        for (const method of ['GET', 'DELETE']) {
          assert.equal((await other.call(method, `/tasks/${task.id}`)).status, 404);
          assert.equal((await other.call(method, '/tasks/tsk_%00')).status, 404);
        }
        assert.equal((await other.call('PATCH', `/tasks/${task.id}`, {})).status, 405);
        assert.equal((await other.call('GET', '/tasks')).status, 405);
      }
      assert.equal((await orchestrator.call('GET', `/tasks/${task.id}`)).body.status, 'open');
    });

    test('a task asked for twice under one key is one, and the key is for that request alone', async () => {
      const { orchestrator } = scene;
      const headers = { 'idempotency-key': 'once' };
      const replies = await Promise.all(
        Array.from({ length: 10 }, () => orchestrator.call('POST', '/tasks', good(), headers)),
      );
      assert.deepEqual([...new Set(replies.map(({ status }) => status))], [201]);
      assert.equal(new Set(replies.map(({ body }) => body.id)).size, 1);
      const other = await orchestrator.call('POST', '/tasks', { ...good(), workflow: 'other' }, headers);
      assert.equal(other.status, 422, other.text);
    });

    test('a proof works once', async () => {
      const { orchestrator } = scene;
      const htu = `${server.issuer}/tasks`;
      const accessToken = await orchestrator.client.token(server.issuer);
      const dpop = await orchestrator.client.proof({ htm: 'POST', htu, accessToken });
      const all = await Promise.all(
        Array.from({ length: 5 }, () => orchestrator.call('POST', '/tasks', good(), { dpop })),
      );
      assert.deepEqual(all.map(({ status }) => status).sort(), [201, 401, 401, 401, 401]);
    });
  });
}
