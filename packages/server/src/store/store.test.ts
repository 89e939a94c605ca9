import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../lib/clock.ts';
import { type TestDatabase, testDatabase } from '../testing/database.ts';
import { databases } from '../testing/harness.ts';
import { lockData } from './data-lock.ts';
import { type Database, isUniqueViolation, type Tx } from './database.ts';
import { migrate } from './migrate.ts';
import { migrations } from './migrations/index.ts';

for (const dialect of databases) {
  describe(`the store, on ${dialect}`, () => {
    let store: TestDatabase;
    let db: Database;

    before(async () => {
      store = await testDatabase(dialect);
      db = store.db;
      await db.transaction((tx) => tx.run('create table things (id text primary key, n bigint not null)'));
    });
    after(() => store.close());

    const insert = (tx: Tx, id: string) => tx.run('insert into things (id, n) values (?, ?)', [id, 1]);
    const count = async (like: string) =>
      (await db.get<{ n: number }>('select count(*) as n from things where id like ?', [like]))?.n;

    test('is durable, and says so', async () => {
      const found = await db.durability();
      if (dialect === 'sqlite') assert.deepEqual([found.journal_mode, found.synchronous], ['wal', 'full']);
      else assert.deepEqual([found.fsync, found.synchronous_commit], ['on', 'on']);
      if (dialect === 'sqlite') assert.equal(statSync(path.join(store.data, 'bailiwick.db')).mode & 0o777, 0o600);
    });

    test('what fails in a group takes nothing else with it, and leaves nothing', async () => {
      const settlements = Array.from({ length: 40 }, (_, i) =>
        db.settle(async (tx) => {
          await insert(tx, `group-${i}`);
          if (i % 7 === 3) throw new Error(`no ${i}`);
          return i;
        }),
      );
      const results = await Promise.allSettled(settlements);
      for (const [i, result] of results.entries()) {
        if (i % 7 === 3) assert.equal(result.status === 'rejected' && (result.reason as Error).message, `no ${i}`);
        else assert.equal(result.status === 'fulfilled' && result.value, i);
      }
      assert.equal(await count('group-%'), results.filter(({ status }) => status === 'fulfilled').length);
    });

    test('an error of the database itself fails its own settlement alone', async () => {
      await db.settle((tx) => insert(tx, 'taken'));
      const results = await Promise.allSettled([
        db.settle((tx) => insert(tx, 'free-1')),
        db.settle((tx) => insert(tx, 'taken')),
        db.settle((tx) => insert(tx, 'free-2')),
      ]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
      assert.ok(results[1]?.status === 'rejected' && isUniqueViolation(results[1].reason));
      assert.equal(await count('free-%'), 2);
    });

    test('nobody sees what is not committed', async () => {
      let seenInside: number | undefined;
      let seenOutside: number | undefined;
      await db.transaction(async (tx) => {
        await insert(tx, 'hidden');
        seenInside = (await tx.get<{ n: number }>("select count(*) as n from things where id = 'hidden'"))?.n;
        seenOutside = await count('hidden');
      });
      assert.deepEqual([seenInside, seenOutside, await count('hidden')], [1, 0, 1]);
    });

    test('what is read again right after a commit is what was committed', async () => {
      const all = () => db.get<{ n: number }>('select count(*) as n from things');
      let before: ReturnType<typeof all> | undefined;
      let after: ReturnType<typeof all> | undefined;
      await db.settle(async (tx) => {
        before = all();
        await insert(tx, 'just now');
        tx.afterCommit(() => {
          after = all();
        });
      });
      assert.equal((await after)?.n, Number((await before)?.n) + 1);
    });

    test('one conditional insert has one winner among fifty', async () => {
      const won = await Promise.all(
        Array.from({ length: 50 }, () =>
          db.settle(async (tx) => (await tx.run("insert into spent values ('once', 1) on conflict do nothing")) === 1),
        ),
      );
      assert.equal(won.filter(Boolean).length, 1);
    });

    test('settlements that want the same rows in opposite orders all come through', async () => {
      const other = dialect === 'postgres' ? await store.open() : db; // another node, where there can be one
      const ids = Array.from({ length: 30 }, (_, i) => `cross-${i}`);
      const upsert = (target: Database, order: readonly string[]) =>
        target.settle(async (tx) => {
          for (const id of order) {
            await tx.run('insert into things (id, n) values (?, 1) on conflict (id) do update set n = things.n + 1', [
              id,
            ]);
          }
        });
      await Promise.all(
        Array.from({ length: 2 }, (_, i) => upsert(i % 2 ? other : db, i % 2 ? ids.toReversed() : ids)),
      );
      const rows = await db.all<{ n: number }>("select n from things where id like 'cross-%'");
      assert.deepEqual(new Set(rows.map(({ n }) => n)), new Set([2]));
    });

    test('two nodes that start at once take each step once', async () => {
      const fresh = await testDatabase(dialect, { migrated: false });
      const [first, second] = [fresh.db, await fresh.open()];
      const taken = await Promise.all([first, second].map((each) => migrate({ db: each, clock: systemClock })));
      assert.deepEqual(taken.flat().sort(), migrations.map(({ name }) => name).sort());
      assert.deepEqual(await migrate({ db: first, clock: systemClock }), []);
      await fresh.close();
    });

    test('data of a newer version are not touched', async () => {
      await db.transaction((tx) => tx.run("insert into migrations values (9999, 'from the future', 0)"));
      await assert.rejects(migrate({ db, clock: systemClock }), /start the newer version/);
      await db.transaction((tx) => tx.run('delete from migrations where number = 9999'));
    });
  });
}

test('one server at a time holds a data folder, and lets go of it', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-lock-'));
  const unlock = lockData(folder);
  assert.throws(() => lockData(folder), /another server is running on the data in .*BAILIWICK_DATA/);
  unlock();
  lockData(folder)();
  assert.equal(statSync(path.join(folder, 'server.lock')).mode & 0o777, 0o600);
  rmSync(folder, { recursive: true });
});
