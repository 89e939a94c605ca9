import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { linkTag } from '@bailiwick/protocol';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import {
  asOf,
  endedSince,
  endSubject,
  endToken,
  narrowSubject,
  registerSubject,
  resumeSubject,
  subjectStatus,
  suspendSubject,
  tagsEndedSince,
} from './liveness.ts';

for (const database of databases) {
  describe(`liveness, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database });
    });
    after(() => server.close());

    const change = (id: string) => ({ id, reason: 'a test', by: 'agt_test', now: server.clock.now() });
    const register = (id: string) =>
      server.deps.db.transaction((tx) => registerSubject(tx, { id, kind: 'agent', now: server.clock.now() }));
    const dead = (id: string, rev: number) => tagsEndedSince(server.deps.db, [linkTag(id)], rev);

    test('a revocation kills what is older and leaves what is newer', async () => {
      const { db } = server.deps;
      await register('a1');
      const { rev: before } = await asOf(db);
      const rev = await db.transaction((tx) => suspendSubject(tx, change('a1')));
      assert.equal(rev, before + 1);
      assert.equal(await subjectStatus(db, 'a1'), 'suspended');
      assert.equal(await db.transaction((tx) => resumeSubject(tx, change('a1'))), true);
      assert.equal(await subjectStatus(db, 'a1'), 'active');
      assert.equal(await dead('a1', before), true, 'what was issued before stays dead when it is resumed');
      assert.equal(await dead('a1', before + 1), false);
      assert.equal(await dead('another', before), false);
    });

    test('ending is for good, and repeating an order takes no number', async () => {
      const { db } = server.deps;
      await register('a2');
      const first = await db.transaction((tx) => endSubject(tx, change('a2')));
      assert.equal(typeof first, 'number');
      for (const again of [endSubject, suspendSubject]) {
        assert.equal(await db.transaction((tx) => again(tx, change('a2'))), undefined);
      }
      assert.equal(await db.transaction((tx) => resumeSubject(tx, change('a2'))), false);
      assert.equal((await asOf(db)).rev, first);
    });

    test('what is suspended can be ended, and what is narrowed stays alive', async () => {
      const { db } = server.deps;
      await register('a3');
      await db.transaction((tx) => suspendSubject(tx, change('a3')));
      assert.equal(typeof (await db.transaction((tx) => endSubject(tx, change('a3')))), 'number');
      await register('a4');
      const rev = await db.transaction((tx) => narrowSubject(tx, change('a4')));
      assert.equal(await subjectStatus(db, 'a4'), 'active');
      assert.equal(await dead('a4', rev - 1), true);
    });

    test('a token ends once, by its own id', async () => {
      const { db } = server.deps;
      const token = { jti: 'jti-1', agent: 'agt_1', resource: 'res_1', endsAt: server.clock.now() + 600_000 };
      const { rev } = await asOf(db);
      const order = { reason: 'a test', by: 'agt_test', now: server.clock.now() };
      assert.equal(typeof (await db.transaction((tx) => endToken(tx, token, order))), 'number');
      assert.equal(await db.transaction((tx) => endToken(tx, token, order)), undefined);
      assert.equal(await dead('jti-1', rev), true);
    });

    test('numbers follow the order of commits: who sees one has seen all before it', async () => {
      const { db } = server.deps;
      const ids = Array.from({ length: 30 }, (_, i) => `order-${i}`);
      for (const id of ids) await register(id);
      let highest = 0;
      let watching = true;
      const watch = (async () => {
        while (watching) {
          const rows = await db.all<{ rev: number }>('select rev from revocations order by rev');
          const revs = rows.map(({ rev }) => rev);
          assert.deepEqual(
            revs,
            Array.from({ length: revs.length }, (_, i) => (revs[0] as number) + i),
            'a gap',
          );
          assert.ok((revs.at(-1) ?? 0) >= highest);
          highest = revs.at(-1) ?? 0;
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      await Promise.all(ids.map((id) => db.transaction((tx) => endSubject(tx, change(id)))));
      watching = false;
      await watch;
    });

    test('a change of the registry moves its version, a revocation both', async () => {
      const { db } = server.deps;
      const start = await asOf(db);
      await register('a5');
      const registered = await asOf(db);
      assert.deepEqual([registered.rev, registered.version], [start.rev, start.version + 1]);
      await db.transaction((tx) => endSubject(tx, change('a5')));
      const ended = await asOf(db);
      assert.ok(ended.rev > registered.rev && ended.version > registered.version);
    });

    test('inside a settlement, only what the plan rests on counts', async () => {
      const { db } = server.deps;
      await register('a6');
      const { rev } = await asOf(db);
      await db.transaction((tx) => endSubject(tx, change('a6')));
      assert.equal(await db.settle((tx) => endedSince(tx, ['a6', 'x'], rev)), true);
      assert.equal(await db.settle((tx) => endedSince(tx, ['x', 'y'], rev)), false);
      assert.equal(await db.settle((tx) => endedSince(tx, ['x', 'y'], rev, [linkTag('a6')])), true);
    });
  });
}
