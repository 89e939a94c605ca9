import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type TestDatabase, testDatabase } from '../testing/database.ts';
import { databases } from '../testing/harness.ts';
import type { Database } from './database.ts';

for (const dialect of databases) {
  describe(`news of a transaction, on ${dialect}`, () => {
    let store: TestDatabase;
    let db: Database;

    before(async () => {
      store = await testDatabase(dialect);
      db = store.db;
      await db.transaction((tx) => tx.run('create table things (id text primary key)'));
      if (dialect === 'sqlite') return;
      const { until, end } = hearing(db, 'listening');
      await until((all) => all.includes(undefined)); // it hears nothing of what was said before it listens
      end();
    });
    after(() => store.close());

    /** What is heard under a topic, and a wait for the next of it. */
    function hearing(where: Database, topic: string) {
      const heard: (string | undefined)[] = [];
      let wake = () => {};
      const end = where.listen(topic, (payload) => {
        heard.push(payload);
        wake();
      });
      const until = async (enough: (all: readonly (string | undefined)[]) => boolean) => {
        while (!enough(heard)) await new Promise<void>((resolve) => (wake = resolve));
        return heard;
      };
      return { heard, until, end };
    }

    test('what waits for the commit runs when the rows are there for others', async () => {
      const seen: unknown[] = [];
      let looked: Promise<void> | undefined;
      await db.settle(async (tx) => {
        await tx.run("insert into things (id) values ('first')");
        tx.afterCommit(() => {
          looked = db
            .get<{ id: string }>("select id from things where id = 'first'")
            .then((row) => void seen.push(row?.id));
        });
        assert.deepEqual(seen, []);
      });
      await looked;
      assert.deepEqual(seen, ['first']);
    });

    test('nothing is told of what was rolled back, also where it shared a commit', async () => {
      for (const road of ['settle', 'transaction'] as const) {
        const { heard, until, end } = hearing(db, `topic-${road}`);
        const done: string[] = [];
        const results = await Promise.allSettled(
          Array.from({ length: 20 }, (_, i) =>
            db[road](async (tx) => {
              await tx.run('insert into things (id) values (?)', [`${road}-${i}`]);
              await tx.notify(`topic-${road}`, `${i}`);
              tx.afterCommit(() => done.push(`${i}`));
              if (i % 3 === 1) throw new Error('no');
            }),
          ),
        );
        assert.equal(results.filter(({ status }) => status === 'rejected').length, 7);
        const told = Array.from({ length: 20 }, (_, i) => i).filter((i) => i % 3 !== 1);
        await db.settle((tx) => tx.notify(`topic-${road}`, 'last'));
        await until((all) => all.includes('last'));
        assert.deepEqual(
          heard
            .filter((payload) => payload !== undefined && payload !== 'last')
            .map(Number)
            .toSorted((a, b) => a - b),
          told,
        );
        assert.deepEqual(
          done.map(Number).toSorted((a, b) => a - b),
          told,
        );
        end();
      }
    });

    test('who has stopped listening hears nothing more', async () => {
      const first = hearing(db, 'ended');
      const second = hearing(db, 'ended');
      first.end();
      await db.settle((tx) => tx.notify('ended', 'news'));
      await second.until((all) => all.includes('news'));
      assert.ok(!first.heard.includes('news'));
      second.end();
    });

    if (dialect === 'postgres') {
      test('another node hears it, and is told when it may have missed something', async () => {
        const other = await store.open();
        const { heard, until } = hearing(other, 'between');
        await until((all) => all.includes(undefined)); // it listens from now on
        await db.transaction((tx) => tx.notify('between', 'one'));
        await until((all) => all.includes('one'));
        heard.length = 0;
        await db.run(
          `select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and query = 'listen bailiwick'`,
        );
        await until((all) => all.includes(undefined));
        await db.transaction((tx) => tx.notify('between', 'two'));
        await until((all) => all.includes('two'));
      });
    }
  });
}
