/** A guard follows the feed: opens a session, hears what is revoked, goes on by number, and is given nothing more once it is stopped. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { linkTag } from '@bailiwick/protocol';
import { feedOf } from '../feed-leases/feed.ts';
import { asOf, endToken } from '../liveness/liveness.ts';
import { type FeedGuard, feedGuard, openFeedSession, openRaw } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`the feed, on ${database}`, () => {
    let server: TestServer;
    let client: TokenClient;
    let guard: FeedGuard;

    before(async () => {
      server = await startServer({ database, config: { feed: { max_entries: 100 } } });
      client = await tokenClient(server);
      guard = await feedGuard(server, client.resource);
    });
    after(() => server.close());

    const revOf = async () => (await asOf(server.deps.db)).rev;
    const token = async () => {
      const { status, body } = await client.send();
      assert.equal(status, 200, JSON.stringify(body));
      return body.access_token as string;
    };
    /** Ends all tokens of the agent; answers the number. */
    const revoke = async () => {
      await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'a test' });
      const rev = await revOf();
      await server.admin('POST', `/agents/${client.clientId}/resume`);
      return rev;
    };

    test('the metadata says where', async () => {
      const answer = await fetch(`${server.address}/.well-known/oauth-authorization-server`);
      const { bailiwick_feed_endpoint } = (await answer.json()) as Record<string, unknown>;
      assert.equal(bailiwick_feed_endpoint, `${server.issuer}/feed`);
    });

    test('a session begins with all that still matters, and a lease', async () => {
      const fresh = await openFeedSession(server, guard);
      assert.deepEqual(
        [fresh.opened.lease_ms, fresh.opened.when_lost, fresh.opened.heartbeat_ms],
        [2000, 'introspect', 15_000],
      );
      assert.deepEqual([fresh.at, fresh.last.at(-1)?.lease, fresh.dead.size], [0, 2000, 0]);
      await token();
      const rev = await revoke();
      const later = await openFeedSession(server, guard);
      assert.equal(later.last[0]?.after, null, 'it begins anew');
      assert.deepEqual([later.at, later.dead.get(linkTag(client.clientId))], [rev, rev]);
    });

    test('what is revoked comes by the stream at once, and a later one follows on it', async () => {
      const session = await openFeedSession(server, guard);
      const stream = await session.stream();
      assert.equal(stream.status, 200);
      for (let i = 0; i < 2; i++) {
        await token();
        const rev = await revoke();
        const message = await stream.next();
        assert.deepEqual(
          message?.entries.map(([number, tag]) => [number, tag]),
          [[rev, linkTag(client.clientId)]],
        );
        assert.equal(message?.lease, undefined, 'a lease answers a question');
      }
      await stream.close();
    });

    test('a lease tells what follows on the number that the guard is at, and nothing twice', async () => {
      const session = await openFeedSession(server, guard);
      await token();
      const rev = await revoke();
      const [first] = await session.lease();
      assert.deepEqual([first?.entries.length, first?.rev, first?.lease], [1, rev, 2000]);
      const [second] = await session.lease();
      assert.deepEqual([second?.entries.length, second?.after, second?.rev], [0, rev, rev]);
    });

    test('a guard goes on by its number in a new session', async () => {
      const before = await openFeedSession(server, guard);
      await token();
      const rev = await revoke();
      const session = await openFeedSession(server, guard, before.at);
      assert.ok(session.last.every(({ after }) => after !== null));
      assert.equal(session.at, rev);
      const anew = await openFeedSession(server, guard, rev + 1_000);
      assert.equal(anew.last[0]?.after, null, 'whoever knows a number that was never sent begins anew');
    });

    test('who waits is answered by news, or when the time is up', async () => {
      const session = await openFeedSession(server, guard);
      await token();
      const waiting = session.lease({ wait_ms: 500 });
      await server.deps.db.get('select 1');
      const rev = await revoke();
      assert.equal((await waiting).at(-1)?.rev, rev);
      const quiet = session.lease({ wait_ms: 60_000 });
      while (feedOf(server.deps).parked.size === 0) await new Promise((resolve) => setImmediate(resolve));
      server.clock.advance(667); // at most a third of the lease
      assert.equal((await quiet).at(-1)?.entries.length, 0);
    });

    test('what no unexpired token can depend on isn’t sent', async () => {
      const session = await openFeedSession(server, guard);
      const { at } = session;
      server.clock.advance(25 * 60 * 60_000); // whatever clocks say: what has been over for a day, and tokens of two hours ago
      const other = await openFeedSession(server, guard);
      assert.equal(other.dead.size, 0, 'the last token that was revoked has expired');
      await revoke();
      assert.equal((await openFeedSession(server, guard)).at, at, 'nobody had a token, whatever clocks say');
    });

    test('of too much only the newest is told: the rest has to be asked about', async () => {
      const numbers: number[] = [];
      server.clock.advance(6_000); // what was read for one is told to others who come within moments
      for (let i = 0; i < 130; i++) {
        const { db, clock } = server.deps;
        const jti = `token-${i}`;
        const change = { reason: 'a test', by: client.clientId, now: clock.now() };
        const ends = { jti, agent: client.clientId, resource: client.resource, endsAt: clock.now() + 600_000 };
        numbers.push((await db.transaction((tx) => endToken(tx, ends, change))) as number);
      }
      const session = await openFeedSession(server, guard);
      assert.equal(session.dead.size, 100);
      assert.equal(session.floor, numbers.at(-101));
      assert.equal(session.at, numbers.at(-1));
      const behind = await openFeedSession(server, guard, numbers[0] as number);
      assert.equal(behind.last.at(-1)?.rev, numbers.at(-1), 'what is remembered is told from there');
    });

    test('a lease given back is nobody’s any more', async () => {
      const session = await openFeedSession(server, guard);
      assert.equal((await session.giveBack()).status, 204);
      assert.equal((await session.post()).status, 404);
    });

    test('terms are the resource’s, from the next lease on', async () => {
      const session = await openFeedSession(server, guard);
      await server.admin('PATCH', `/resources/${client.resource}`, {
        feed: { lease_seconds: 5, when_lost: 'refuse' },
      });
      await session.lease();
      assert.equal((await session.lease()).at(-1)?.lease, 5000);
      const later = await openFeedSession(server, guard);
      assert.deepEqual([later.opened.lease_ms, later.opened.when_lost], [5000, 'refuse']);
      await server.admin('PATCH', `/resources/${client.resource}`, {
        feed: { lease_seconds: 2, when_lost: 'introspect' },
      });
    });

    for (const [what, stop] of [
      ['guard', (of: FeedGuard) => server.admin('DELETE', `/guards/${of.guard}`)],
      ['agent', (of: FeedGuard) => server.admin('POST', `/agents/${of.agent}/suspend`, { reason: 'a test' })],
      ['resource', (of: FeedGuard) => server.admin('POST', `/resources/${of.resource}/retire`, { reason: 'a test' })],
    ] as const) {
      test(`a guard whose ${what} was stopped is given nothing more, and its stream ends`, async () => {
        const { resource } = await tokenClient(server);
        const stopped = await feedGuard(server, resource);
        const session = await openFeedSession(server, stopped);
        const stream = await session.stream();
        await stop(stopped);
        assert.equal(await stream.next(), undefined);
        assert.equal((await session.post()).status, 404);
        const again = await openRaw(server, stopped.sdk, { nonce: 'another-one' }).catch(() => undefined);
        assert.ok(again === undefined || [401, 403].includes(again.status));
      });
    }
  });
}
