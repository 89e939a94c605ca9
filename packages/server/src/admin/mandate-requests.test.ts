/** What agents ask each other for, as administrators and owners see it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { adminClient, administrator } from '../testing/admin-client.ts';
import { type Delegate, type Delegates, delegates } from '../testing/delegates.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

for (const database of databases) {
  describe(`requests for mandates that administrators see, on ${database}`, () => {
    let server: TestServer;
    let scene: Delegates;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await delegates(server, 3);
    });
    after(() => server.close());

    async function ask(asker: Delegate, from: Delegate): Promise<string> {
      const resources = [{ resource: scene.api.identifier, scope: 'read' }];
      const { status, text, body } = await asker.call('POST', '/mandates/requests', { from: from.id, resources });
      assert.equal(status, 201, text);
      return body.id;
    }

    test('by who asks, who is asked and how they stand; by the owner of either; by nobody else', async () => {
      const operator = adminClient(server, server.operator);
      const [a, b, c] = scene.agents as [Delegate, Delegate, Delegate];
      const [first, second, third] = [await ask(b, a), await ask(c, b), await ask(c, a)];
      await a.call('POST', `/mandates/requests/${third}/refuse`);
      const idsOf = async (query = '', who = operator) =>
        (await who.ok('GET', `/mandates/requests${query}`)).items.map(({ id }: { id: string }) => id);
      assert.deepEqual(await idsOf(), [first, second, third]);
      assert.deepEqual(await idsOf('?status=pending'), [first, second]);
      assert.deepEqual(await idsOf(`?from=${a.id}`), [first, third]);
      assert.deepEqual(await idsOf(`?agent=${c.id}&status=refused`), [third]);
      const page = await operator.ok('GET', '/mandates/requests?limit=2');
      assert.deepEqual(await idsOf(`?limit=2&cursor=${page.next_cursor}`), [third]);
      const seen = await b.call('GET', `/mandates/requests/${first}`);
      assert.deepEqual(page.items[0], seen.body, 'as agents see it');
      await server.admin('POST', `/agents/${a.id}/suspend`, { reason: 'test' });
      assert.deepEqual([await idsOf('?status=stopped'), await idsOf('?status=pending')], [[first], [second]]);

      const owner = await administrator(server, operator, { scopes: ['mandates:own'] });
      assert.deepEqual(await idsOf('', owner), []);
      await operator.ok('PATCH', `/agents/${owner.agent}`, { owner: b.client.owner });
      assert.deepEqual(await idsOf('', owner), [first, second]);

      const stranger = await administrator(server, operator, { scopes: ['tasks:read'] });
      assert.equal((await stranger.call('GET', '/mandates/requests')).status, 403);
      await operator.ok('POST', '/organizations', { name: 'far' });
      const far = await administrator(server, operator, { scopes: ['mandates:read'], organization: 'far' });
      assert.deepEqual(await idsOf('', far), []);
      assert.equal((await operator.call('GET', '/mandates/requests?status=over')).status, 400);
    });
  });
}
