/** The past is forgotten, in parts, and costs nobody a thing; what lives, or could still be asked for, stays. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { tokenClient } from '../testing/token-client.ts';
import { forgetInstances } from './forget.ts';

const hour = 3600_000;

for (const database of databases) {
  describe(`the instances of the past, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
    });
    after(() => server.close());

    const count = async (sql: string, ...ids: string[]) =>
      (await server.deps.db.get<{ n: number }>(`select count(*) as n from ${sql}`, ids))?.n;

    test('are forgotten after a day with what enrolled them, and the living are not', async () => {
      const client = await tokenClient(server);
      const at = instanceClient(server, client);
      const long = await at.instance();
      const { id: usedToken, secret } = await at.token();
      const first = await at.enrol({ token: secret });
      const { id: unusedToken } = await at.token();
      const parent = await at.instance();
      const child = await at.child(parent);
      await at.call(parent, 'DELETE');
      const gone = [first.body.instance, parent.id, child.id];
      for (let n = 0; n < 30; n++) {
        server.clock.advance(0.8 * hour);
        await forgetInstances(server.deps, 2);
        assert.equal((await at.call(long, 'POST', '/renew', {})).status, 200);
        if (n === 0)
          assert.equal(await count('instances where agent = ?', client.clientId), 4, 'they are listed for a while');
      }
      server.clock.advance(1.1 * hour);
      await at.call(long, 'POST', '/renew', {});
      const late = await at.instance();
      server.clock.advance(0.1 * hour);
      await forgetInstances(server.deps, 2);
      const { items } = await server.admin<{ items: { id: string }[] }>('GET', `/instances?agent=${client.clientId}`);
      assert.deepEqual(items.map(({ id }) => id).sort(), [long.id, late.id].sort());
      for (const id of [...gone, usedToken, unusedToken]) {
        assert.equal(await count('subjects where id = ?', id), 0);
        assert.equal(await count('revocations where subject = ?', id), 0);
      }
      assert.equal(await count('credentials where id in (?, ?)', usedToken, unusedToken), 0);
      assert.equal(await count('credentials where id = ?', client.credential), 1);
      const { items: events } = await server.admin<{ items: object[] }>('GET', `/events?target=${gone[0]}`);
      assert.equal(events.length, 1, 'the log keeps what they did');
    });

    test('give their places back, though nobody had counted them as ended', async () => {
      const client = await tokenClient(server, { agent: { instances: { live_at_most: 2 } } });
      const at = instanceClient(server, client);
      await at.instance();
      await at.instance();
      assert.equal((await at.enrolByKey()).status, 429);
      server.clock.advance(26 * hour);
      await forgetInstances(server.deps, 1);
      assert.equal(await count('instances where agent = ?', client.clientId), 0);
      await at.instance();
      await at.instance();
      assert.equal((await at.enrolByKey()).status, 429);
    });

    test('are not forgotten while a token or a task could rest on them, however soon they are to be', async () => {
      const soon = {
        ...server.deps,
        config: { ...server.deps.config, instances: { ...server.deps.config.instances, keep_ended_seconds: 0 } },
      };
      const client = await tokenClient(server);
      const at = instanceClient(server, client);
      const instance = await at.instance();
      for (let n = 0; n < 3; n++) {
        server.clock.advance(0.9 * hour); // long after anybody was counted
        assert.equal((await at.call(instance, 'POST', '/renew', {})).status, 200);
      }
      const { body } = await at.tokenOf(instance);
      await at.call(instance, 'DELETE');
      const { items } = await server.admin<{ items: { expires_at: string; status: string }[] }>(
        'GET',
        `/instances?agent=${client.clientId}`,
      );
      const endedAt = new Date(server.clock.now()).toISOString();
      assert.deepEqual(
        items.map(({ expires_at, status }) => [expires_at, status]),
        [[endedAt, 'ended']],
      );
      server.clock.advance(9 * 60_000);
      await forgetInstances(soon);
      assert.deepEqual(await at.introspect(body.access_token), { active: false });
      assert.equal(await count('instances where id = ?', instance.id), 1);
      server.clock.advance(24 * hour - 9 * 60_000);
      await forgetInstances(soon);
      assert.equal(await count('subjects where id = ?', instance.id), 1);
      server.clock.advance(2 * 60_000);
      await forgetInstances(soon);
      assert.equal(await count('instances where id = ?', instance.id), 0);
      assert.equal(await count('subjects where id = ?', instance.id), 0);
    });
  });
}
