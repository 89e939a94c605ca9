import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { appendPrepared, openEvents, type PreparedEvent, prepareEvent, sealingFor } from '../audit/audit.ts';
import { findEvent } from '../audit/store.ts';
import { newId } from '../lib/ids.ts';
import { asOf } from '../liveness/liveness.ts';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { createConsumer, removeConsumer } from './consumer.ts';
import { forgetEvents } from './forget.ts';
import { caughtUp } from './indexer.ts';
import { forgetOrphans } from './orphans.ts';
import { leafHash, newRetiring, retire } from './retention.ts';
import { deleteEvents } from './retention-store.ts';

const day = 86_400_000;

for (const database of databases) {
  describe(`retention, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let n = 0;
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
    });
    after(() => server.close());

    const team = async () => (await operator.ok('POST', '/teams', { name: `team-${++n}` })).id as string;
    const eventsOf = async (target: string) =>
      (await operator.ok('GET', `/events?target=${target}`)).items as { id: string }[];
    /** As if so much time had passed: moving the clock would run everything that a server does in months. */
    const later = async (days: number) => {
      await server.deps.db.settle((tx) => tx.run('update events set at = at - ?', [days * day]));
      await retire(server.deps, newRetiring());
    };

    test('what is over goes, and its hash stays; what has no rule stays', async () => {
      const target = await team();
      const [event] = await eventsOf(target);
      const row = await server.deps.db.get<{ leaf: string; arrival: number }>(
        'select leaf, arrival from events where id = ?',
        [event?.id ?? ''],
      );
      await operator.ok('PUT', '/log/retention', { type: 'team.created', days: 30 });
      await later(29);
      assert.equal((await eventsOf(target)).length, 1);
      await later(2);
      assert.deepEqual(await eventsOf(target), []);
      const kept = await server.deps.db.get<Record<string, unknown>>('select * from retired_events where id = ?', [
        event?.id ?? '',
      ]);
      assert.equal(kept?.leaf_hash, leafHash(row?.leaf ?? ''));
      assert.deepEqual([kept?.type, kept?.arrival], ['team.created', row?.arrival]);
      assert.ok((await operator.ok('GET', '/events?type=log.retention_changed')).items.length > 0);
      const { items } = await operator.ok('GET', '/events?type=log.retired');
      assert.ok(items[0].decided_on.types['team.created'] >= 1);
      const terms = await server.deps.db.get<{ n: number }>('select count(*) as n from event_terms where arrival = ?', [
        row?.arrival ?? 0,
      ]);
      assert.equal(terms?.n, 0);
    });

    test('what nobody has read yet waits, for 30 days', async () => {
      await operator.ok('PUT', '/log/retention', { type: 'team.created', days: 1 });
      await later(40);
      await server.deps.db.transaction((tx) =>
        createConsumer(tx, { name: 'slow', from: 'now', now: server.clock.now() }),
      );
      const target = await team();
      await later(20);
      assert.equal((await eventsOf(target)).length, 1);
      await later(20);
      assert.deepEqual(await eventsOf(target), []);
      await server.deps.db.transaction((tx) => removeConsumer(tx, 'slow'));
    });

    describe('what was personal', () => {
      const contentOf = async (event: string) =>
        (await server.deps.db.get<{ personal: string }>('select personal from events where id = ?', [event]))
          ?.personal as string;
      const stored = (id: string) =>
        server.deps.db.get<{ orphaned_at: number | null }>('select orphaned_at from personal where id = ?', [id]);
      const anHourLater = async () => {
        await server.deps.db.settle((tx) => tx.run('update personal set orphaned_at = orphaned_at - 3600001', []));
        await forgetOrphans(server.deps);
      };
      /** An event of its own, and another of the same content for each further call. */
      const prepared = async (purpose: string) => {
        const { version } = await asOf(server.deps.db);
        const org = (await server.deps.db.get<{ org: string }>('select org from events limit 1'))?.org as string;
        const sealing = await sealingFor(server.deps, version, 'somebody');
        const event = {
          type: 'team.updated' as const,
          outcome: 'allowed' as const,
          org,
          target: `tea_${'0'.repeat(26)}`,
          personal: { details: { purpose } },
        };
        return prepareEvent(server.deps, version, sealing, event, newId(server.deps, 'event'));
      };
      const append = (event: PreparedEvent) => server.deps.db.settle((tx) => appendPrepared(tx, event));
      const gone = async (event: PreparedEvent) => {
        await team(); // the last event never goes
        await caughtUp(server.deps);
        await server.deps.db.settle(async (tx) => {
          const row = await findEvent(tx, event.id);
          await forgetEvents(tx, server.deps, row ? [row] : []);
          await deleteEvents(tx, [row?.arrival ?? 0]);
        });
      };

      test('goes with the last event that refers to it, an hour later', async () => {
        await operator.ok('PUT', '/log/retention', { type: 'team.created', days: 1 });
        const target = await team();
        const [event] = await eventsOf(target);
        const shared = await contentOf(event?.id ?? ''); // of whoever made it: with everything that they do
        const [one, another] = [await prepared('walks dogs'), await prepared('walks dogs')];
        const content = one.personal as string;
        assert.equal(another.personal, content);
        await append(one);
        await append(another);
        await gone(one);
        await forgetOrphans(server.deps);
        assert.equal((await stored(content))?.orphaned_at, null, 'the other refers to it');
        await gone(another);
        const { version } = await asOf(server.deps.db);
        await forgetOrphans(server.deps);
        assert.equal((await stored(content))?.orphaned_at, server.clock.now());
        assert.ok((await asOf(server.deps.db)).version > version, 'no node remembers that it is stored');
        await forgetOrphans(server.deps);
        assert.ok(await stored(content));
        await anHourLater();
        assert.equal(await stored(content), undefined);
        assert.equal((await stored(shared))?.orphaned_at, null);
      });

      test('stays if it comes back in between', async () => {
        const one = await prepared('feeds cats');
        const content = one.personal as string;
        await append(one);
        await gone(one);
        await forgetOrphans(server.deps);
        assert.ok((await stored(content))?.orphaned_at);
        const again = await prepared('feeds cats');
        assert.equal((await stored(content))?.orphaned_at, null);
        await append(again);
        await anHourLater();
        const row = await findEvent(server.deps.db, again.id);
        assert.deepEqual((await openEvents(server.deps.db, row ? [row] : []))[0]?.personal, {
          details: { purpose: 'feeds cats' },
        });
      });

      test('stays if something was under way that refers to it, and isn’t in the index yet', async () => {
        const [one, underWay] = [await prepared('minds birds'), await prepared('minds birds')];
        const content = one.personal as string;
        await append(one);
        await gone(one);
        await forgetOrphans(server.deps);
        assert.ok((await stored(content))?.orphaned_at);
        await append(underWay);
        await anHourLater();
        assert.equal((await stored(content))?.orphaned_at, null);
      });
    });

    test('numbers are never given twice, even if everything goes', async () => {
      await operator.ok('PUT', '/log/retention', { type: '*', days: 1 });
      await later(60);
      await operator.ok('PUT', '/log/retention', { type: '*', days: null });
      const target = await team();
      const rows = await server.deps.db.all<{ arrival: number }>(
        'select e.arrival from events e join retired_events r on r.arrival = e.arrival',
      );
      assert.deepEqual(rows, []);
      assert.equal((await eventsOf(target)).length, 1);
      assert.ok((await operator.ok('GET', '/events?type=log.retired')).items.length > 0, 'what tells of it stays');
    });

    test('an organization’s rules are its own; uses go after 400 days by default', async () => {
      await operator.ok('POST', '/organizations', { name: 'acme' });
      const theirs = await administrator(server, operator, {
        scopes: ['events:read', 'events:write'],
        organization: 'acme',
      });
      const before = await operator.ok('GET', '/log/retention');
      const { kept, rules } = await theirs.ok('PUT', '/log/retention', { type: 'task.opened', days: 7 });
      assert.deepEqual(rules, { 'task.opened': 7 });
      assert.deepEqual([kept['task.opened'], kept['access.used'], kept['token.issued']], [7, 400, undefined]);
      assert.deepEqual(await operator.ok('GET', '/log/retention'), before);
      assert.deepEqual((await theirs.ok('PUT', '/log/retention', { type: 'task.opened' })).rules, {});
      const reader = await administrator(server, operator, { scopes: ['events:read'], organization: 'acme' });
      assert.equal((await reader.call('PUT', '/log/retention', { type: 'task.opened', days: 1 })).status, 403);
    });

    for (const [what, body, status] of [
      ['a type that nobody has', { type: 'moon.landed', days: 3 }, 422],
      ['what tells of the log itself', { type: 'log.retired', days: 3 }, 422],
      ['less than reports of use need', { type: 'token.issued', days: 7 }, 422],
      ['no time at all', { type: 'team.created', days: 0 }, 400],
      ['half a day', { type: 'team.created', days: 0.5 }, 400],
      ['no type', { days: 3 }, 400],
    ] as const) {
      test(`refuses ${what}`, async () => {
        assert.equal((await operator.call('PUT', '/log/retention', body)).status, status);
      });
    }
  });
}
