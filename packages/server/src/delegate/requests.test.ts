/** An agent asks another for a part of a mandate, and is granted it or not. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { actorsOf, parseCompact } from '@bailiwick/protocol';
import { tidy } from '../jobs.ts';
import { type Delegate, type Delegates, delegates, type ShownMandate } from '../testing/delegates.ts';
import { exchanged } from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import type { TestInstance } from '../testing/instance-client.ts';

type Events = { items: (Record<string, unknown> & { personal?: Record<string, unknown> })[] };

for (const database of databases) {
  describe(`requests for mandates, on ${database}`, () => {
    let server: TestServer;
    let scene: Delegates;
    let a: Delegate;
    let b: Delegate;
    let c: Delegate;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await delegates(server, 3);
      [a, b, c] = scene.agents as [Delegate, Delegate, Delegate];
    });
    after(() => server.close());

    const reading = () => ({ resources: [{ resource: scene.api.identifier, scope: 'read' }] });
    const requests = '/mandates/requests';

    /** What `b` asks of `a`, unless others are named. */
    async function ask(more: object = {}, { asker = b, by }: { asker?: Delegate; by?: TestInstance } = {}) {
      const body = { from: a.id, ...reading(), ...more };
      const reply = await asker.call('POST', requests, body, by && { by });
      assert.equal(reply.status, 201, reply.text);
      return reply.body as ShownMandate & { from: string; answer_by: string };
    }
    const grant = (id: string, body?: object, by?: TestInstance) =>
      a.call('POST', `${requests}/${id}/grant`, body, by && { by });
    const statusOf = async (id: string) => (await b.call('GET', `${requests}/${id}`)).body.status;
    const idsIn = ({ body }: { body: { items: { id: string }[] } }) => body.items.map(({ id }) => id);

    async function granted(id: string, body: object, by?: TestInstance): Promise<ShownMandate> {
      const reply = await grant(id, body, by);
      assert.equal(reply.status, 201, reply.text);
      return reply.body;
    }

    test('asked, seen by both and nobody else, granted as it was asked for, and used: no token went from one to the other', async () => {
      const held = await scene.give(a);
      const request = await ask({ why: 'to look up trips', limits: { uses: 3 }, expires_in: 900 });
      const now = server.clock.now();
      assert.deepEqual(request, {
        id: request.id,
        organization: held.organization,
        agent: b.id,
        from: a.id,
        ...reading(),
        limits: { uses: 3 },
        expires_in: 900,
        why: 'to look up trips',
        status: 'pending',
        created_at: new Date(now).toISOString(),
        answer_by: new Date(now + 600_000).toISOString(),
      });
      assert.deepEqual((await a.call('GET', requests)).body, { items: [request] });
      assert.deepEqual((await b.call('GET', requests)).body, { items: [] });
      assert.deepEqual((await b.call('GET', `${requests}?side=asking`)).body, { items: [request] });
      for (const [who, status] of [
        [a, 200],
        [b, 200],
        [c, 404],
      ] as const) {
        const reply = await who.call('GET', `${requests}/${request.id}`);
        assert.equal(reply.status, status, reply.text);
      }
      const reply = await grant(request.id, { parent: held.id });
      assert.equal(reply.status, 201, reply.text);
      const { id, agent, parent, person, resources, limits, passing, expires_at, given } = reply.body;
      assert.equal(reply.headers.get('location'), `${server.issuer}/mandates/${id}`);
      assert.deepEqual([agent, parent, person], [b.id, held.id, scene.person]);
      assert.deepEqual({ resources, limits, passing }, { ...reading(), limits: { uses: 3 }, passing: { depth: 0 } });
      assert.equal(expires_at, new Date(now + 900_000).toISOString());
      assert.deepEqual(given, { way: 'passed_on', by: a.id });
      const seen = await b.call('GET', `${requests}/${request.id}`);
      const answered = { status: 'granted', mandate: id, answered_at: new Date(server.clock.now()).toISOString() };
      assert.deepEqual(seen.body, { ...request, ...answered });
      assert.deepEqual((await a.call('GET', requests)).body, { items: [] });
      assert.deepEqual(idsIn(await b.call('GET', `${requests}?side=asking&status=granted`)), [request.id]);
      assert.deepEqual(idsIn(await a.call('GET', `${requests}?status=granted`)), [request.id]);
      const { token } = await exchanged(b.client, id);
      const { sub, act } = parseCompact(token).payload;
      assert.deepEqual([sub, actorsOf(act).length], [scene.person, 2]);
    });

    test('whoever asks may say of which mandate, and whoever grants may name another', async () => {
      const [held, other] = [await scene.give(a), await scene.give(a)];
      const unnamed = await grant((await ask()).id);
      assert.deepEqual([unnamed.status, unnamed.body.errors[0].field], [422, 'parent'], unnamed.text);
      assert.equal((await granted((await ask({ parent: held.id })).id, {})).parent, held.id);
      assert.equal((await granted((await ask({ parent: held.id })).id, { parent: other.id })).parent, other.id);
    });

    test('less is granted than was asked for, never more', async () => {
      const held = await scene.give(a, { passing: { depth: 3 }, limits: { uses: 10 } });
      const wanted = {
        resources: [{ resource: scene.api.identifier, scope: 'book read' }],
        context: { country: ['AT', 'DE'] },
        limits: { uses: 5 },
        passing: { depth: 1 },
        expires_in: 900,
      };
      const { id } = await ask({ parent: held.id, ...wanted });
      for (const [more, field] of [
        [
          { resources: [{ resource: scene.api.identifier, authorization_details: [{ type: 'payment', amount: 1 }] }] },
          'resources[0].authorization_details',
        ],
        [{ context: { country: ['CH'] } }, 'context.country'],
        [{ limits: { uses: 6 } }, 'limits.uses'],
        [{ passing: { depth: 2 } }, 'passing.depth'],
        [{ expires_in: 901 }, 'expires_in'],
      ] as const) {
        const reply = await grant(id, more);
        assert.deepEqual([reply.status, reply.body.errors?.[0].field], [422, field], reply.text);
        assert.match(reply.body.detail, new RegExp(`is more than request ${id} allows`));
      }
      const less = { ...reading(), context: { country: ['AT'] }, limits: { uses: 2 }, passing: { depth: 0 } };
      const given = await granted(id, { ...less, expires_in: 60 });
      const { resources, context, limits, passing, expires_at } = given;
      assert.deepEqual({ resources, context, limits, passing }, less);
      assert.equal(expires_at, new Date(server.clock.now() + 60_000).toISOString());
    });

    test('what is left out when granting is as it was asked for; what was not asked for in particular is all that there is', async () => {
      const held = await scene.give(a, { context: { country: ['AT', 'DE'] }, limits: { uses: 10 } });
      const { id } = await ask({ parent: held.id, context: { ip: ['192.0.2.0/24'] } });
      const given = await granted(id, { limits: { uses: 4 } });
      assert.deepEqual(given.context, { ip: ['192.0.2.0/24'], country: ['AT', 'DE'] });
      assert.deepEqual([given.limits, given.expires_at], [{ uses: 4 }, held.expires_at]);
    });

    test('what the mandate does not allow is refused in its name, and can be granted for less then', async () => {
      const held = await scene.give(a, reading());
      const { id } = await ask({ resources: [{ resource: scene.api.identifier, scope: 'book read' }] });
      const reply = await grant(id, { parent: held.id });
      assert.deepEqual([reply.status, reply.body.errors[0].field], [422, 'resources[0].scope'], reply.text);
      assert.match(reply.body.detail, new RegExp(`is more than mandate ${held.id} allows on this resource: book`));
      await granted(id, { parent: held.id, ...reading() });
    });

    test('an API and a scope that are not there can be asked for, and what is there granted of it', async () => {
      const held = await scene.give(a);
      const nobodys = { resource: 'https://nobody.example', scope: 'read' };
      const { id } = await ask({ resources: [nobodys, { resource: scene.api.identifier, scope: 'read sell' }] });
      const reply = await grant(id, { parent: held.id });
      assert.deepEqual([reply.status, reply.body.errors[0].field], [422, 'resources[0].resource'], reply.text);
      assert.deepEqual((await granted(id, { parent: held.id, ...reading() })).resources, reading().resources);
    });

    test('what a running copy asks for is for that one alone', async () => {
      const held = await scene.give(a);
      const [copy, other] = [await b.instances.instance(), await b.instances.instance()];
      const request = await ask({ parent: held.id }, { by: copy });
      assert.equal(request.instance, copy.id);
      for (const [by, status] of [
        [copy, 200],
        [other, 404],
        [b.client, 404],
      ] as const) {
        assert.equal((await b.call('GET', `${requests}/${request.id}`, undefined, { by })).status, status);
      }
      const given = await granted(request.id, {});
      assert.deepEqual([given.agent, given.instance], [b.id, copy.id]);
    });

    test('a child asks the copies of its own agent, and none grants anything to itself', async () => {
      const held = await scene.give(a);
      const parent = await a.instances.instance();
      const made = await a.instances.child(parent);
      const child: TestInstance = { id: made.id, signer: made.signer, answer: {} };
      const { id } = await ask({ parent: held.id }, { asker: a, by: child });
      const own = await grant(id, {}, child);
      assert.deepEqual([own.status, own.body.errors[0].field], [422, 'instance'], own.text);
      assert.equal((await granted(id, {}, parent)).instance, child.id);
    });

    test('refused, with a reason; withdrawn; each once, and neither can be granted any more', async () => {
      const held = await scene.give(a);
      const refused = await ask({ parent: held.id });
      for (let times = 0; times < 2; times++) {
        const reply = await a.call('POST', `${requests}/${refused.id}/refuse`, { reason: 'not today' });
        assert.deepEqual([reply.status, reply.body.status, reply.body.reason], [200, 'refused', 'not today']);
      }
      const told = await b.call('GET', `${requests}/${refused.id}`);
      assert.deepEqual([told.body.status, told.body.reason], ['refused', 'not today']);
      assert.equal((await b.call('DELETE', `${requests}/${refused.id}`)).status, 204, 'nothing is left to withdraw');
      assert.equal(await statusOf(refused.id), 'refused');
      const withdrawn = await ask({ parent: held.id });
      for (let times = 0; times < 2; times++) {
        assert.equal((await b.call('DELETE', `${requests}/${withdrawn.id}`)).status, 204);
      }
      assert.equal(await statusOf(withdrawn.id), 'withdrawn');
      assert.equal((await a.call('POST', `${requests}/${withdrawn.id}/refuse`)).status, 409);
      for (const { id } of [refused, withdrawn]) {
        const reply = await grant(id);
        assert.deepEqual([reply.status, reply.body.errors[0].field], [409, 'request'], reply.text);
      }
      const used = await ask({ parent: held.id });
      await granted(used.id, {});
      for (const reply of [
        await grant(used.id),
        await a.call('POST', `${requests}/${used.id}/refuse`),
        await b.call('DELETE', `${requests}/${used.id}`),
      ]) {
        assert.equal(reply.status, 409, reply.text);
        assert.match(reply.body.detail, /is granted/);
      }
    });

    test('its time is up after ten minutes, or when it says; a day later it is forgotten', async () => {
      const held = await scene.give(a, { expires_in: 400_000 });
      const [usual, short] = [await ask({ parent: held.id }), await ask({ parent: held.id, answer_within: 30 })];
      server.clock.advance(30_000);
      assert.deepEqual([await statusOf(usual.id), await statusOf(short.id)], ['pending', 'expired']);
      assert.equal((await grant(short.id)).status, 409);
      assert.deepEqual(idsIn(await b.call('GET', `${requests}?side=asking&status=expired`)), [short.id]);
      server.clock.advance(570_000);
      assert.equal(await statusOf(usual.id), 'expired');
      server.clock.advance(86_400_001);
      await tidy(server.deps);
      assert.equal((await b.call('GET', `${requests}/${usual.id}`)).status, 404);
    });

    for (const [what, stop] of [
      ['the agent that asks', async () => suspended(b)],
      ['the agent that is asked', async () => suspended(a)],
      ['the copy that asks', async (copy: TestInstance) => server.admin('DELETE', `/instances/${copy.id}`)],
    ] as const) {
      test(`${what} is stopped: nobody can grant it any more, not even once that one is resumed`, async () => {
        const held = await scene.give(a);
        const copy = await b.instances.instance();
        const { id } = await ask({ parent: held.id, answer_within: 3600 }, { by: copy });
        await stop(copy);
        const reply = await grant(id);
        assert.deepEqual(
          [reply.status, reply.body.detail],
          [409, 'request is stopped: only one that is pending can be granted'],
        );
        assert.deepEqual(idsIn(await a.call('GET', requests)), []);
        assert.deepEqual(idsIn(await a.call('GET', `${requests}?status=stopped`)).includes(id), true);
      });
    }
    async function suspended({ id }: Delegate) {
      await server.admin('POST', `/agents/${id}/suspend`, { reason: 'test' });
      await server.admin('POST', `/agents/${id}/resume`);
      server.clock.advance(601_000); // the tokens that it had are dead: others are got
    }

    test('sent twice under one key it is asked, or granted, once', async () => {
      const held = await scene.give(a);
      const options = { headers: { 'idempotency-key': 'asked once' } };
      const body = { from: a.id, parent: held.id, ...reading() };
      const asked = await Promise.all(Array.from({ length: 5 }, () => b.call('POST', requests, body, options)));
      assert.deepEqual([...new Set(asked.map(({ status }) => status))], [201]);
      assert.equal(new Set(asked.map(({ body }) => body.id)).size, 1);
      const url = `${requests}/${asked[0]?.body.id}/grant`;
      const first = await a.call('POST', url, {}, options);
      const again = await a.call('POST', url, {}, options);
      assert.deepEqual([first.status, again.status], [201, 201], again.text);
      assert.equal(again.body.id, first.body.id);
    });

    test('all of it is on record: what was asked for is sealed, and forgotten with the person who stood behind it', async () => {
      const { id: person } = await server.admin<{ id: string }>('POST', '/people', { name: 'somebody' });
      const held = await scene.give(a, { person });
      const request = await ask({ parent: held.id, why: 'for somebody in particular' });
      const given = await granted(request.id, {});
      const refused = await ask({ parent: held.id });
      await a.call('POST', `${requests}/${refused.id}/refuse`, { reason: 'not for somebody' });
      const withdrawn = await ask();
      await b.call('DELETE', `${requests}/${withdrawn.id}`);
      for (const [{ id }, types] of [
        [request, ['mandate.requested']],
        [refused, ['mandate.request_refused', 'mandate.requested']],
        [withdrawn, ['mandate.request_withdrawn', 'mandate.requested']],
      ] as const) {
        const { items } = await server.admin<Events>('GET', `/events?target=${id}`);
        assert.deepEqual(items.map(({ type }) => type).sort(), types);
        for (const { personal: _, ...open } of items) assert.ok(!JSON.stringify(open).includes('somebody'));
      }
      const { items } = await server.admin<Events>('GET', `/events?target=${given.id}`);
      const [event] = items as [Events['items'][number]];
      assert.equal((event.decided_on as { changed: { request: string } }).changed.request, request.id);
      await server.admin('DELETE', `/people/${person}`);
      const { body } = await b.call('GET', `${requests}/${request.id}`);
      assert.deepEqual([body.status, body.why, body.resources], ['granted', undefined, undefined]);
    });
  });
}
