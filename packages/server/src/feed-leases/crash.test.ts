/** Killed between a revocation and its acknowledgement, and started again: guards go on, and the revocation is acknowledged, once. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { linkTag } from '@bailiwick/protocol';
import { feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { databases } from '../testing/harness.ts';
import { killableServer } from '../testing/killed.ts';
import { tokenClient } from '../testing/token-client.ts';
import { until } from '../testing/until.ts';

for (const database of databases) {
  describe(`a server that is killed before a revocation is acknowledged, on ${database}`, () => {
    test('completes it after it was started again, and its guards go on in their sessions', async (t) => {
      const { server, kill, startAgain } = await killableServer(t, database);
      const client = await tokenClient(server);
      await server.admin('PATCH', `/resources/${client.resource}`, { feed: { lease_seconds: 1 } });
      const session = await openFeedSession(server, await feedGuard(server, client.resource));
      assert.equal((await client.send()).status, 200);
      await session.lease();
      await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'a test' });
      await kill();
      await startAgain();

      await session.lease();
      const rev = session.dead.get(linkTag(client.clientId));
      assert.equal(session.at, rev, 'it hears of what it missed, by its number');
      type Shown = { items: { decided_on: { rev: number } }[] };
      const told = async () =>
        (await server.admin<Shown>('GET', '/events?type=revocation.acknowledged&limit=50')).items.filter(
          ({ decided_on }) => decided_on.rev === rev,
        ).length;
      await until(
        told,
        (times) => times > 0,
        () => session.lease(),
      );
      await session.lease();
      assert.equal(await told(), 1);
    });
  });
}
