/** What is refused to agents that pass mandates on, and what of it is on record. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Delegate, type Delegates, delegate, delegates } from '../testing/delegates.ts';
import { exchangeScene } from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import type { TestInstance } from '../testing/instance-client.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { tokenClient } from '../testing/token-client.ts';

const never = (prefix: string) => `${prefix}_01hzzzzzzzzzzzzzzzzzzzzzzz`;

for (const database of databases) {
  describe(`what is refused of mandates, on ${database}`, () => {
    let server: TestServer;
    let scene: Delegates;
    let a: Delegate;
    let b: Delegate;
    let c: Delegate;
    let stranger: Delegate;
    let mandate: string;
    let others: Record<string, string>;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await delegates(server, 3);
      [a, b, c] = scene.agents as [Delegate, Delegate, Delegate];
      stranger = delegate(server, await tokenClient(server));
      const give = async (more: object) => (await scene.give(a, { passing: { depth: 2 }, ...more })).id;
      mandate = await give({
        limits: { uses: 5, amounts: [{ type: 'payment', amount: '/amount', total: 500 }] },
        context: { country: ['AT', 'DE'] },
        passing: { depth: 2, to: [b.id, c.id] },
      });
      const below = await a.pass(mandate, { agent: b.id, passing: { depth: 1 } });
      const retired = delegate(server, await tokenClient(server));
      await server.admin('POST', `/agents/${retired.id}/retire`, { reason: 'test' });
      const { id } = await server.admin<{ id: string }>('POST', '/organizations', { name: 'far' });
      const far = await orchestratorClient(server, { organization: id });
      const ended = await give({});
      await a.call('DELETE', `/mandates/${ended}`);
      others = {
        below: below.id,
        closed: await give({ passing: { depth: 0 } }),
        over: await give({ expires_in: 1 }),
        ended,
        retired: retired.id,
        far: far.clientId,
        task: (await (await orchestratorClient(server)).open(b.id)).id,
      };
      server.clock.advance(2000);
    });
    after(() => server.close());

    const good = () => ({ parent: mandate, agent: b.id });
    const on = (more: object) => ({ resources: [{ resource: scene.api.identifier, scope: 'read', ...more }] });
    const rejections: [what: string, change: () => object, status: number, field: string][] = [
      ['nothing', () => ({ parent: undefined, agent: undefined }), 400, 'parent'],
      ['an unknown member', () => ({ scope: 'read' }), 400, 'scope'],
      ['a parent that is no id', () => ({ parent: 'mdt_1' }), 400, 'parent'],
      ['an agent that is no id', () => ({ agent: 'x' }), 400, 'agent'],
      ['no depth', () => ({ passing: { depth: -1 } }), 400, 'passing.depth'],
      ['no time', () => ({ expires_in: 0 }), 400, 'expires_in'],
      ['a time too far ahead', () => ({ expires_in: 400 * 86_400 }), 400, 'expires_in'],
      ['no resources', () => ({ resources: [] }), 400, 'resources'],
      ['an address that is none', () => ({ context: { ip: ['x'] } }), 400, 'context.ip'],
      ['uses that are none', () => ({ limits: { uses: 0 } }), 400, 'limits.uses'],
      ['to nobody', () => ({ agent: undefined }), 422, 'agent'],
      ['to two', () => ({ instance: never('ins') }), 422, 'agent'],
      ['a parent that is not there', () => ({ parent: never('mdt') }), 422, 'parent'],
      ['a parent that another holds, though it came of its own', () => ({ parent: others.below }), 422, 'parent'],
      ['a parent that may not be passed on', () => ({ parent: others.closed }), 422, 'parent'],
      ['a parent whose time is up', () => ({ parent: others.over }), 422, 'parent'],
      ['a parent that was ended', () => ({ parent: others.ended }), 422, 'parent'],
      ['an agent that is not there', () => ({ agent: never('agt') }), 422, 'agent'],
      ['an agent that has retired', () => ({ agent: others.retired }), 422, 'agent'],
      ['an agent of another organization', () => ({ agent: others.far }), 422, 'agent'],
      ['an agent that it may not come to', () => ({ agent: stranger.id }), 422, 'agent'],
      ['itself', () => ({ agent: a.id }), 422, 'agent'],
      ['an instance that is not there', () => ({ agent: undefined, instance: never('ins') }), 422, 'instance'],
      ['a resource that is not there', () => on({ resource: 'https://nobody.example' }), 422, 'resources[0].resource'],
      ['a scope that the API has not', () => on({ scope: 'sell' }), 422, 'resources[0].scope'],
      [
        'a greater detail',
        () => on({ authorization_details: [{ type: 'payment', amount: 101 }] }),
        422,
        'resources[0].authorization_details',
      ],
      ['another country', () => ({ context: { country: ['FR'] } }), 422, 'context.country'],
      ['more uses', () => ({ limits: { uses: 6 } }), 422, 'limits.uses'],
      [
        'a greater amount',
        () => ({ limits: { amounts: [{ type: 'payment', amount: '/amount', total: 501 }] } }),
        422,
        'limits.amounts[0]',
      ],
      ['the same depth', () => ({ passing: { depth: 2 } }), 422, 'passing.depth'],
      ['to more', () => ({ passing: { depth: 1, to: [b.id, c.id, stranger.id] } }), 422, 'passing.to'],
      ['to somebody elsewhere', () => ({ passing: { depth: 1, to: [others.far] } }), 422, 'passing.to[0]'],
      ['a later end', () => ({ expires_in: 86_400 }), 422, 'expires_in'],
      ['a task that is not there', () => ({ task: { id: never('tsk') } }), 422, 'task.id'],
    ];
    for (const [what, change, status, field] of rejections) {
      test(`${what}: ${status} ${field}`, async () => {
        const reply = await a.call('POST', '/mandates', { ...good(), ...change() });
        assert.equal(reply.status, status, reply.text);
        assert.equal(reply.body.errors[0].field, field, reply.text);
        assert.match(reply.headers.get('content-type') ?? '', /^application\/problem\+json/);
      });
    }

    test('none of it was passed on, and what was decided on is on record without what was sent', async () => {
      const { items } = await server.admin<{ items: unknown[] }>('GET', `/mandates?parent=${mandate}`);
      assert.equal(items.length, 1);
      const { items: events } = await server.admin<{ items: object[] }>(
        'GET',
        `/events?agent=${a.id}&type=mandate.refused&limit=200`,
      );
      assert.equal(events.length, rejections.filter(([, , status]) => status === 422).length);
      assert.ok(!JSON.stringify(events).includes('nobody.example'));
    });

    test('what all of it was measured by is good', async () => {
      await a.pass(mandate, { agent: b.id, task: { id: others.task }, passing: { depth: 1, to: [c.id] } });
    });

    test('nobody stands in a line twice', async () => {
      const first = await a.pass(mandate, { agent: b.id, passing: { depth: 1 } });
      const reply = await b.call('POST', '/mandates', { parent: first.id, agent: a.id });
      assert.deepEqual([reply.status, reply.body.errors[0].field], [422, 'agent'], reply.text);
    });

    test('nothing is told of APIs that the mandate is not for', async () => {
      const { anotherApi, agent } = await exchangeScene(server);
      const other = await anotherApi();
      const knowing = await agent([scene.api, other]);
      const { id } = await scene.give(a);
      const told = new Set<string>();
      for (const to of [knowing.clientId, b.id]) {
        for (const resource of [other.id, other.identifier, 'https://nobody.example']) {
          for (const scope of ['read', 'nonsense']) {
            const reply = await a.call('POST', '/mandates', {
              parent: id,
              agent: to,
              resources: [{ resource, scope }],
            });
            assert.equal(reply.status, 422, reply.text);
            told.add(JSON.stringify(reply.body.errors));
          }
        }
      }
      const message = `must be among those that mandate ${id} is for`;
      assert.deepEqual([...told], [JSON.stringify([{ field: 'resources[0].resource', message }])]);
    });

    test('queries that are none, and methods that are not offered', async () => {
      assert.equal((await a.call('GET', '/mandates?limit=0')).status, 400);
      assert.equal((await a.call('GET', '/mandates?cursor=x')).status, 400);
      assert.equal((await a.call('GET', '/mandates?agent=x')).status, 400);
      assert.equal((await a.call('GET', `/mandates?parent=${never('mdt')}`)).status, 404);
      for (const id of [never('mdt'), 'mdt_%00', 'x']) {
        assert.equal((await a.call('GET', `/mandates/${id}`)).status, 404);
        assert.equal((await a.call('DELETE', `/mandates/${id}`)).status, 404);
      }
      assert.equal((await a.call('PATCH', `/mandates/${mandate}`, {})).status, 405);
      assert.equal((await a.call('PUT', '/mandates', {})).status, 405);
    });

    test('whoever has no token, or one without the scope', async () => {
      const url = `${server.address}/mandates`;
      assert.equal((await fetch(url)).status, 401);
      const orchestrator = await orchestratorClient(server);
      const refused = await orchestrator.call('POST', '/mandates', good());
      assert.equal(refused.status, 403, refused.text);
      assert.match(refused.headers.get('www-authenticate') ?? '', /insufficient_scope.*mandates:pass/);
    });

    test('a mandate of one running copy is nothing to the others, and comes to its children alone', async () => {
      const own = { resources: undefined, expires_in: 3600 };
      const [first, other] = [await a.instances.instance(), await a.instances.instance()];
      const child = await childOf(first);
      const { id } = await a.pass(mandate, { instance: first.id, passing: { depth: 1 }, expires_in: 3600 });
      const statuses = [];
      for (const by of [first, child, other])
        statuses.push((await a.call('GET', `/mandates/${id}`, undefined, { by })).status);
      assert.deepEqual(statuses, [200, 200, 200], 'all may use the one above, so all see what came of it');
      for (const [by, status] of [
        [first, 201],
        [child, 201],
        [other, 422],
        [a.client, 422],
      ] as const) {
        const reply = await a.call('POST', '/mandates', { ...own, parent: id, agent: b.id }, { by });
        assert.equal(reply.status, status, reply.text);
      }
      for (const [to, status] of [
        [child.id, 201],
        [first.id, 422],
        [other.id, 422],
      ] as const) {
        const reply = await a.call('POST', '/mandates', { ...own, parent: id, instance: to }, { by: first });
        assert.equal(reply.status, status, reply.text);
      }
      const held = await a.call('GET', '/mandates', undefined, { by: other });
      assert.ok(!held.body.items.some((each: { id: string }) => each.id === id));
      const root = (await scene.give(a, { instance: first.id })).id;
      assert.equal((await a.call('GET', `/mandates/${root}`, undefined, { by: other })).status, 404);
      assert.equal((await a.call('DELETE', `/mandates/${root}`, undefined, { by: other })).status, 404);
      assert.equal((await a.call('DELETE', `/mandates/${root}`, undefined, { by: child })).status, 204);
    });

    test('a copy that was given less than its agent may passes on no more than that, and ends only what came of it', async () => {
      await server.admin('PATCH', `/agents/${a.id}`, {
        resources: [
          { resource: scene.api.id, default: true, scope: [] },
          { resource: server.issuer, default: false, scope: ['mandates:pass'] },
        ],
      });
      const permissions = [{ resource: server.issuer, scopes: ['mandates:pass'] }];
      const role = await server.admin<{ id: string }>('POST', '/roles', { name: 'passes', permissions });
      await server.admin('PUT', `/agents/${a.id}/roles/${role.id}`);
      const parent = await a.instances.instance();
      const allowed = [
        { resource: scene.api.identifier, scope: 'read' },
        { resource: server.issuer, scope: 'mandates:pass' },
      ];
      const child = await childOf(parent, { allowed });
      const { resources } = await a.pass(mandate, { agent: b.id }, child);
      assert.deepEqual(resources, [{ resource: scene.api.identifier, scope: 'read' }]);
      const held = await scene.give(a);
      const ofParent = await a.pass(held.id, { agent: b.id }, parent);
      const ofChild = await a.pass(held.id, { agent: b.id, passing: { depth: 1 } }, child);
      const below = await b.pass(ofChild.id, { agent: c.id });
      for (const [id, status] of [
        [held.id, 403],
        [ofParent.id, 403],
        [below.id, 204],
        [ofChild.id, 204],
      ] as const) {
        assert.equal((await a.call('DELETE', `/mandates/${id}`, undefined, { by: child })).status, status);
      }
      assert.equal((await a.call('DELETE', `/mandates/${ofParent.id}`, undefined, { by: parent })).status, 204);
      const wanted = { ...good(), ...on({ scope: 'book' }) };
      const reply = await a.call('POST', '/mandates', wanted, { by: child });
      assert.equal(reply.status, 422, reply.text);
      assert.match(reply.body.detail, new RegExp(`resources\\[0\\]\\.scope is more than instance ${child.id} allows`));
    });

    async function childOf(parent: TestInstance, body: Record<string, unknown> = {}): Promise<TestInstance> {
      const { status, body: answer, id, signer } = await a.instances.child(parent, body);
      assert.equal(status, 201, JSON.stringify(answer));
      return { id, signer, answer };
    }
  });
}
