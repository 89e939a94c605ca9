/** Tasks through the SDK, against a real server. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { generateJwk, type PrivateJwk, parseCompact, publicJwk } from '@bailiwick/protocol';
import { startServer, type TestServer } from '../../server/src/testing/harness.ts';
import { roleOf } from '../../server/src/testing/orchestrator.ts';
import { until } from '../../server/src/testing/until.ts';
import { type Agent, createAgent, enrol, signTask } from './index.ts';

suite('tasks of an agent', () => {
  let server: TestServer;
  let api: string;
  let worker: Agent;
  let workerKey: PrivateJwk;
  let boss: Agent;
  let bossKey: PrivateJwk;

  const made = async (name: string, resources: object[], roles: string[]) => {
    const { id: owner } = await server.admin<{ id: string }>('POST', '/teams', { name });
    const { id } = await server.admin<{ id: string }>('POST', '/agents', { name, kind: 'ai_agent', owner, resources });
    const key = await generateJwk('ES256');
    await server.admin('POST', '/credentials', { agent: id, jwk: publicJwk(key) });
    for (const role of roles) await server.admin('PUT', `/agents/${id}/roles/${role}`);
    const agent = createAgent({ issuer: server.issuer, clientId: id, key, now: server.clock.now });
    return { agent, key };
  };
  const claimsOf = async (agent: Agent, wanted: object = {}) => {
    const token = await agent.token({ resource: api, ...wanted });
    return parseCompact(token.dangerouslyExposeToken()).payload as { task?: { id: string }; jti: string };
  };
  const statusOf = async (id: string) =>
    (await server.admin<{ status: string; orchestrator: string; agent: string }>('GET', `/tasks/${id}`)).status;

  before(async () => {
    server = await startServer({ database: 'sqlite', config: { limits: { tokens_per_minute: 10_000 } } });
    api = `${server.issuer}/admin`;
    const scopes = ['agents:read', 'tasks:read'];
    const role = await server.admin<{ id: string }>('POST', '/roles', {
      name: 'reader',
      permissions: [{ resource: api, scopes }],
    });
    const orchestrator = await roleOf(server, 'orchestrator');
    const work = { resource: api, default: true, scope: ['agents:read'] };
    const opening = { resource: server.issuer, default: false, scope: [] };
    ({ agent: worker, key: workerKey } = await made('worker', [work], [role.id]));
    ({ agent: boss, key: bossKey } = await made('boss', [work, opening], [role.id, orchestrator]));
  });
  after(() => server.close());

  const url = () => `${api}/v1/agents`;

  test('one that it opens for itself: named by its tokens, ended when the work is done', async () => {
    const seen = await boss.task({ workflow: 'inventory', step: 'count', purpose: 'count agents' }, async (task) => {
      assert.equal((await task.fetch(url())).status, 200);
      assert.equal((await claimsOf(task)).task?.id, task.id);
      assert.equal(await statusOf(task.id), 'open');
      return { id: task.id, token: await claimsOf(task), task };
    });
    assert.equal(await statusOf(seen.id), 'ended');
    assert.equal((await claimsOf(boss)).task, undefined, 'beside the task the agent is as it was');
    // what is left of its tokens is dead, and there are no others
    await assert.rejects(seen.task.fetch(url()), { code: 'invalid_grant' });
  });

  test('work that fails ends its task too, and what it threw is what is thrown', async () => {
    let id = '';
    const wrong = new Error('the disk is full');
    await assert.rejects(
      boss.task({ workflow: 'inventory' }, async (task) => {
        id = task.id;
        throw wrong;
      }),
      wrong,
    );
    assert.equal(await statusOf(id), 'ended');
  });

  test('one that another agent opened: joined, never ended', async () => {
    const opened = await boss.openTask({
      agent: worker.clientId,
      workflow: 'inventory',
      resources: [{ resource: api, scope: ['agents:read'] }],
      lifetimeSeconds: 600,
    });
    assert.equal(opened.endsAt, server.clock.now() + 600_000);
    await worker.task(opened.id, async (task) => {
      assert.equal(task.id, opened.id);
      assert.equal((await task.fetch(url())).status, 200);
      await assert.rejects(task.token({ resource: api, scope: 'tasks:read' }), { code: 'invalid_scope' });
      await assert.rejects(task.with({ scope: 'tasks:read' }).token({ resource: api }), { code: 'invalid_scope' });
    });
    assert.equal(await statusOf(opened.id), 'open');
    await Promise.all([opened.end(), opened.end()]);
    assert.equal(await statusOf(opened.id), 'ended');
    await assert.rejects(
      worker.task(opened.id, (task) => task.fetch(url())),
      { code: 'invalid_grant' },
    );
  });

  test('one that was signed offline goes on under its id when it can be presented no more', async () => {
    const options = { issuer: server.issuer, clientId: boss.clientId, key: bossKey, agent: worker.clientId };
    const now = server.clock.now;
    const { id, jwt } = await signTask({ ...options, workflow: 'inventory', lifetimeSeconds: 7200, now });
    await worker.task({ jwt }, async (task) => {
      assert.equal(task.id, id);
      const first = await claimsOf(task);
      assert.equal(first.task?.id, id);
      server.clock.advance(30 * 60_000);
      const second = await claimsOf(task);
      assert.equal(second.task?.id, id);
      assert.notEqual(first.jti, second.jti);
    });
    // somebody else's, and one that comes too late
    await assert.rejects(
      boss.task({ jwt }, (task) => task.token({ resource: api })),
      { code: 'invalid_grant' },
    );
    const late = await signTask({ ...options, workflow: 'inventory', now });
    server.clock.advance(6 * 60_000);
    await assert.rejects(
      worker.task({ jwt: late.jwt }, (task) => task.token({ resource: api })),
      { code: 'invalid_grant' },
    );
  });

  test('an agent that may open none hears so, and why', async () => {
    await assert.rejects(
      worker.task({ workflow: 'x' }, async () => 1),
      { code: 'invalid_target' },
    );
    await assert.rejects(boss.openTask({ agent: 'agt_01hzzzzzzzzzzzzzzzzzzzzzzz', workflow: 'x' }), (error: Error) => {
      assert.match(error.message, /422: agent must be the id of an active agent/);
      return (error as Error & { code: string }).code === 'task_refused';
    });
    await assert.rejects(boss.openTask({ workflow: 'Not A Slug' }), { code: 'task_refused' });
    await assert.rejects(boss.openTask({ workflow: 'x', lifetimeSeconds: 1e6 }), { code: 'bad_option' });
    await assert.rejects(
      boss.task({ workflow: 'x', agent: worker.clientId }, async () => 1),
      { code: 'bad_option' },
    );
  });

  test('what is opened at a task ends with it', async () => {
    let below = '';
    await boss.task({ workflow: 'outer' }, async (task) => {
      below = (await task.openTask({ agent: worker.clientId, workflow: 'inner' })).id;
      assert.equal(await statusOf(below), 'open');
    });
    assert.equal(await statusOf(below), 'ended');
  });

  test('an instance works at tasks as its agent does', async () => {
    const { issuer, clock } = server;
    await using instance = await enrol({ issuer, clientId: worker.clientId, key: workerKey, now: clock.now });
    const opened = await boss.openTask({ agent: worker.clientId, workflow: 'inventory' });
    await instance.task(opened.id, async (task) => {
      assert.equal((await claimsOf(task)).task?.id, opened.id);
      assert.equal((await task.fetch(url())).status, 200);
    });
  });

  /** What the log has of a task, once so much of it is there: it is told in the background. */
  const told = (id: string, count: number) =>
    until(
      async () => {
        const { items } = await server.admin<{ items: Told[] }>('GET', `/events?target=${id}&limit=100`);
        return items.filter(({ type }) => type === 'task.started' || type === 'task.finished').reverse();
      },
      (reports) => reports.length >= count,
    );
  interface Told {
    type: string;
    trace?: string;
    decided_on: { result?: string; provenance: string };
  }

  test('its beginning and end are on record, without a role for that', async () => {
    const opened = await boss.openTask({ agent: worker.clientId, workflow: 'inventory' });
    await worker.task(opened.id, async (task) => task.fetch(url()));
    const [begun, ended] = await told(opened.id, 2);
    assert.deepEqual([begun?.type, ended?.type], ['task.started', 'task.finished']);
    assert.deepEqual([ended?.decided_on.result, ended?.decided_on.provenance], ['ok', 'declared']);
    assert.equal(begun?.trace?.slice(3, 35), ended?.trace?.slice(3, 35), 'one trace');
    assert.notEqual(begun?.trace, undefined);
  });

  for (const [what, error, result] of [
    ['that fails', new Error('no'), 'failed'],
    ['that is given up', new DOMException('enough', 'AbortError'), 'abandoned'],
  ] as const) {
    test(`work ${what} is told so, and throws what it threw`, async () => {
      const id = await boss
        .task({ workflow: 'inventory' }, async (task) => Promise.reject(Object.assign(error, { task: task.id })))
        .catch((thrown: { task: string }) => thrown.task);
      const reports = await told(id as string, 2);
      assert.equal(reports.at(-1)?.decided_on.result, result);
    });
  }

  test('a signed one is told of once the issuer knows it, and not at all if it never does', async () => {
    const { now } = server.clock;
    const options = { issuer: server.issuer, clientId: boss.clientId, key: bossKey, agent: worker.clientId, now };
    const sign = async () => (await signTask({ ...options, workflow: 'inventory' })).jwt;
    const jwt = await sign();
    const id = await worker.task({ jwt }, async (task) => {
      await task.fetch(url());
      return task.id;
    });
    assert.equal((await told(id, 2)).length, 2);
    const unused = await worker.task({ jwt: await sign() }, async (task) => task.id);
    assert.equal((await told(id, 2)).length, 2);
    const { items } = await server.admin<{ items: object[] }>('GET', `/events?target=${unused}&limit=10`);
    assert.deepEqual(items, []);
  });
});
