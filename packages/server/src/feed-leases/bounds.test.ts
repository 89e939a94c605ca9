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
/** Who asks for tokens meanwhile, and how many they get at least. */
const issuers = 4;
const issuedAtLeast = 100;
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

    test('are read for few, whatever numbers guards say that they are at', async () => {
      const { db, clock } = server.deps;
      const other = await tokenClient(server);
      const { clientId: agent, resource } = other;
      const revs: number[] = [];
      for (let i = 0; i < 40; i++) {
        const token = { jti: `long-ago-${i}`, agent, resource, endsAt: clock.now() + 600_000 };
        revs.push((await db.transaction((tx) => endToken(tx, token, change('')))) as number);
      }
      // nothing of it is kept in memory: nobody followed
      const guard = await feedGuard(server, resource);
      const session = await openFeedSession(server, guard);
      const { all } = db;
      let read = 0;
      db.all = async (sql, params) => {
        if (sql.includes('from feed_entries where resource')) read += 1;
        return all(sql, params);
      };
      try {
        const answers = await Promise.all(revs.slice(0, -1).map((applied) => session.post({ applied })));
        for (const answer of answers) {
          assert.equal(answer.status, 200);
          const { messages } = (await answer.json()) as { messages: string[] };
          assert.equal((await session.apply(messages)).at(-1)?.rev, revs.at(-1));
        }
      } finally {
        db.all = all;
      }
      assert.ok(read <= 5, `${read} times`);
      server.clock.advance(5_000); // what was read is kept no longer
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
      const issuing = Array.from({ length: issuers }, async () => {
        for (; !done || issued < issuedAtLeast; issued++) {
          assert.equal((await client.send()).status, 200, 'every one of them');
        }
      });
      while (!done) await session.lease();
      await ended;
      const meanwhile = issued;
      await Promise.all(issuing);
      const rate = revs.length / ((performance.now() - begun) / 1000);
      assert.ok(rate > perSecond, `${Math.round(rate)} a second`);
      assert.ok(meanwhile >= issuers, `${meanwhile} tokens were issued meanwhile`);
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
      await tidyFeed(server.deps);
      // one more minute than they can matter
      server.clock.advance(18 * 60_000);
      await tidyFeed(server.deps);
      assert.equal(await count('feed_entries'), 0);
      const anew = await openFeedSession(server, guard);
      assert.deepEqual([anew.dead.size, anew.at], [0, session.at]);
    });
  });
}
