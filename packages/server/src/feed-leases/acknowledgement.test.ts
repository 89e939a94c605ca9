/** When a revocation is acknowledged: by whom it waits for, for how long, and what is said of it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { deleteOldEntries } from '../liveness/feed-store.ts';
import { asOf, endToken, forgetSubjects, suspendSubject } from '../liveness/liveness.ts';
import { type FeedGuard, feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { acknowledged, acknowledgementOf } from './acknowledgement.ts';
import { feedOf, tidyFeed } from './feed.ts';

const longMs = 60_000;

for (const database of databases) {
  describe(`acknowledgement, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database });
    });
    after(() => server.close());

    interface World {
      client: TokenClient;
      guard: FeedGuard;
      /** Ends a token that somebody has; answers the number. */
      revoke(): Promise<number>;
    }

    let tokens = 0;
    async function world(): Promise<World> {
      const client = await tokenClient(server);
      const guard = await feedGuard(server, client.resource);
      const { db, clock } = server.deps;
      const revoke = async () => {
        const { clientId: agent, resource } = client;
        const token = { jti: `token-${++tokens}`, agent, resource, endsAt: clock.now() + 600_000 };
        const change = { reason: 'a test', by: agent, now: clock.now() };
        return (await db.transaction((tx) => endToken(tx, token, change))) as number;
      };
      return { client, guard, revoke };
    }

    const stand = async (rev: number) => {
      const { complete, resources } = await acknowledgementOf(server.deps, rev);
      return { complete, guards: resources[0]?.guards };
    };
    const arrived = (rev: number) => acknowledged(server.deps, rev, longMs);
    const events = async (type = 'revocation.acknowledged') =>
      (await server.admin<{ items: Record<string, never>[] }>('GET', `/events?type=${type}&limit=50`)).items;

    test('with nobody to hear of it, at once', async () => {
      const { revoke, client } = await world();
      const rev = await revoke();
      const done = await arrived(rev);
      assert.deepEqual([done.complete, done.resources[0]?.guards], [true, []]);
      const nothing = await server.deps.db.transaction((tx) =>
        suspendSubject(tx, { id: client.owner, reason: 'a test', by: 'agt_test', now: server.clock.now() }),
      );
      const none = { rev: nothing ?? (await asOf(server.deps.db)).rev, complete: true, resources: [] };
      assert.deepEqual(await acknowledgementOf(server.deps, none.rev), none, 'it reaches no resource');
    });

    test('with a healthy guard, when it has said that it applied it', async () => {
      const { guard, revoke } = await world();
      const session = await openFeedSession(server, guard);
      const rev = await revoke();
      assert.deepEqual(await stand(rev), { complete: false, guards: [{ guard: guard.guard }] });
      await session.lease({ applied: session.at });
      assert.equal((await stand(rev)).complete, false, 'it was told, and has not applied it yet');
      server.clock.advance(7);
      await session.lease();
      const at = server.clock.now();
      assert.deepEqual((await arrived(rev)).resources, [
        { resource: guard.resource, acknowledgedAt: at, guards: [{ guard: guard.guard, appliedAt: at }], unknown: [] },
      ]);
    });

    test('with one that says what it has applied and asks for nothing, at once, and it is given nothing', async () => {
      const { guard, revoke } = await world();
      const session = await openFeedSession(server, guard);
      const stream = await session.stream();
      const rev = await revoke();
      const waiting = arrived(rev);
      assert.equal((await stream.next())?.rev, rev);
      assert.equal((await session.applied({ applied: rev + 1_000 })).status, 204);
      assert.equal((await stand(rev)).complete, false, 'a number that was never sent counts for nothing');
      assert.equal((await session.applied({ applied: rev - 1 })).status, 204);
      assert.equal((await stand(rev)).complete, false, 'nor does one before it');
      server.clock.advance(1_999);
      const answer = await session.applied();
      assert.deepEqual([answer.status, await answer.text()], [204, '']);
      const appliedAt = server.clock.now();
      assert.deepEqual((await waiting).resources[0]?.guards, [{ guard: guard.guard, appliedAt }]);
      server.clock.advance(1);
      const next = await revoke();
      assert.deepEqual((await arrived(next)).resources[0]?.guards, [], 'the lease of the beginning has run out');
      await stream.close();
    });

    test('with one that hangs, when the lease that was given without it has run out, and no later', async () => {
      const { guard, revoke } = await world();
      const [healthy, hanging] = [await feedGuard(server, guard.resource), guard];
      const session = await openFeedSession(server, healthy);
      server.clock.advance(500);
      const hangs = await openFeedSession(server, hanging);
      const rev = await revoke();
      await session.lease();
      await session.lease();
      const waiting = arrived(rev);
      server.clock.advance(1_000);
      // it asks for leases, and never says that it has applied anything: those count for nobody who hasn't
      await hangs.lease({ applied: 0 });
      server.clock.advance(999);
      assert.equal((await stand(rev)).complete, false);
      server.clock.advance(1);
      const guards = (await waiting).resources[0]?.guards ?? [];
      assert.deepEqual(
        guards.sort((a, b) => (a.guard < b.guard ? -1 : 1)),
        [
          { guard: healthy.guard, appliedAt: server.clock.now() - 2_000 },
          { guard: hanging.guard, lapsed: true },
        ].sort((a, b) => (a.guard < b.guard ? -1 : 1)),
      );
    });

    test('not by a guard whose lease ran out before, nor by one that came after', async () => {
      const { guard, revoke } = await world();
      await openFeedSession(server, guard);
      server.clock.advance(2_000);
      const rev = await revoke();
      assert.deepEqual((await arrived(rev)).resources[0]?.guards, []);
      const late = await openFeedSession(server, guard);
      assert.equal(late.at, rev);
      assert.deepEqual(await stand(rev), { complete: true, guards: [] });
    });

    test('of a guard with several processes when the last of them is there', async () => {
      const { guard, revoke } = await world();
      const [one, two] = [await openFeedSession(server, guard), await openFeedSession(server, guard)];
      const rev = await revoke();
      for (let i = 0; i < 2; i++) await one.lease();
      assert.deepEqual(await stand(rev), { complete: false, guards: [{ guard: guard.guard }] });
      for (let i = 0; i < 2; i++) await two.lease();
      assert.equal((await arrived(rev)).complete, true);
    });

    test('at once when the lease is given back', async () => {
      const { guard, revoke } = await world();
      const session = await openFeedSession(server, guard);
      const rev = await revoke();
      const waiting = arrived(rev);
      assert.equal((await session.giveBack()).status, 204);
      assert.equal((await waiting).complete, true);
    });

    test('of a guard that was stopped, when its last lease has run out', async () => {
      const { guard, revoke } = await world();
      await openFeedSession(server, guard);
      await server.admin('DELETE', `/guards/${guard.guard}`);
      const rev = await revoke();
      assert.equal((await stand(rev)).complete, false, 'it may accept until then');
      server.clock.advance(2_000);
      assert.equal((await arrived(rev)).complete, true);
    });

    test('who waits too long is told how far it is', async () => {
      const { guard, revoke } = await world();
      await openFeedSession(server, guard);
      const rev = await revoke();
      const waiting = acknowledged(server.deps, rev, 100);
      await acknowledgementOf(server.deps, rev);
      server.clock.advance(100);
      assert.deepEqual((await waiting).complete, false);
    });

    test('by as long a lease as was given, whatever the resource says by now', async () => {
      const { guard, revoke } = await world();
      await server.admin('PATCH', `/resources/${guard.resource}`, { feed: { lease_seconds: 20 } });
      await openFeedSession(server, guard);
      await server.admin('PATCH', `/resources/${guard.resource}`, { feed: { lease_seconds: 1 } });
      const rev = await revoke();
      await stand(rev);
      server.clock.advance(19_999);
      assert.equal((await stand(rev)).complete, false);
      server.clock.advance(1);
      assert.equal((await arrived(rev)).complete, true);
    });

    test('one event tells of it, and it stays on record', async () => {
      const { client, guard } = await world();
      assert.equal((await client.send()).status, 200);
      const session = await openFeedSession(server, guard);
      await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'a test' });
      const { rev } = await asOf(server.deps.db);
      for (let i = 0; i < 2; i++) await session.lease();
      await arrived(rev);
      const [event, ...others] = (await events()).filter(({ target }) => target === client.clientId);
      assert.ok(event && others.length === 0);
      const { guards, ...counted } = event.decided_on as unknown as { guards: { guard: string }[] };
      assert.deepEqual(counted, { rev, resources: [guard.resource], applied: 1, lapsed: [] });
      assert.deepEqual(
        guards.map((one) => one.guard),
        [guard.guard],
      );
      const before = await acknowledgementOf(server.deps, rev);
      server.clock.advance(5_000);
      assert.deepEqual(await acknowledgementOf(server.deps, rev), before);
    });

    test('many of one moment share an event, and each is acknowledged', async () => {
      const { guard, revoke } = await world();
      const session = await openFeedSession(server, guard);
      const revs = await Promise.all(Array.from({ length: 30 }, revoke));
      await session.lease();
      const count = (await events()).length;
      await session.lease();
      for (const rev of revs) assert.equal((await arrived(rev)).complete, true);
      const [shared] = await events();
      assert.equal((await events()).length, count + 1);
      assert.ok(shared);
      const { guards, ...counted } = shared.decided_on as unknown as { guards: { guard: string }[] };
      assert.equal(guards[0]?.guard, guard.guard);
      assert.deepEqual(counted, {
        revs: [revs[0], revs.at(-1)],
        revocations: 30,
        resources: [guard.resource],
      });
    });

    test('who answered when is there long after the feed has forgotten it, and in the log', async () => {
      const { guard, revoke } = await world();
      const session = await openFeedSession(server, guard);
      const rev = await revoke();
      for (let i = 0; i < 2; i++) await session.lease();
      const before = await arrived(rev);
      assert.ok(before.resources[0]?.guards[0]?.appliedAt);
      await tidyFeed(server.deps);
      server.clock.advance(60 * 60_000);
      await tidyFeed(server.deps);
      const { db } = server.deps;
      assert.deepEqual(await db.all('select rev from feed_entries where rev = ?', [rev]), []);
      assert.deepEqual(await acknowledgementOf(server.deps, rev), before);
      const shown = await server.admin<{ acknowledgement: { resources: { guards: { guard: string }[] }[] } }>(
        'GET',
        `/revocations/${rev}`,
      );
      assert.equal(shown.acknowledgement.resources[0]?.guards[0]?.guard, guard.guard);
      const told = (await events()) as unknown as { decided_on: { rev?: number; guards?: object[] } }[];
      assert.deepEqual(told.find(({ decided_on }) => decided_on.rev === rev)?.decided_on.guards, [
        {
          resource: guard.resource,
          guard: guard.guard,
          applied_at: before.resources[0]?.guards[0]?.appliedAt,
          over: before.resources[0]?.acknowledgedAt,
        },
      ]);
      const subject = await db.get<{ subject: string }>('select subject from revocations where rev = ?', [rev]);
      await db.transaction((tx) => forgetSubjects(tx, [subject?.subject as string]));
      assert.deepEqual((await acknowledgementOf(server.deps, rev)).resources, [], 'it goes with the revocation');
    });

    test('of what is from before answers were kept, it is not said that nobody had to be told', async () => {
      const { revoke } = await world();
      const rev = await revoke();
      await arrived(rev);
      const { db } = server.deps;
      await db.transaction(async (tx) => {
        await tx.run('delete from feed_entries where rev <= ?', [rev]);
        await tx.run('update feed_tidied set forgotten = ?', [rev]);
      });
      const unknown = { rev, complete: true, resources: [], forgotten: true };
      assert.deepEqual(await acknowledgementOf(server.deps, rev), unknown);
      const shown = await server.admin<{ acknowledgement: object }>('GET', `/revocations/${rev}`);
      assert.deepEqual(shown.acknowledgement, { forgotten: true, complete: true, resources: [] });
      await db.transaction((tx) => tx.run('update feed_tidied set forgotten = 0'));
    });

    test('what nobody needs is forgotten, and what isn’t acknowledged is kept', async () => {
      const { guard, revoke } = await world();
      const session = await openFeedSession(server, guard);
      const old = await revoke();
      for (let i = 0; i < 2; i++) await session.lease();
      await arrived(old);
      const { db } = server.deps;
      const entries = async () =>
        (await db.all('select rev from feed_entries where resource = ?', [guard.resource])).length;
      await tidyFeed(server.deps);
      await db.transaction((tx) => tx.run('update feed_entries set acknowledged_at = null where rev = ?', [old]));
      server.clock.advance(18 * 60_000);
      await db.transaction((tx) => tx.run('update feed_entries set acknowledged_at = 1 where rev < ?', [old]));
      await db.settle((tx) => deleteOldEntries(tx, old, 1_000));
      assert.equal(await entries(), 1);
      await tidyFeed(server.deps); // takes it up, and what nobody can hold is acknowledged
      assert.equal((await arrived(old)).complete, true);
      await tidyFeed(server.deps);
      assert.equal(await entries(), 0);
      for (let i = 0; i < 2; i++) {
        server.clock.advance(4 * 60 * 60_000);
        await tidyFeed(server.deps);
      }
      const reach = await db.get<{ n: number }>('select count(*) as n from token_reach where until < ?', [
        server.clock.now() - 3 * 60 * 60_000,
      ]);
      assert.equal(Number(reach?.n), 0);
      const later = await openFeedSession(server, guard, old);
      assert.deepEqual([later.at, later.last[0]?.after], [old, old], 'its number is still good');
      const rev = await revoke();
      await later.lease();
      assert.equal(later.at, rev, 'and the chain goes on');
      server.clock.advance(18 * 60_000);
    });
  });

  describe(`a server that was started anew, on ${database}`, () => {
    test('knows the sessions, waits for leases that it doesn’t know, and takes up what was on its way', async () => {
      const before = await startServer({ database });
      try {
        const client = await tokenClient(before);
        const guard = await feedGuard(before, client.resource);
        const session = await openFeedSession(before, guard);
        const end = async (on: TestServer, jti: string) => {
          const { db, clock } = on.deps;
          const token = { jti, agent: client.clientId, resource: client.resource, endsAt: clock.now() + 600_000 };
          const change = { reason: 'a test', by: client.clientId, now: clock.now() };
          return (await db.transaction((tx) => endToken(tx, token, change))) as number;
        };
        const left = await end(before, 'left');
        // it is gone, and says nothing to anybody
        const gone = feedOf(before.deps);
        await acknowledgementOf(before.deps, left);
        gone.stopped = true;
        for (const unlisten of gone.unlisten) unlisten();
        gone.cancelTimer?.();

        const next = await startServer({ joins: before });
        try {
          const rev = await end(next, 'next');
          await session.lease({ address: next.address });
          await session.lease({ address: next.address });
          assert.equal(session.at, rev, 'with the same session and its key');
          for (const one of [left, rev]) {
            assert.equal((await acknowledgementOf(next.deps, one)).complete, false, 'others may hold a lease');
          }
          const waiting = [left, rev].map((one) => acknowledged(next.deps, one, longMs));
          for (const one of [left, rev]) await acknowledgementOf(next.deps, one);
          before.clock.advance(2_000);
          for (const done of await Promise.all(waiting)) {
            assert.equal(done.complete, true);
            if (done.rev === rev) assert.equal(done.resources[0]?.guards[0]?.guard, guard.guard);
          }
        } finally {
          await next.close();
        }
      } finally {
        await before.close();
      }
    });
  });
}
