/** Ways around what bounds an exchange, each of which was open once. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setSubjectEnd } from '../liveness/liveness.ts';
import {
  accessTokenType,
  type ExchangeScene,
  exchanged,
  exchangeOf,
  exchangeScene,
  type SharedApi,
} from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import type { TokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`no way around what bounds an exchange, on ${database}`, () => {
    let server: TestServer;
    let scene: ExchangeScene;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await exchangeScene(server);
    });
    after(() => server.close());

    type Form = Record<string, string>;
    /** A token that a client gets for itself. */
    const ownToken = async (client: Pick<TokenClient, 'send'>, form: Form): Promise<string> => {
      const { status, body } = await client.send({ grant_type: 'client_credentials', ...form });
      assert.equal(status, 200, JSON.stringify(body));
      return String(body.access_token);
    };
    const refused = async (client: Pick<TokenClient, 'send'>, form: Form, error: string): Promise<string> => {
      const { status, body } = await client.send(form);
      assert.deepEqual([status, body.error], [400, error], JSON.stringify(body));
      return String(body.error_description);
    };

    test('a chain comes to one API of an audience: its token would pass at the others that it came through', async () => {
      const token = { audience: 'https://shared.example/all' };
      const [first, second] = [await scene.anotherApi({ token }), await scene.anotherApi({ token })];
      const between = await scene.anotherApi();
      const caller = await scene.agent([first, between, second]);
      const next = await scene.agent([first, between, second]);
      const own = await ownToken(caller, { resource: first.identifier, scope: 'read', may_act: next.clientId });
      const toSecond = (subject: string) => exchangeOf(subject, { resource: second.identifier, scope: 'read' });
      assert.match(await refused(next, toSecond(own), 'invalid_target'), /another API of the same audience/);
      await refused(caller, toSecond(own), 'invalid_target');
      // nor by way of another
      const mandate = await scene.give(caller, {
        passing: { depth: 4 },
        resources: [first, between, second].map(({ identifier }) => ({ resource: identifier, scope: 'read' })),
      });
      const { token: there } = await exchanged(caller, mandate, {
        resource: first.identifier,
        scope: 'read',
        may_act: next.clientId,
      });
      const { token: on } = await exchanged(next, there, { resource: between.identifier, scope: 'read' });
      await refused(next, toSecond(on), 'invalid_target');
      assert.equal((await exchanged(next, there, { scope: 'read' })).claims.scope, 'read');
    });

    describe('an instance that was given less than its agent', () => {
      /** A child that may read at the first API alone, and an agent that may act in its name. */
      const world = async () => {
        const [first, second] = [await scene.anotherApi(), await scene.anotherApi()];
        const agent = await scene.agent([first, second], { instances: { depth: 1 } });
        const next = await scene.agent([first, second]);
        const instances = instanceClient(server, agent);
        const parent = await instances.instance();
        const child = async (allowed: { resource: string; scope: string }[]) => {
          const { signer } = await instances.child(parent, { allowed });
          return { send: (form: Form) => instances.tokenOf({ id: '', signer }, form) };
        };
        const readsFirst = { resource: first.identifier, scope: 'read' };
        const atFirst = { ...readsFirst, may_act: next.clientId };
        const atSecond = { resource: second.identifier };
        return { first, second, agent, next, child, readsFirst, atFirst, atSecond };
      };

      test('lets nobody do more in its name on another API', async () => {
        const { second, next, child, readsFirst, atFirst, atSecond } = await world();
        const own = await ownToken(await child([readsFirst]), atFirst);
        const form = exchangeOf(own, { ...atSecond, scope: 'read' });
        assert.match(await refused(next, form, 'invalid_scope'), /instance does not allow read/);
        await refused(next, exchangeOf(own, atSecond), 'invalid_scope');
        const wider = await child([readsFirst, { resource: second.identifier, scope: 'read' }]);
        const { claims } = await exchanged(next, await ownToken(wider, atFirst), atSecond);
        assert.equal(claims.scope, 'read');
      });

      test('nor on a mandate of its agent', async () => {
        const { first, second, agent, next, child, readsFirst, atFirst, atSecond } = await world();
        const mandate = await scene.give(agent, {
          passing: { depth: 2 },
          resources: [
            { resource: first.identifier, scope: 'read' },
            { resource: second.identifier, scope: 'read' },
          ],
        });
        const sent = await (await child([readsFirst])).send(exchangeOf(mandate, atFirst));
        assert.equal(sent.status, 200, JSON.stringify(sent.body));
        await refused(
          next,
          exchangeOf(String(sent.body.access_token), { ...atSecond, scope: 'read' }),
          'invalid_scope',
        );
        const unrestricted = await exchanged(agent, mandate, atFirst);
        assert.equal((await exchanged(next, unrestricted.token, { ...atSecond, scope: 'read' })).claims.scope, 'read');
      });
    });

    test('a token of its own is a matter of token:issue, by exchange too', async () => {
      const [first, second] = [await scene.anotherApi(), await scene.anotherApi()];
      const agent = await scene.agent([first, second], { instances: { depth: 1 } });
      const instances = instanceClient(server, agent);
      const parent = await instances.instance();
      const { signer } = await instances.child(parent);
      const below = { send: (form: Form) => instances.tokenOf({ id: '', signer }, form) };
      const at = (api: SharedApi) => ({ resource: api.identifier, scope: 'read' });
      const { id } = await server.admin<{ id: string }>('POST', '/policies', {
        name: 'not-at-the-second',
        mode: 'enforce',
        reason: 'a test',
        text: `
          @id("not-issued") @reason("a test")
          forbid (principal, action == Action::"token:issue", resource == Api::"${second.identifier}");`,
      });
      await refused(agent, { grant_type: 'client_credentials', ...at(second) }, 'access_denied');
      await refused(agent, exchangeOf(await ownToken(agent, at(first)), at(second)), 'access_denied');
      const above = await ownToken({ send: (form) => instances.tokenOf(parent, form) }, at(first));
      await refused(below, exchangeOf(above, at(second)), 'access_denied');
      // on whose authority it is not its own, that is another matter
      const mandate = await scene.give(agent, { resources: [at(second)] });
      assert.equal((await exchanged(agent, mandate)).claims.scope, 'read');
      await server.admin('POST', `/policies/${id}/remove`, { reason: 'the test is over' });
    });

    test('what policy refused on somebody’s authority is erased with them', async () => {
      const api = await scene.anotherApi();
      const agent = await scene.agent([api]);
      const { id: person } = await server.admin<{ id: string }>('POST', '/people', {
        name: 'Yan',
        email: 'y@example.com',
      });
      const mandate = await scene.give(agent, { person, resources: [{ resource: api.identifier, scope: 'read' }] });
      const { id } = await server.admin<{ id: string }>('POST', '/policies', {
        name: 'for-nobody',
        mode: 'enforce',
        reason: 'a test',
        text: `
          @id("not-exchanged") @reason("a test")
          forbid (principal, action == Action::"token:exchange", resource == Api::"${api.identifier}");`,
      });
      await refused(agent, exchangeOf(mandate), 'access_denied');
      const told = async () => {
        const { items } = await server.admin<{ items: { personal: object }[] }>(
          'GET',
          `/events?agent=${agent.clientId}&type=token.refused`,
        );
        assert.equal(items.length, 1);
        return JSON.stringify(items).includes(person);
      };
      assert.equal(await told(), true);
      await server.admin('DELETE', `/people/${person}`);
      assert.equal(await told(), false);
      await server.admin('POST', `/policies/${id}/remove`, { reason: 'the test is over' });
    });

    test('an amount that a mandate counts is not spent by naming the operation that takes it', async () => {
      const api = await scene.anotherApi({
        operations: [
          { name: 'pay', method: 'POST', path: '/pay', scope: ['pay'], details: { type: 'payment', amount: '{*}' } },
          { name: 'look', method: 'GET', path: '/', scope: ['read'] },
        ],
      });
      const operation = (name: string) => ({ type: 'operation', actions: [name] });
      await server.admin('PATCH', `/roles/${api.role}`, {
        permissions: [{ resource: api.id, scopes: ['pay'], details: ['pay', 'look'].map(operation) }],
      });
      const agent = await scene.agent([api]);
      const open = { type: 'payment', currency: 'EUR' };
      const all = { scope: 'pay', authorization_details: [operation('pay'), operation('look'), open] };
      const resources = [{ resource: api.identifier, ...all }];
      const amounts = [{ type: 'payment', amount: '/amount', total: 10 }];
      const limited = await scene.give(agent, { resources, limits: { amounts } });
      const form = exchangeOf(limited, { authorization_details: JSON.stringify([operation('pay')]) });
      const said = await refused(agent, form, 'invalid_authorization_details');
      assert.match(said, new RegExp(`takes payment, which is counted.*${limited}`));
      const { claims, body } = await exchanged(agent, limited);
      assert.deepEqual(claims.authorization_details, [operation('look')]);
      assert.deepEqual(body.narrowed, [
        { what: 'authorization_details', value: 'operation', by: `mandate ${limited}` },
        { what: 'authorization_details', value: 'payment', by: 'request' },
      ]);
      // where nothing is counted, the operation says enough
      const free = await exchanged(agent, await scene.give(agent, { resources }));
      assert.deepEqual(free.claims.authorization_details, [operation('pay'), operation('look')]);
    });

    test('what comes of a token outlives no agent of its mandate, whatever the token says', async () => {
      const api = await scene.anotherApi();
      const [agent, service] = [await scene.agent([api]), await scene.agent([api])];
      await server.admin('PATCH', `/resources/${api.id}`, { served_by: [service.clientId] });
      const resources = [{ resource: api.identifier, scope: 'read' }];
      const mandate = await scene.give(agent, { resources, passing: { depth: 1 } });
      const { token } = await exchanged(agent, mandate);
      // set beneath: the admin API would end the token as well
      const now = server.clock.now();
      await server.deps.db.transaction((tx) => setSubjectEnd(tx, { id: agent.clientId, endsAt: now + 30_000, now }));
      const { body } = await exchanged(service, token);
      assert.deepEqual([body.expires_in, body.narrowed], [30, [{ what: 'lifetime', by: `mandate ${mandate}` }]]);
    });

    test('an agent stands in a chain once, be it by an instance', async () => {
      const api = await scene.anotherApi();
      const [first, second] = [await scene.agent([api]), await scene.agent([api])];
      await server.admin('PATCH', `/resources/${api.id}`, { served_by: [first.clientId, second.clientId] });
      const instances = instanceClient(server, first);
      const instance = await instances.instance();
      const again = { send: (form: Form) => instances.tokenOf(instance, form) };
      const resources = [{ resource: api.identifier, scope: 'read' }];
      const mandate = await scene.give(first, { resources, passing: { depth: 4 } });
      const on = await exchanged(second, (await exchanged(first, mandate)).token);
      assert.match(await refused(again, exchangeOf(on.token), 'invalid_request'), /twice/);
      // nor in front of what it let somebody do in its own name
      const own = await exchanged(second, await ownToken(first, { resource: api.identifier, scope: 'read' }));
      assert.match(await refused(again, exchangeOf(own.token), 'invalid_request'), /twice/);
    });

    test('details go on to an API where their type is the same, and to no other', async () => {
      const schema = { type: 'object', properties: { amount: { type: 'number' } } };
      const type = (compare: object) => ({
        details_types: [{ type: 'payment', description: 'Pay', schema, compare }],
      });
      const first = await scene.anotherApi(type({ amount: 'at_most' }));
      const alike = await scene.anotherApi(type({ amount: 'at_most' }));
      const unlike = await scene.anotherApi(type({ amount: 'at_least' }));
      const apis = [first, alike, unlike];
      const agent = await scene.agent(apis);
      const details = { authorization_details: JSON.stringify([{ type: 'payment', amount: 1000 }]) };
      const own = await ownToken(agent, { resource: first.identifier, ...details });
      const at = (api: SharedApi) => exchangeOf(own, { resource: api.identifier, ...details });
      assert.equal((await agent.send(at(alike))).status, 200);
      const said = await refused(agent, at(unlike), 'invalid_authorization_details');
      assert.match(said, /more than subject_token allows/);
    });

    test('an actor_token counts where it may be used itself', async () => {
      const agent = await scene.agent();
      const instances = instanceClient(server, agent);
      const instance = await instances.instance();
      const mandate = await scene.give(agent);
      const clock = (at: number) => new Date(at).toISOString().slice(11, 16);
      const now = server.clock.now();
      const hours = [{ tz: 'UTC', windows: [{ from: clock(now), to: clock(now + 120_000) }] }];
      const own = await ownToken(
        { send: (form) => instances.tokenOf(instance, form) },
        { resource: scene.api.identifier, scope: 'read', ctx: JSON.stringify({ hours }) },
      );
      const form = exchangeOf(mandate, { actor_token: own, actor_token_type: accessTokenType });
      const acting = { send: (more: Form) => instances.tokenOf(instance, more) };
      assert.equal((await acting.send(form)).status, 200);
      server.clock.advance(180_000);
      assert.match(await refused(acting, form, 'invalid_request'), /may not be used from here, or now/);
    });
  });
}
