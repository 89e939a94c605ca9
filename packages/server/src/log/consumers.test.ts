import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { insertEvent } from '../audit/store.ts';
import { type FakeClock, fakeClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { systemRandom } from '../lib/random.ts';
import type { Database, Tx } from '../store/database.ts';
import { migrate } from '../store/migrate.ts';
import { openDatabase } from '../store/open.ts';
import { databases, testEpoch } from '../testing/harness.ts';
import { testPostgres } from '../testing/postgres.ts';
import { type Consumer, consumerTimes, createConsumer, Refused, removeConsumer } from './consumer.ts';
import { type Consumers, newConsumers } from './consumers.ts';
import { findConsumer, listDeadLetters } from './consumers-store.ts';
import { horizonOf } from './horizon.ts';
import { readOn, type StoredEvent } from './read-on.ts';

for (const dialect of databases) {
  describe(`reading the log on, on ${dialect}`, () => {
    const data = mkdtempSync(path.join(tmpdir(), 'bailiwick-log-'));
    let drop = async () => {};
    let db: Database;
    let clock: FakeClock;
    let n = 0;
    const nodes: { consumers: Consumers; db: Database }[] = [];
    let openAnother: () => Promise<Database>;

    before(async () => {
      const postgres = dialect === 'postgres' ? await testPostgres() : undefined;
      if (postgres) drop = postgres.drop;
      openAnother = () => openDatabase({ data, database_url: postgres?.url }, { onError: () => undefined });
      db = await openAnother();
      await migrate({ db, clock: fakeClock(testEpoch) });
    });
    beforeEach(() => {
      clock = fakeClock(testEpoch);
    });
    after(async () => {
      for (const node of nodes) {
        await node.consumers.stop();
        if (node.db !== db) await node.db.close();
      }
      await db.close();
      await drop();
      rmSync(data, { recursive: true });
    });

    const node = (on = db): Consumers => {
      const consumers = newConsumers({ db: on, clock, random: systemRandom(), log: silentLogger });
      nodes.push({ consumers, db: on });
      return consumers;
    };
    const write = (tx: Tx, id: string, type: string, org: string) =>
      insertEvent(tx, {
        id,
        at: testEpoch,
        org,
        type,
        outcome: 'allowed',
        agent: null,
        target: null,
        resource: null,
        jti: null,
        leaf: `{"id":"${id}"}`,
        personal: null,
      });
    /** Appends events, each in a settlement of its own; answers their ids. */
    const append = async (count: number, { type = 'token.issued', org = 'org_1' } = {}) => {
      const ids = Array.from({ length: count }, () => `evt_${String(++n).padStart(6, '0')}`);
      for (const id of ids) await db.settle((tx) => write(tx, id, type, org));
      return ids;
    };
    const register = (name: string) =>
      db.transaction((tx) => createConsumer(tx, { name, from: 'now', now: clock.now() }));
    const consumer = (name: string, deliver: (ids: string[], signal: AbortSignal) => unknown): Consumer => ({
      name,
      batch: 10,
      timeoutMs: 20_000,
      deliver: async (events: readonly StoredEvent[], signal) => {
        await deliver(
          events.map(({ id }) => id),
          signal,
        );
      },
    });
    /** A consumer that keeps what it gets. */
    const keeping = (name: string) => {
      const got: string[] = [];
      return { got, ...consumer(name, (ids) => got.push(...ids)) };
    };

    test('what is committed late is read all the same, and once', async () => {
      const { position: from } = await readOn({ db }, { after: 0, limit: 1000 });
      const gate = Promise.withResolvers<void>();
      const inserted = Promise.withResolvers<void>();
      const late = db.settle(async (tx) => {
        await write(tx, 'evt_late', 'token.issued', 'org_1');
        inserted.resolve();
        if (dialect === 'postgres') await gate.promise;
      });
      await inserted.promise;
      await new Promise((turn) => setImmediate(turn)); // so that the next settlement doesn't share its transaction
      await append(1);
      const reading = readOn({ db }, { after: from, limit: 1000 });
      await db.get('select 1 as one');
      gate.resolve();
      await late;
      const { events, position } = await reading;
      assert.equal(events[0]?.id, 'evt_late');
      assert.equal(events.length, 2);
      assert.deepEqual((await readOn({ db }, { after: position, limit: 1000 })).events, []);
    });

    test('whoever asks for the horizon after a commit gets one that covers it, however many ask', async () => {
      for (let round = 0; round < 10; round++) {
        const asking = Array.from({ length: 5 }, async () => {
          const [id] = await append(1);
          const horizon = await horizonOf({ db });
          const row = await db.get<{ arrival: number }>('select arrival from events where id = ?', [id as string]);
          return horizon - (row?.arrival ?? Infinity);
        });
        for (const ahead of await Promise.all(asking)) assert.ok(ahead >= 0);
      }
    });

    test('a horizon that fails is asked for anew', { skip: dialect === 'sqlite' }, async () => {
      const other = await openAnother();
      await other.close();
      await assert.rejects(horizonOf({ db: other }));
      await append(1);
      assert.ok((await horizonOf({ db })) > 0);
    });

    test('events come in order, each once, in batches; what is not wanted is passed over', async () => {
      await register('order');
      await register('some');
      const all = keeping('order');
      const some = keeping('some');
      const consumers = node();
      consumers.add(all);
      consumers.add({ ...some, wants: { types: ['token.revoked'], org: 'org_2', outcome: 'allowed' } });
      const ids = await append(25);
      const [wanted] = await append(1, { type: 'token.revoked', org: 'org_2' });
      await append(1, { type: 'token.revoked', org: 'org_3' });
      await append(1, { org: 'org_2' });
      clock.advance(0);
      await consumers.settled();
      assert.deepEqual(all.got.slice(0, 25), ids);
      assert.equal(all.got.length, 28);
      assert.deepEqual(some.got, [wanted]);
      clock.advance(consumerTimes.save);
      await consumers.settled();
      const more = await append(1);
      clock.advance(consumerTimes.poll);
      await consumers.settled();
      assert.deepEqual(all.got.slice(28), more);
      await consumers.stop();
    });

    test('what failed comes again with the same ids, after pauses that grow', async () => {
      await register('failing');
      const calls: { at: number; ids: string[] }[] = [];
      const consumers = node();
      consumers.add(
        consumer('failing', (ids) => {
          calls.push({ at: clock.monotonic(), ids });
          if (calls.length < 5) throw new Error('the disk is full');
        }),
      );
      const ids = await append(3);
      for (let i = 0; i < 40; i++) {
        clock.advance(consumerTimes.poll);
        await consumers.settled();
        if (calls.length === 2) {
          const row = await findConsumer(db, 'failing');
          assert.deepEqual([row?.failures, row?.last_error], [2, 'the disk is full']);
        }
      }
      assert.deepEqual(
        calls.map((call) => call.ids),
        [ids, ids, ids, ids, ids],
      );
      const pauses = calls.slice(1).map(({ at }, i) => at - (calls[i] as { at: number }).at);
      assert.deepEqual(pauses, [1000, 2000, 4000, 8000]);
      const row = await findConsumer(db, 'failing');
      assert.deepEqual([row?.failures, row?.last_error, row?.delivered], [0, null, 3]);
      await consumers.stop();
    });

    test('one that hangs holds up nobody else, and is cut off', async () => {
      await register('hanging');
      await register('quick');
      const quick = keeping('quick');
      const consumers = node();
      const hangs = Promise.withResolvers<void>();
      consumers.add(
        consumer('hanging', async (_, signal) => {
          hangs.resolve();
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        }),
      );
      consumers.add(quick);
      const ids = await append(2);
      clock.advance(0);
      await hangs.promise;
      while (quick.got.length < 2) await new Promise((turn) => setImmediate(turn));
      assert.deepEqual(quick.got, ids);
      for (let passed = 0; passed < 20_000; passed += 1000) {
        clock.advance(1000);
        await db.settle(async () => undefined); // so that a beat gets through
      }
      await consumers.settled();
      assert.equal((await findConsumer(db, 'hanging'))?.last_error, 'it took more than 20 s');
      await consumers.stop();
    });

    test('what is refused for good is set aside alone, and said', async () => {
      await register('picky');
      const got: string[] = [];
      const ids = await append(7);
      const consumers = node();
      consumers.add(
        consumer('picky', (batch) => {
          if (batch.includes(ids[4] as string)) throw new Refused('it wants no such event');
          got.push(...batch);
        }),
      );
      for (let i = 0; i < 200; i++) {
        clock.advance(consumerTimes.poll);
        await consumers.settled();
      }
      assert.deepEqual(got, ids.toSpliced(4, 1));
      const letters = await listDeadLetters(db, 'picky', 10);
      assert.deepEqual(
        letters.map(({ event, reason }) => [event, reason]),
        [[ids[4], 'it wants no such event']],
      );
      await db.transaction((tx) => removeConsumer(tx, 'picky'));
      await append(1);
      clock.advance(consumerTimes.beat);
      await consumers.settled();
      assert.equal(got.length, 6);
      assert.deepEqual(await listDeadLetters(db, 'picky', 10), []);
      await consumers.stop();
    });

    test('a node that stops hands over at once; whoever comes next goes on where it stood', async () => {
      await register('relay');
      const first = keeping('relay');
      const second = keeping('relay');
      const one = node();
      const two = node(dialect === 'postgres' ? await openAnother() : db);
      one.add(first);
      const ids = await append(3);
      clock.advance(0);
      await one.settled();
      assert.deepEqual(first.got, ids);
      if (dialect === 'postgres') {
        two.add(second); // waits
        const more = await append(2);
        clock.advance(consumerTimes.poll);
        await Promise.all([one.settled(), two.settled()]);
        assert.deepEqual([...first.got, ...second.got], [...ids, ...more]);
        assert.deepEqual(second.got, []);
      } else two.add(second);
      const before = first.got.length;
      await one.stop();
      const last = await append(2);
      clock.advance(consumerTimes.poll);
      await two.settled();
      assert.equal(first.got.length, before);
      assert.deepEqual(second.got, last);
      await two.stop();
    });

    test('a node that died is taken over from; one that lives is not', { skip: dialect === 'sqlite' }, async () => {
      await register('dying');
      const dead = await openAnother();
      const before = keeping('dying');
      const heir = keeping('dying');
      const one = newConsumers({ db: dead, clock, random: systemRandom(), log: silentLogger });
      const two = node(await openAnother());
      one.add(before);
      two.add(heir);
      const ids = await append(1);
      const turn = async (ms: number) => {
        for (let passed = 0; passed < ms; passed += consumerTimes.beat) {
          clock.advance(consumerTimes.beat);
          await Promise.all([one.settled(), two.settled()]);
          await new Promise((done) => setTimeout(done, 20)); // a beat is awaited by nobody
        }
      };
      await turn(2 * consumerTimes.takeOver);
      const holder = before.got.length > 0 ? before : heir;
      assert.deepEqual([before.got.length, heir.got.length].toSorted(), [0, 1]);
      assert.deepEqual(holder.got, ids);
      // whoever holds it loses its database: it says nothing more, and must deliver nothing more
      if (holder === heir) {
        await one.stop();
        await dead.close();
        return;
      }
      await dead.close();
      const more = await append(1);
      await turn(2 * consumerTimes.takeOver);
      assert.deepEqual(heir.got, more);
      assert.equal(before.got.length, 1);
      await one.stop().catch(() => undefined);
    });

    test('two nodes never deliver at once, and what is read twice has the same ids', {
      skip: dialect === 'sqlite',
    }, async () => {
      await register('contested');
      let inside = 0;
      let most = 0;
      const got: string[] = [];
      const racing = await Promise.all(
        Array.from({ length: 3 }, async () => {
          const consumers = node(await openAnother());
          consumers.add(
            consumer('contested', async (ids) => {
              most = Math.max(most, ++inside);
              await new Promise((turn) => setImmediate(turn));
              got.push(...ids);
              inside--;
            }),
          );
          return consumers;
        }),
      );
      const ids: string[] = [];
      for (let i = 0; i < 10; i++) {
        ids.push(...(await append(5)));
        clock.advance(consumerTimes.poll);
        await Promise.all(racing.map((consumers) => consumers.settled()));
      }
      assert.equal(most, 1);
      assert.deepEqual(got, ids);
      for (const consumers of racing) await consumers.stop();
    });
  });
}
