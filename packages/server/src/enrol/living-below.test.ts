import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient, type TestInstance } from '../testing/instance-client.ts';
import { tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`how many live below one instance, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database });
    });
    after(() => server.close());

    const agentWith = async (instances: object) => {
      const client = await tokenClient(server, { agent: { instances } });
      return instanceClient(server, client);
    };

    test('half of what the agent may have at most, in all generations, so that others find a place', async () => {
      const at = await agentWith({ live_at_most: 9, depth: 3 });
      const top = await at.instance();
      const [one, two] = [await at.child(top), await at.child(top)];
      assert.deepEqual([one.status, two.status], [201, 201]);
      const parents = [top, one, two].map(({ id, signer }) => ({ id, signer, answer: {} }));
      const all = await Promise.all([...parents, ...parents, ...parents].map((parent) => at.child(parent)));
      const refused = all.filter(({ status }) => status !== 201);
      assert.equal(refused.length, 7, 'four live below it, however many ask at once');
      for (const { status, body, headers } of refused) {
        assert.deepEqual([status, body.error], [429, 'temporarily_unavailable']);
        assert.match(body.error_description, /^4 children/);
        assert.ok(Number(headers.get('retry-after')) > 0);
      }
      const other = await at.instance();
      assert.equal((await at.child(other)).status, 201, 'each has its own');
      assert.equal((await at.call(parents[1] as TestInstance, 'DELETE')).status, 204);
      assert.equal((await at.child(top)).status, 201, 'who has ended makes room');
    });

    test('one, however few may live', async () => {
      const at = await agentWith({ live_at_most: 2 });
      const top = await at.instance();
      assert.deepEqual([(await at.child(top)).status, (await at.child(top)).status], [201, 429]);
    });

    test('a hundred, however many may live', async () => {
      const at = await agentWith({ live_at_most: 100_000 });
      const top = await at.instance();
      const all = await Promise.all(Array.from({ length: 101 }, () => at.child(top)));
      assert.deepEqual(
        all.filter(({ status }) => status !== 201).map(({ status }) => status),
        [429],
      );
    });
  });
}
