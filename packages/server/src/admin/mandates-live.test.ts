/** What administrators do to a mandate, and what that does to its tokens and to those of what was passed on of it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { tidy } from '../jobs.ts';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { type Delegate, type Delegates, delegates, type ShownMandate } from '../testing/delegates.ts';
import { exchanged, exchangeOf } from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

for (const database of databases) {
  describe(`mandates that are used, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let scene: Delegates;
    let first: Delegate;
    let second: Delegate;
    let third: Delegate;

    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      operator = adminClient(server, server.operator);
      scene = await delegates(server, 3);
      [first, second, third] = scene.agents as [Delegate, Delegate, Delegate];
    });
    after(() => server.close());

    /** A person's mandate, passed on twice, and another part of it passed on once. */
    async function chain(): Promise<{
      root: ShownMandate;
      middle: ShownMandate;
      leaf: ShownMandate;
      side: ShownMandate;
    }> {
      const root = await scene.give(first, { limits: { uses: 100 } });
      const middle = await first.pass(root.id, { agent: second.id, passing: { depth: 1 } });
      const leaf = await second.pass(middle.id, { agent: third.id });
      return { root, middle, leaf, side: await first.pass(root.id, { agent: third.id }) };
    }
    const read = { scope: 'read' };
    const tokens = async ({ root, middle, leaf, side }: Awaited<ReturnType<typeof chain>>) => ({
      root: (await exchanged(first.client, root.id, read)).token,
      middle: (await exchanged(second.client, middle.id, read)).token,
      leaf: (await exchanged(third.client, leaf.id, read)).token,
      side: (await exchanged(third.client, side.id, read)).token,
    });
    /** Whose it is says whether one lives. */
    const living = async (all: Awaited<ReturnType<typeof tokens>>) => {
      const holders = { root: first, middle: second, leaf: third, side: third };
      const alive: string[] = [];
      for (const name of ['root', 'middle', 'leaf', 'side'] as const)
        if ((await holders[name].instances.introspect(all[name])).active) alive.push(name);
      return alive;
    };
    const statuses = async (...all: ShownMandate[]) =>
      Promise.all(all.map(async ({ id }) => (await operator.ok('GET', `/mandates/${id}`)).status));

    for (const [what, stop, then] of [
      ['paused', (id: string) => operator.ok('POST', `/mandates/${id}/pause`, {}), 'paused'],
      ['ended', (id: string) => operator.ok('POST', `/mandates/${id}/end`, {}), 'ended'],
      [
        'narrowed',
        (id: string) => operator.ok('PATCH', `/mandates/${id}`, { context: { ip: ['127.0.0.0/8', '::1'] } }),
        'active',
      ],
      [
        'revoked as to its tokens',
        (id: string) => operator.ok('POST', '/revocations', { subject: id, effect: 'tokens', reason: 'a test' }),
        'active',
      ],
    ] as const) {
      test(`${what}: its tokens and those below it are dead, and no others`, async () => {
        const all = await chain();
        const held = await tokens(all);
        assert.deepEqual(await living(held), ['root', 'middle', 'leaf', 'side']);
        await stop(all.middle.id);
        assert.deepEqual(await living(held), ['root', 'side']);
        const goesOn = then === 'active';
        assert.deepEqual(await statuses(all.root, all.middle, all.leaf, all.side), [
          'active',
          then,
          goesOn ? 'active' : 'stopped',
          'active',
        ]);
        const again = await third.client.send(exchangeOf(all.leaf.id, read));
        assert.equal(again.status, goesOn ? 200 : 400, JSON.stringify(again.body));
        if (then !== 'paused') return;
        await operator.ok('POST', `/mandates/${all.middle.id}/resume`);
        assert.deepEqual(await living(held), ['root', 'side'], 'what died stays dead');
        assert.equal((await third.client.send(exchangeOf(all.leaf.id, read))).status, 200);
      });
    }

    test('narrowed above, what was passed on before gives no more than is left', async () => {
      const { root, leaf } = await chain();
      await operator.ok('PATCH', `/mandates/${root.id}`, {
        resources: [{ resource: scene.api.identifier, scope: 'read' }],
        expires_at: new Date(server.clock.now() + 120_000).toISOString(),
      });
      const beyond = await third.client.send(exchangeOf(leaf.id, { scope: 'book' }));
      assert.deepEqual([beyond.status, beyond.body.error], [400, 'invalid_scope'], JSON.stringify(beyond.body));
      assert.match(String(beyond.body.error_description), new RegExp(root.id));
      const { claims } = await exchanged(third.client, leaf.id, read);
      assert.equal(claims.exp - claims.iat, 120);
      server.clock.advance(120_000);
      assert.deepEqual(await statuses(root, leaf), ['expired', 'stopped']);
    });

    test('what was spent stays spent when limits are narrowed, and a limit that comes later counts from then on', async () => {
      const { id } = await scene.give(first, { limits: { uses: 5 } });
      await exchanged(first.client, id, read);
      await exchanged(first.client, id, read);
      const amounts = [{ type: 'payment', amount: '/amount', total: 50 }];
      const narrowed = await operator.ok('PATCH', `/mandates/${id}`, { limits: { uses: 3, amounts } });
      assert.deepEqual(narrowed.ledger, [
        { counter: 'amount:0', spent: 0, most: 50 },
        { counter: 'uses', spent: 2, most: 3 },
      ]);
      const payment = JSON.stringify([{ type: 'payment', amount: 50, currency: 'EUR' }]);
      await exchanged(first.client, id, { authorization_details: payment });
      assert.equal((await first.client.send(exchangeOf(id, read))).body.error, 'invalid_grant');
      const { ledger } = await operator.ok('GET', `/mandates/${id}`);
      assert.deepEqual(
        ledger.map(({ spent }: { spent: number }) => spent),
        [50, 3],
      );
      const none = await operator.ok('PATCH', `/mandates/${id}`, { limits: { uses: 1 } });
      assert.deepEqual(none.ledger[1], { counter: 'uses', spent: 3, most: 1 });
    });

    test('the tree says who passed what to whom; an owner sees what lies below their agents’', async () => {
      const { root, middle, leaf, side } = await chain();
      const treeOf = async (id: string, query = '', by = operator) => {
        const { person, mandates, more } = await by.ok('GET', `/mandates/${id}/tree${query}`);
        assert.deepEqual([person, more], [scene.person, false]);
        return mandates.map((each: ShownMandate) => [each.id, each.parent, each.agent, each.status]);
      };
      await operator.ok('POST', `/mandates/${middle.id}/pause`, {});
      const expected = [
        [root.id, undefined, first.id, 'active'],
        [middle.id, root.id, second.id, 'paused'],
        [leaf.id, middle.id, third.id, 'stopped'],
        [side.id, root.id, third.id, 'active'],
      ];
      for (const { id } of [root, middle, leaf, side]) assert.deepEqual(await treeOf(id), expected);
      assert.deepEqual(await treeOf(middle.id, '?below=true'), expected.slice(1, 3));
      const owner = await administrator(server, operator, { scopes: ['mandates:own'] });
      await operator.ok('PATCH', `/agents/${owner.agent}`, { owner: second.client.owner });
      assert.deepEqual(await treeOf(middle.id, '', owner), expected.slice(1, 3));
      assert.equal((await owner.call('GET', `/mandates/${root.id}/tree`)).status, 404);
    });

    test('how far ending one would reach: agents, tokens and mandates below it', async () => {
      const all = await chain();
      await tokens(all);
      const reach = async (id: string) => {
        const {
          agents,
          tokens: held,
          mandates,
        } = await operator.ok('GET', `/revocations/reach?subject=${id}&effect=end`);
        return [agents.count, held.count, mandates];
      };
      assert.deepEqual(await reach(all.root.id), [3, 4, 4]);
      assert.deepEqual(await reach(all.middle.id), [2, 2, 2]);
      assert.deepEqual(await reach(all.leaf.id), [1, 1, 1]);
    });

    test('a token of a mandate that was ended says so in its story', async () => {
      const { root, middle, leaf } = await chain();
      const { claims } = await exchanged(third.client, leaf.id, read);
      await operator.ok('POST', `/mandates/${middle.id}/end`, { reason: 'over' });
      const story = await operator.ok('GET', `/trace?of=${claims.jti}`);
      const types = story.items.map(({ event }: { event?: { type: string } }) => event?.type);
      assert.ok(types.includes('token.issued') && types.includes('mandate.ended'), types.join(' '));
      const ofRoot = await operator.ok('GET', `/trace?of=${root.id}`);
      assert.match(ofRoot.items[0].says, /^agent-\S+ was let act for a person, written down by operator$/);
    });

    test('forgotten leaves first: a line is known up to its root for as long as anything of it lives', async () => {
      const kept = server.deps.config.instances.keep_ended_seconds * 1000;
      const root = await scene.give(first, { expires_in: kept / 1000 + 86_400 });
      const leaf = await first.pass(root.id, { agent: second.id });
      await operator.ok('PATCH', `/mandates/${root.id}`, {
        expires_at: new Date(server.clock.now() + 60_000).toISOString(),
      });
      server.clock.advance(kept + 120_000);
      await tidy(server.deps);
      assert.deepEqual(await statuses(root, leaf), ['expired', 'stopped']);
      server.clock.advance(86_400_000 + kept);
      await tidy(server.deps);
      for (const { id } of [root, leaf]) assert.equal((await operator.call('GET', `/mandates/${id}`)).status, 404);
    });
  });
}
