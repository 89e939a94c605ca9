import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { newId } from '../lib/ids.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import {
  countPolicies,
  findPolicy,
  insertPolicy,
  insertVersion,
  lastRevision,
  selectPolicies,
  selectSet,
  selectVersions,
} from './store.ts';

for (const database of databases) {
  suite(`policies and their versions (${database})`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database });
    });
    after(() => server.close());

    const write = (org: string, policy: string, text: string, mode: 'enforce' | 'observe' | 'removed' = 'enforce') =>
      server.deps.db.transaction((tx) =>
        insertVersion(tx, { org, policy, text, mode, author: 'agt_1', reason: text, at: server.clock.now() }),
      );
    const make = async (org: string, name: string) => {
      const id = newId(server.deps, 'policy');
      const made = await server.deps.db.transaction((tx) =>
        insertPolicy(tx, { id, org, name, createdAt: server.clock.now() }),
      );
      return made ? id : undefined;
    };

    test('every change has the next number of its organization, whoever writes at the same time', async () => {
      const [one, other] = [newId(server.deps, 'organization'), newId(server.deps, 'organization')];
      const a = (await make(one, 'a')) as string;
      const b = (await make(one, 'b')) as string;
      const c = (await make(other, 'a')) as string;
      const written = await Promise.all([
        write(one, a, '1'),
        write(one, b, '1'),
        write(one, a, '2'),
        write(other, c, '1'),
      ]);
      assert.deepEqual(
        written
          .slice(0, 3)
          .map(({ revision }) => revision)
          .toSorted(),
        [1, 2, 3],
      );
      assert.equal(written[3]?.revision, 1);
      assert.equal(await lastRevision(server.deps.db, one), 3);
      assert.equal(await lastRevision(server.deps.db, newId(server.deps, 'organization')), 0);
    });

    test('a name is for one policy of an organization, for ever', async () => {
      const org = newId(server.deps, 'organization');
      const id = (await make(org, 'night')) as string;
      await write(org, id, 'x', 'removed');
      assert.equal(await make(org, 'night'), undefined);
    });

    test('a set is what was in force as of a revision', async () => {
      const { db } = server.deps;
      const org = newId(server.deps, 'organization');
      const b = (await make(org, 'b')) as string;
      const a = (await make(org, 'a')) as string;
      await write(org, b, 'b1');
      await write(org, a, 'a1', 'observe');
      await write(org, b, 'b2');
      await write(org, a, 'a1', 'removed');
      const texts = async (revision: number) =>
        (await selectSet(db, org, revision)).map(({ text, mode }) => `${text} ${mode}`);
      assert.deepEqual(await texts(0), []);
      assert.deepEqual(await texts(1), ['b1 enforce']);
      assert.deepEqual(await texts(2), ['a1 observe', 'b1 enforce']);
      assert.deepEqual(await texts(3), ['a1 observe', 'b2 enforce']);
      assert.deepEqual(await texts(4), ['b2 enforce']);
      assert.equal(await countPolicies(db, org), 1);
      assert.equal((await findPolicy(db, a))?.newest.mode, 'removed');
      const listed = (modes: ('enforce' | 'observe' | 'removed')[], name?: string) =>
        selectPolicies(db, { org, modes, name, limit: 10 }).then((all) => all.map((one) => one.name));
      assert.deepEqual(await listed(['enforce', 'observe']), ['b']);
      assert.deepEqual(await listed(['enforce', 'observe', 'removed']), ['b', 'a']);
      assert.deepEqual(await listed(['removed'], 'a'), ['a']);
      const versions = await selectVersions(db, { policy: b, limit: 10 });
      assert.deepEqual(
        versions.map(({ revision, text }) => [revision, text]),
        [
          [3, 'b2'],
          [1, 'b1'],
        ],
      );
      assert.equal((await selectVersions(db, { policy: b, before: 3, limit: 10 })).length, 1);
    });
  });
}
