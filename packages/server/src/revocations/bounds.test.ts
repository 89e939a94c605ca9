/** A thousand early ends a second: nothing is written for what nobody has a token of, issuing goes on, and nothing grows without a bound. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { feedMessageBounds } from '@bailiwick/protocol';
import { asOf, endSubject, endToken, registerSubject } from '../liveness/liveness.ts';
import { feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { acknowledged } from './acknowledgement.ts';
import { feedOf, tidyFeed } from './feed.ts';

/** More than is kept in memory of a resource. */
const ends = { sqlite: 2_500, postgres: 600 } as const;
const atOnce = 50;
/** Far below what a quiet machine does (thousands a second on SQLite, hundreds on PostgreSQL): it says that nothing is quadratic. */
const perSecond = 20;

for (const database of databases) {
  describe(`early ends by thousands, on ${database}`, () => {
    let server: TestServer;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database });
      client = await tokenClient(server);
    });
    after(() => server.close());

    const change = (id: string) => ({ id, reason: 'a test', by: client.clientId, now: server.clock.now() });
    const count = async (table: 'feed_entries' | 'revocations') =>
      Number((await server.deps.db.get<{ n: number }>(`select count(*) as n from ${table}`))?.n);

    test('of what nobody has a token of are told to nobody', async () => {
      const { db, clock } = server.deps;
      const before = [await count('feed_entries'), (await asOf(db)).rev] as const;
      await Promise.all(
        Array.from({ length: 500 }, (_, i) =>
          db.transaction(async (tx) => {
            await registerSubject(tx, { id: `task-${i}`, kind: 'task', now: clock.now() });
            await endSubject(tx, change(`task-${i}`));
          }),
        ),
      );
      const { rev } = await asOf(db);
      assert.deepEqual([await count('feed_entries'), rev], [before[0], before[1] + 500]);
      assert.deepEqual(await acknowledged(server.deps, rev, 60_000), { rev, complete: true, resources: [] });
    });

    test('of tokens don’t stop others from being issued, nor grow what is kept', async () => {
      const { db, clock } = server.deps;
      const guard = await feedGuard(server, client.resource);
      const session = await openFeedSession(server, guard);
      const { clientId: agent, resource } = client;
      const begun = performance.now();
      const revs: number[] = [];
      let next = 0;
      const worker = async () => {
        while (next < ends[database]) {
          const token = { jti: `jti-${next++}`, agent, resource, endsAt: clock.now() + 600_000 };
          revs.push((await db.transaction((tx) => endToken(tx, token, change('')))) as number);
          await new Promise((resolve) => setImmediate(resolve)); // each comes with a request of its own
        }
      };
      let done = false;
      const ended = Promise.all(Array.from({ length: atOnce }, worker)).finally(() => {
        done = true;
      });
      let issued = 0;
      for (; !done; issued++) {
        assert.equal((await client.send()).status, 200);
        if (issued % 5 === 0) await session.lease();
      }
      await ended;
      const rate = revs.length / ((performance.now() - begun) / 1000);
      assert.ok(rate > perSecond, `${Math.round(rate)} a second`);
      assert.ok(issued > 1, 'tokens were issued meanwhile');
      await session.lease();
      await session.lease();
      assert.equal(session.dead.size, ends[database], 'none was lost on the way');
      assert.equal((await acknowledged(server.deps, Math.max(...revs), 60_000)).complete, true);
      const feed = feedOf(server.deps);
      const kept = [...feed.followed.values()].map(({ entries }) => entries.length);
      assert.ok(kept.every((length) => length <= feedMessageBounds.entries));
      assert.deepEqual(
        [feed.pending.size, feed.remaining.size, feed.completed.length, feed.waiting.size],
        [0, 0, 0, 0],
      );
      // one more minute than they can matter
      server.clock.advance(18 * 60_000);
      await tidyFeed(server.deps);
      assert.equal(await count('feed_entries'), 0);
      const anew = await openFeedSession(server, guard);
      assert.deepEqual([anew.dead.size, anew.at], [0, session.at]);
    });
  });
}
