/** More early ends than a guard keeps: nothing that was ended is accepted, and what can't be known any more is asked about, once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endToken } from '../packages/server/src/liveness/liveness.ts';
import { databases } from '../packages/server/src/testing/harness.ts';
import { until } from '../packages/server/src/testing/until.ts';
import { feedWorld, statusOf, via } from './feed-world.ts';

const capacity = 15;

for (const database of databases) {
  test(`a guard at its bound forgets the oldest, and asks about tokens of before (${database})`, async () => {
    const here = await feedWorld(database);
    try {
      const { server, other } = here;
      let questions = 0;
      const counting: typeof fetch = (url, init) => {
        if (String(url).endsWith('/introspect')) questions += 1;
        return via(server.issuer, other.address)(url, init);
      };
      const guard = await here.guard({ feed: { capacity }, fetch: counting });
      await guard.ready();
      const [dies, lives] = [await here.caller(), await here.caller()];
      assert.deepEqual([await statusOf(guard, dies.request), await statusOf(guard, lives.request)], [200, 200]);
      const { rev: first } = await here.revoke({ token: dies.token });
      assert.deepEqual([await statusOf(guard, dies.request), questions], [401, 0], 'by what it was told');

      const { db, clock } = server.deps;
      const endMany = async () => {
        let last = 0;
        for (let n = 0; n < capacity + 5; n++) {
          const token = {
            jti: `${first}-${last}-${n}`,
            agent: lives.agent,
            resource: here.resource,
            endsAt: clock.now() + 600_000,
          };
          const change = { reason: 'a test', by: lives.agent, now: clock.now() };
          last = (await db.transaction((tx) => endToken(tx, token, change))) as number;
        }
        await until(
          () => guard.status().feed?.applied,
          (applied) => applied === last,
        );
        const { entries, floor } = guard.status().feed as { entries: number; floor: number };
        assert.deepEqual(
          [entries, floor],
          [capacity, last - capacity],
          'so many are kept, and the floor rises behind them',
        );
      };
      const ask = async () => {
        const before = questions;
        const answers = [await statusOf(guard, dies.request), await statusOf(guard, lives.request)];
        return [...answers, questions - before];
      };

      await endMany();
      assert.deepEqual(await ask(), [401, 200, 2], 'what ended it is forgotten here: the identity provider knows');
      const [status, alive] = await ask();
      assert.deepEqual([status, alive], [401, 200]);
      const before = questions;
      assert.equal(await statusOf(guard, lives.request), 200);
      assert.equal(questions, before, 'what was answered with yes holds, as far as the guard is told what comes after');
      const young = await here.caller();
      assert.equal(await statusOf(guard, young.request), 200);
      assert.equal(questions, before, 'what is younger than the floor is asked about by nobody');

      await endMany();
      assert.deepEqual((await ask()).slice(0, 2), [401, 200], 'and again, once the floor has passed it');
      await here.revoke({ token: lives.token });
      assert.equal(await statusOf(guard, lives.request), 401);
    } finally {
      await here.close();
    }
  });
}
