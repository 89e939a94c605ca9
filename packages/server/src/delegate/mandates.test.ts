/** Mandates over HTTP, for agents: seen, passed on, ended, and what that does below. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Delegate, type Delegates, delegates } from '../testing/delegates.ts';
import { exchanged } from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

type Events = { items: (Record<string, unknown> & { personal?: Record<string, unknown> })[] };

for (const database of databases) {
  describe(`mandates of agents, on ${database}`, () => {
    let server: TestServer;
    let scene: Delegates;
    let [a, b, c]: Delegate[] = [];
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await delegates(server, 3);
      [a, b, c] = scene.agents;
    });
    after(() => server.close());
    const all = () => [a, b, c] as [Delegate, Delegate, Delegate];
    const idsOf = (reply: { body: { items: { id: string }[] } }) => reply.body.items.map(({ id }) => id);

    test('what an agent holds, and what came of it', async () => {
      const [a, b, c] = all();
      const mandate = await scene.give(a);
      const held = await a.call('GET', '/mandates');
      assert.ok(idsOf(held).includes(mandate.id), held.text);
      const seen = await a.call('GET', `/mandates/${mandate.id}`);
      assert.equal(seen.status, 200, seen.text);
      assert.deepEqual(seen.body, await server.admin('GET', `/mandates/${mandate.id}`), 'as administrators see it');
      const below = await a.pass(mandate.id, { agent: b.id, passing: { depth: 1 } });
      const leaf = await b.pass(below.id, { agent: c.id });
      for (const [agent, sees] of [
        [a, [200, 200, 200]],
        [b, [404, 200, 200]],
        [c, [404, 404, 200]],
      ] as const) {
        const replies = [];
        for (const { id } of [mandate, below, leaf]) replies.push((await agent.call('GET', `/mandates/${id}`)).status);
        assert.deepEqual(replies, sees);
      }
      assert.deepEqual(idsOf(await a.call('GET', `/mandates?parent=${mandate.id}`)), [below.id]);
      assert.deepEqual(idsOf(await a.call('GET', `/mandates?parent=${below.id}`)), [leaf.id]);
      assert.equal((await c.call('GET', `/mandates?parent=${below.id}`)).status, 404);
      assert.deepEqual(idsOf(await c.call('GET', '/mandates')), [leaf.id]);
    });

    test('a part is passed on: what is named, and of the rest all that there is, but not to be passed on again', async () => {
      const [a, b] = all();
      const mandate = await scene.give(a, {
        context: { country: ['AT', 'DE'] },
        limits: { uses: 10, amounts: [{ type: 'payment', amount: '/amount', total: 500 }] },
        passing: { depth: 2, to: [b.id] },
      });
      const reply = await a.call('POST', '/mandates', {
        parent: mandate.id,
        agent: b.id,
        resources: [{ resource: scene.api.identifier, scope: 'read' }],
        task: { workflow: 'travel' },
        limits: { uses: 3 },
        expires_in: 600,
      });
      assert.equal(reply.status, 201, reply.text);
      assert.equal(reply.headers.get('location'), `${server.issuer}/mandates/${reply.body.id}`);
      const now = server.clock.now();
      assert.deepEqual(reply.body, {
        id: reply.body.id,
        organization: mandate.organization,
        person: scene.person,
        agent: b.id,
        parent: mandate.id,
        resources: [{ resource: scene.api.identifier, scope: 'read' }],
        context: { country: ['AT', 'DE'] },
        task: { workflow: 'travel' },
        limits: { uses: 3, amounts: [{ type: 'payment', amount: '/amount', total: 500 }] },
        passing: { depth: 0, to: [b.id] },
        given: { way: 'passed_on', by: a.id },
        status: 'active',
        ledger: [
          { counter: 'amount:0', spent: 0, most: 500 },
          { counter: 'uses', spent: 0, most: 3 },
        ],
        created_at: new Date(now).toISOString(),
        expires_at: new Date(now + 600_000).toISOString(),
      });
      const whole = await a.pass(mandate.id, { agent: b.id });
      assert.equal((whole.resources as { scope: string }[])[0]?.scope, 'book read');
      assert.equal(whole.expires_at, mandate.expires_at);
    });

    test('ended by whoever it came from, or given up: with all below, and nothing beside', async () => {
      const [a, b, c] = all();
      const mandate = await scene.give(a);
      const first = await a.pass(mandate.id, { agent: b.id, passing: { depth: 1 } });
      const leaf = await b.pass(first.id, { agent: c.id });
      const beside = await a.pass(mandate.id, { agent: b.id });
      const standing = async () => {
        const all = [];
        for (const { id } of [mandate, first, leaf, beside]) {
          const { status, stopped_by } = (await a.call('GET', `/mandates/${id}`)).body;
          all.push([status, stopped_by]);
        }
        return all;
      };
      assert.equal((await c.call('DELETE', `/mandates/${first.id}`)).status, 404);
      assert.equal((await b.call('DELETE', `/mandates/${mandate.id}`)).status, 404);
      assert.equal((await a.call('DELETE', `/mandates/${first.id}`)).status, 204);
      assert.equal((await a.call('DELETE', `/mandates/${first.id}`)).status, 204, 'again changes nothing');
      assert.deepEqual(await standing(), [
        ['active', undefined],
        ['ended', undefined],
        ['stopped', first.id],
        ['active', undefined],
      ]);
      assert.ok(!idsOf(await b.call('GET', '/mandates')).includes(first.id));
      assert.equal((await b.call('DELETE', `/mandates/${beside.id}`)).status, 204, 'given up');
      assert.equal((await standing()).at(-1)?.[0], 'ended');
      const late = await b.call('POST', '/mandates', { parent: first.id, agent: c.id });
      assert.deepEqual([late.status, late.body.errors[0].field], [422, 'parent']);
      assert.match(late.body.detail, new RegExp(`${first.id} is stopped or over`));
    });

    test('who passed what to whom is on record, the person sealed; and so is its end, and what was refused', async () => {
      const [a, b, c] = all();
      const mandate = await scene.give(a);
      const passed = await a.pass(mandate.id, { agent: b.id });
      await a.call('DELETE', `/mandates/${passed.id}`);
      const { items } = await server.admin<Events>('GET', `/events?target=${passed.id}`);
      assert.deepEqual(items.map(({ type }) => type).sort(), ['mandate.ended', 'mandate.given']);
      for (const { personal, ...open } of items) {
        assert.equal(open.agent, a.id);
        assert.equal(personal?.person, scene.person);
        assert.ok(!JSON.stringify(open).includes(scene.person));
      }
      const given = items.find(({ type }) => type === 'mandate.given');
      assert.ok(given);
      const { changed } = given.decided_on as { changed: Record<string, unknown> };
      assert.deepEqual([changed.way, changed.parent, changed.agent], ['passed_on', mandate.id, b.id]);
      assert.equal((await b.call('POST', '/mandates', { parent: passed.id, agent: c.id })).status, 422);
      const refused = await server.admin<Events>('GET', `/events?agent=${b.id}&type=mandate.refused`);
      assert.match(String(refused.items.at(0)?.reason), /^invalid parent$/);
    });

    test('what an administrator pauses can not be passed on until it is resumed; what was passed on flows again', async () => {
      const [a, b, c] = all();
      const mandate = await scene.give(a);
      const below = await a.pass(mandate.id, { agent: b.id, passing: { depth: 1 } });
      await server.admin('POST', `/mandates/${mandate.id}/pause`, { reason: 'test' });
      for (const [agent, parent, to] of [
        [a, mandate, c],
        [b, below, c],
      ] as const) {
        const reply = await agent.call('POST', '/mandates', { parent: parent.id, agent: to.id });
        assert.equal(reply.status, 422, reply.text);
        assert.match(reply.body.detail, new RegExp(`${mandate.id} is stopped or over`));
      }
      await server.admin('POST', `/mandates/${mandate.id}/resume`);
      await b.pass(below.id, { agent: c.id });
    });

    test('what was narrowed above since bounds what is passed on below', async () => {
      const [a, b, c] = all();
      const mandate = await scene.give(a);
      const below = await a.pass(mandate.id, { agent: b.id, passing: { depth: 2 } });
      await server.admin('PATCH', `/mandates/${mandate.id}`, {
        resources: [{ resource: scene.api.identifier, scope: 'read' }],
      });
      const leaf = await b.pass(below.id, { agent: c.id });
      assert.deepEqual(leaf.resources, [{ resource: scene.api.identifier, scope: 'read' }]);
      const named = { parent: below.id, agent: c.id, resources: [{ resource: scene.api.identifier, scope: 'book' }] };
      const beyond = await b.call('POST', '/mandates', named);
      assert.equal(beyond.status, 422, beyond.text);
      assert.match(
        beyond.body.detail,
        new RegExp(`resources\\[0\\]\\.scope is more than mandate ${mandate.id} allows`),
      );
    });

    test('what was spent is passed on no more', async () => {
      const [a, b] = all();
      const amounts = [{ type: 'payment', amount: '/amount', total: 500 }];
      const mandate = await scene.give(a, { limits: { uses: 5, amounts } });
      const payment = JSON.stringify([{ type: 'payment', amount: 40.1, currency: 'EUR' }]);
      await exchanged(a.client, mandate.id, { authorization_details: payment });
      await exchanged(a.client, mandate.id, { scope: 'read' });
      const named = { parent: mandate.id, agent: b.id, limits: { uses: 4 } };
      const beyond = await a.call('POST', '/mandates', named);
      assert.equal(beyond.status, 422, beyond.text);
      assert.match(beyond.body.detail, /limits\.uses is more than mandate \w+ allows: 3 are left/);
      const { limits } = await a.pass(mandate.id, { agent: b.id });
      assert.deepEqual(limits, { uses: 3, amounts: [{ ...amounts[0], total: 459.9 }] });
    });

    test('asked for twice under one key, it is passed on once, and the key is for that request alone', async () => {
      const [a, b] = all();
      const mandate = await scene.give(a);
      const options = { headers: { 'idempotency-key': 'once' } };
      const wanted = { parent: mandate.id, agent: b.id };
      const replies = await Promise.all(Array.from({ length: 8 }, () => a.call('POST', '/mandates', wanted, options)));
      assert.deepEqual([...new Set(replies.map(({ status }) => status))], [201]);
      assert.equal(new Set(replies.map(({ body }) => body.id)).size, 1);
      assert.equal(idsOf(await a.call('GET', `/mandates?parent=${mandate.id}`)).length, 1);
      const other = await a.call('POST', '/mandates', { ...wanted, expires_in: 60 }, options);
      assert.equal(other.status, 422, other.text);
    });

    test('a page at a time', async () => {
      const [a, b] = all();
      const mandate = await scene.give(a);
      const made: string[] = [];
      for (let n = 0; n < 5; n++) made.push((await a.pass(mandate.id, { agent: b.id })).id);
      const seen: string[] = [];
      for (let cursor = ''; ; ) {
        const { body } = await a.call('GET', `/mandates?parent=${mandate.id}&limit=2${cursor}`);
        seen.push(...body.items.map(({ id }: { id: string }) => id));
        if (body.next_cursor === undefined) break;
        cursor = `&cursor=${body.next_cursor}`;
      }
      assert.deepEqual(seen, made);
    });
  });
}
