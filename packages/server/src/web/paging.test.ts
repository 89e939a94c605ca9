import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { cursorAfter } from './paging.ts';

for (const database of databases) {
  describe(`lists are paged by cursor (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      for (let n = 0; n < 25; n++) {
        server.clock.advance(1);
        await operator.ok('POST', '/people', { name: `P${n}`, ...(n % 5 === 0 && { email: 'five@example.com' }) });
      }
    });
    after(() => server.close());

    const names = (page: { items: { name: string }[] }) => page.items.map(({ name }) => name);

    test('every thing once, in the order of creation, whatever is added or ended in between', async () => {
      const seen: string[] = [];
      let path = '/people?limit=4';
      for (let n = 0; ; n++) {
        const page = await operator.ok('GET', path);
        assert.ok(page.items.length <= 4);
        seen.push(...names(page));
        if (page.next_cursor === undefined) break;
        server.clock.advance(1);
        if (n === 1) await operator.ok('POST', '/people', { name: 'added' });
        // ended behind us and ahead of us: neither moves the others
        if (n === 2) await operator.ok('DELETE', `/people/${page.items[0].id}`);
        path = `/people?limit=4&cursor=${page.next_cursor}`;
      }
      assert.deepEqual(seen, [...Array.from({ length: 25 }, (_, n) => `P${n}`), 'added']);
    });

    test('a page that is just full says whether there is more', async () => {
      const { items } = await operator.ok('GET', '/people?limit=200');
      const exact = await operator.ok('GET', `/people?limit=${items.length}`);
      assert.equal(exact.next_cursor, undefined);
      const less = await operator.ok('GET', `/people?limit=${items.length - 1}`);
      assert.equal((await operator.ok('GET', `/people?cursor=${less.next_cursor}`)).items.length, 1);
    });

    test('filters hold over pages', async () => {
      const first = await operator.ok('GET', '/people?email=five@example.com&limit=3');
      assert.equal(first.items.length, 3);
      const next = await operator.ok('GET', `/people?email=five@example.com&limit=3&cursor=${first.next_cursor}`);
      assert.deepEqual(
        [...first.items, ...next.items].every(({ email }) => email === 'five@example.com'),
        true,
      );
    });

    test('the log goes from the newest to the oldest, and new events do not disturb a reader', async () => {
      const first = await operator.ok('GET', '/events?type=person.created&limit=10');
      server.clock.advance(1);
      await operator.ok('POST', '/people', { name: 'late' });
      const next = await operator.ok('GET', `/events?type=person.created&limit=200&cursor=${first.next_cursor}`);
      const ids = [...first.items, ...next.items].map(({ id }: { id: string }) => id);
      assert.deepEqual(ids, [...ids].sort().reverse());
      assert.equal(new Set(ids).size, ids.length);
      assert.equal(ids.length, (await operator.ok('GET', '/events?type=person.created&limit=200')).items.length - 1);
    });

    const { length } = '01m6b5cjm0dwx189xfw25gx0rf';
    for (const [what, cursor] of [
      ['nothing', ''],
      ['words', 'next-please'],
      ['the id of a thing of another kind', cursorAfter(`agt_${'0'.repeat(length)}`)],
      ['an id that is none', cursorAfter(`per_${'u'.repeat(length)}`)],
      ['another form', Buffer.from(`2.per_${'0'.repeat(length)}`).toString('base64url')],
      ['SQL', Buffer.from("1.per_' or '1'='1").toString('base64url')],
      ['the same cursor written otherwise', `${cursorAfter(`per_${'0'.repeat(length)}`)}==`],
      ['something long', 'x'.repeat(10_000)],
    ] as const) {
      test(`a cursor that is ${what} is refused by name`, async () => {
        const reply = await operator.call('GET', `/people?cursor=${encodeURIComponent(cursor)}`);
        assert.equal(reply.status, 400);
        assert.equal(reply.body.errors[0].field, 'cursor');
      });
    }

    for (const limit of ['0', '201', '-1', '1.5', 'ten', '1e2', '', ' 5']) {
      test(`a limit of ${JSON.stringify(limit)} is refused by name`, async () => {
        const reply = await operator.call('GET', `/people?limit=${encodeURIComponent(limit)}`);
        assert.equal(reply.status, 400);
        assert.equal(reply.body.errors[0].field, 'limit');
      });
    }
  });
}
