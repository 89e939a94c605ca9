// The wall clock of a server is wrong for a moment: nobody hears less because of it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fakeClock } from '../lib/clock.ts';
import { noteReach, reachOf, suspendSubject } from '../liveness/liveness.ts';
import { feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer, testEpoch } from '../testing/harness.ts';
import { tokenClient } from '../testing/token-client.ts';
import { tidyFeed } from './feed.ts';

const aheadMs = 40 * 60_000;

for (const database of databases) {
  describe(`a wall clock that is wrong, on ${database}`, () => {
    const clock = fakeClock(testEpoch);
    let off = 0;
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, clock: { ...clock, now: () => clock.now() + off } });
    });
    after(() => server.close());

    async function world() {
      const client = await tokenClient(server);
      const guard = await feedGuard(server, client.resource);
      const issued = async () => assert.equal((await client.send()).status, 200);
      await issued();
      // not over HTTP: the operator's proofs are judged by the same clock
      async function revoke(): Promise<{ rev: number }> {
        const { db, clock } = server.deps;
        const change = { id: client.clientId, reason: 'x', by: 'test', now: clock.now() };
        const rev = await db.transaction((tx) => suspendSubject(tx, change));
        return { rev: rev as number };
      }
      return { guard, issued, revoke };
    }

    async function wrong<Result>(ms: number, work: () => Promise<Result>): Promise<Result> {
      off = ms;
      try {
        return await work();
      } finally {
        off = 0;
      }
    }

    for (const [what, ms] of [
      ['ahead', aheadMs],
      ['behind', -aheadMs],
    ] as const) {
      test(`what is revoked while it is ${what} reaches who has the tokens, and is not over`, async () => {
        const { guard, revoke } = await world();
        const { rev } = await wrong(ms, revoke);
        const rows = await server.deps.db.all<{ resource: string; until: number }>(
          'select resource, until from feed_entries where rev = ?',
          [rev],
        );
        assert.deepEqual(
          rows.map(({ resource }) => resource),
          [guard.resource],
        );
        assert.ok((rows[0]?.until ?? 0) >= clock.now() + 15 * 60_000);
        const session = await openFeedSession(server, guard);
        assert.equal(session.dead.size, 1);
      });
    }

    test('nothing is forgotten by it: not whom to tell, and not what was told', async () => {
      const { guard, issued, revoke } = await world();
      await tidyFeed(server.deps);
      clock.advance(6 * 60_000);
      await wrong(aheadMs, () => tidyFeed(server.deps));
      await wrong(100 * aheadMs, async () => {
        clock.advance(6 * 60_000);
        await tidyFeed(server.deps);
      });
      await issued(); // what was noted before is noted still
      const { rev } = await revoke();
      assert.equal((await openFeedSession(server, guard)).dead.size, 1);
      await wrong(aheadMs, () => tidyFeed(server.deps));
      const anew = await openFeedSession(server, guard);
      assert.deepEqual([anew.dead.size, anew.at], [1, rev], 'a process that starts hears of it');
    });

    test('what was noted at a time that is yet to come is noted again', async () => {
      const { guard } = await world();
      const { db } = server.deps;
      const token = { restsOn: [guard.guard], resource: guard.resource };
      const noted = async (now: number) => {
        await db.settle((tx) => noteReach(tx, db, { ...token, now }));
        return (await reachOf(db, guard.guard, now)).length;
      };
      const time = Math.ceil(clock.now() / aheadMs) * aheadMs * 3 + 300_000;
      assert.equal(await noted(time), 1);
      await db.transaction((tx) => tx.run('delete from token_reach where resource = ?', [guard.resource]));
      assert.equal(await noted(time), 0, 'it is remembered');
      assert.equal(await noted(time - 3_000), 1);
    });

    test('a clock that is right forgets in time', async () => {
      const { guard, revoke } = await world();
      const { rev } = await revoke();
      const session = await openFeedSession(server, guard);
      for (let i = 0; i < 2; i++) await session.lease();
      for (let i = 0; i < 6; i++) {
        await tidyFeed(server.deps);
        clock.advance(60 * 60_000);
      }
      await tidyFeed(server.deps);
      const { db } = server.deps;
      assert.deepEqual(await db.all('select 1 from feed_entries where rev = ?', [rev]), []);
      assert.deepEqual(await db.all('select 1 from token_reach where resource = ?', [guard.resource]), []);
    });
  });
}
