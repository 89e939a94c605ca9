import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { answersKeptMs } from './idempotency.ts';

for (const database of databases) {
  describe(`a write with an Idempotency-Key happens once (${database})`, () => {
    let server: TestServer;
    let other: TestServer;
    let operator: AdminClient;
    let elsewhere: AdminClient;

    before(async () => {
      server = await startServer({ database });
      other = await startServer({ database, joins: server });
      operator = adminClient(server, server.operator);
      elsewhere = adminClient(other, server.operator);
    });
    after(async () => {
      await other.close();
      await server.close();
    });

    const people = async (name: string) =>
      (await operator.ok('GET', '/people?limit=200')).items.filter((person: { name: string }) => person.name === name)
        .length;

    test('ten at once make one thing and get one answer', async () => {
      const replies = await Promise.all(
        Array.from({ length: 10 }, () =>
          operator.call('POST', '/people', { name: 'Once' }, { 'idempotency-key': 'ten' }),
        ),
      );
      assert.deepEqual(
        replies.map(({ status }) => status),
        Array(10).fill(201),
      );
      assert.equal(new Set(replies.map(({ text }) => text)).size, 1);
      assert.equal(new Set(replies.map(({ headers }) => headers.get('location'))).size, 1);
      assert.equal(replies.filter(({ headers }) => headers.get('idempotent-replayed') === null).length, 1);
      assert.equal(await people('Once'), 1);
      const { items } = await operator.ok('GET', `/events?target=${replies[0]?.body.id}`);
      assert.equal(items.length, 1, 'and one event');
    });

    test('without a key, ten make ten', async () => {
      await Promise.all(Array.from({ length: 10 }, () => operator.ok('POST', '/people', { name: 'Often' })));
      assert.equal(await people('Often'), 10);
    });

    test('the same key with another request is refused', async () => {
      const key = { 'idempotency-key': 'reused' };
      await operator.call('POST', '/people', { name: 'First' }, key);
      for (const [path, body] of [
        ['/people', { name: 'Second' }],
        ['/people?organization=default', { name: 'First' }],
        ['/teams', { name: 'First' }],
      ] as const) {
        const reply = await operator.call('POST', path, body, key);
        // what is wrong with a request is said before its key is looked at
        assert.equal(reply.status, path === '/teams' ? 400 : 422, reply.text);
        if (path !== '/teams') assert.equal(reply.body.errors[0].field, 'Idempotency-Key');
      }
      assert.equal(await people('Second'), 0);
    });

    test('the order of members makes no other request', async () => {
      const key = { 'idempotency-key': 'order' };
      const first = await operator.call('POST', '/people', '{"name":"Order","email":"o@example.com"}', key);
      const second = await operator.call('POST', '/people', '{ "email": "o@example.com", "name": "Order" }', key);
      assert.equal(second.status, 201);
      assert.equal(second.text, first.text);
    });

    test('keys are each caller’s own', async () => {
      const admin = await administrator(server, operator, { scopes: ['people:read', 'people:write'] });
      const key = { 'idempotency-key': 'mine' };
      const [mine, theirs] = [
        await operator.call('POST', '/people', { name: 'Own' }, key),
        await admin.call('POST', '/people', { name: 'Own' }, key),
      ];
      assert.equal(theirs.status, 201);
      assert.notEqual(mine.body.id, theirs.body.id);
    });

    test('what failed is not kept: it may be tried again', async () => {
      const key = { 'idempotency-key': 'again' };
      const { id } = await operator.ok('POST', '/teams', { name: 'taken' });
      assert.equal((await operator.call('POST', '/teams', { name: 'taken' }, key)).status, 409);
      await operator.ok('POST', `/teams/${id}/retire`);
      assert.equal((await operator.call('POST', '/teams', { name: 'taken' }, key)).status, 409);
      assert.equal((await operator.call('POST', '/teams', { name: 'free' }, key)).status, 201);
    });

    test('an answer without a body is given again as well', async () => {
      const { id } = await operator.ok('POST', '/people', { name: 'Gone' });
      const key = { 'idempotency-key': 'gone' };
      assert.equal((await operator.call('DELETE', `/people/${id}`, undefined, key)).status, 204);
      assert.equal((await operator.call('DELETE', `/people/${id}`, undefined, key)).status, 204);
      assert.equal((await operator.call('DELETE', `/people/${id}`)).status, 404);
    });

    test('two nodes are one', async () => {
      const key = { 'idempotency-key': 'nodes' };
      const replies = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          (n % 2 ? operator : elsewhere).call('POST', '/people', { name: 'Nodes' }, key),
        ),
      );
      assert.equal(new Set(replies.map(({ text }) => text)).size, 1, replies.map(({ text }) => text).join('\n'));
      assert.equal(await people('Nodes'), 1);
    });

    test('after a day a key is free', async () => {
      const key = { 'idempotency-key': 'day' };
      await operator.call('POST', '/people', { name: 'Day' }, key);
      server.clock.advance(answersKeptMs - 1000);
      assert.equal(
        (await operator.call('POST', '/people', { name: 'Day' }, key)).headers.get('idempotent-replayed'),
        'true',
      );
      server.clock.advance(1001);
      assert.equal(
        (await operator.call('POST', '/people', { name: 'Day' }, key)).headers.get('idempotent-replayed'),
        null,
      );
      assert.equal(await people('Day'), 2);
    });

    for (const [what, key] of [
      ['an empty key', ''],
      ['a key that is too long', 'x'.repeat(256)],
      ['a key with letters from elsewhere', 'schl\u00fcssel'],
    ] as const) {
      test(`refused: ${what}`, async () => {
        const reply = await operator.call('POST', '/people', { name: 'No' }, { 'idempotency-key': key });
        assert.equal(reply.status, 400);
        assert.equal(reply.body.errors[0].field, 'Idempotency-Key');
      });
    }
  });
}
