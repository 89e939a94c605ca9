// The wall clock of a server is wrong for a moment: no token that was ended is told to be valid.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { parseCompact } from '@bailiwick/protocol';
import { fakeClock } from '../lib/clock.ts';
import { suspendSubject } from '../liveness/liveness.ts';
import { databases, startServer, type TestServer, testEpoch } from '../testing/harness.ts';
import { tokenClient } from '../testing/token-client.ts';
import { forgetStatusLists } from './status-list.ts';

const minute = 60_000;

for (const database of databases) {
  describe(`status lists and a wall clock that is wrong, on ${database}`, () => {
    const clock = fakeClock(testEpoch);
    let off = 0;
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, clock: { ...clock, now: () => clock.now() + off } });
    });
    after(() => server.close());

    /** What the list says of a token while the clock is off by so much: its bit, or that there is no list. */
    async function told(jwt: string, ms: number): Promise<number | 'no list'> {
      off = ms;
      try {
        const { idx, uri } = (parseCompact(jwt).payload.status as { status_list: { idx: number; uri: string } })
          .status_list;
        const response = await fetch(uri);
        if (response.status === 404) return 'no list';
        const { payload } = parseCompact(await response.text());
        const bytes = inflateSync(Buffer.from((payload.status_list as { lst: string }).lst, 'base64url'));
        return ((bytes[idx >> 3] as number) >> (idx & 7)) & 1;
      } finally {
        off = 0;
      }
    }

    async function suspend(id: string): Promise<void> {
      const { db, clock: wrong } = server.deps;
      await db.transaction((tx) => suspendSubject(tx, { id, reason: 'x', by: 'test', now: wrong.now() }));
    }

    /** The minute's job, while the clock is off by so much. */
    async function tidy(ms: number): Promise<void> {
      off = ms;
      await forgetStatusLists(server.deps).finally(() => {
        off = 0;
      });
    }

    test('what was ended stays invalid, or is not told of, however far ahead or behind the clock is', async () => {
      const client = await tokenClient(server, { token: { status_list: true } });
      const jwt = String((await client.send()).body.access_token);
      assert.equal(await told(jwt, 0), 0);
      clock.advance(2 * minute);
      await suspend(client.clientId);
      const seen: Record<string, unknown> = {};
      for (const minutes of [0, 12, 16, 20, 28, 40, 600, -5, -600, 0])
        seen[minutes] = await told(jwt, minutes * minute);
      assert.deepEqual(seen, {
        ...{ 0: 1, 12: 1, 16: 1, 20: 1, 28: 1, '-5': 1, '-600': 1 },
        ...{ 40: 'no list', 600: 'no list' },
      });
    });

    test('a list is not lost because the clock was ahead while lists were forgotten', async () => {
      const client = await tokenClient(server, { token: { status_list: true } });
      for (let minutes = 0; minutes < 120; minutes++) {
        await tidy(0); // both clocks have run alike for long, and are believed
        clock.advance(minute);
      }
      const ended = String((await client.send()).body.access_token);
      await suspend(client.clientId);
      for (const minutes of [40, 40, 6_000, 0]) {
        await tidy(minutes * minute);
        clock.advance(minute);
        assert.equal(await told(ended, 0), 1, `after ${minutes} minutes ahead`);
      }
    });

    test('a clock that has always been ahead loses no list of a node whose clock is right', async () => {
      const client = await tokenClient(server, { token: { status_list: true } });
      for (let minutes = 0; minutes < 120; minutes++) {
        await tidy(40 * minute);
        clock.advance(minute);
      }
      const ended = String((await client.send()).body.access_token);
      await suspend(client.clientId);
      await tidy(40 * minute);
      assert.equal(await told(ended, 0), 1);
    });

    test('a clock that is right forgets in time', async () => {
      const client = await tokenClient(server, { token: { status_list: true } });
      assert.equal((await client.send()).status, 200);
      for (let minutes = 0; minutes < 160; minutes++) {
        await tidy(0);
        clock.advance(minute);
      }
      const { db } = server.deps;
      assert.deepEqual(await db.all('select id from status_lists where resource = ?', [client.resource]), []);
      assert.deepEqual(await db.all('select list from status_entries'), []);
    });
  });
}
