import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { systemRandom } from '../lib/random.ts';
import { adminClient } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer, testEpoch } from '../testing/harness.ts';
import { hashOf, isSecret, newSecret, secretsEndAt } from './secret.ts';
import { findByHash, useOnce } from './store.ts';

test('a secret has 256 bits, says what it is, and is known by its hash', () => {
  const random = systemRandom();
  const made = Array.from({ length: 1000 }, () => newSecret(random, 'bwe'));
  assert.equal(new Set(made.map(({ secret }) => secret)).size, made.length);
  for (const { secret, hash } of made) {
    assert.equal(Buffer.from(secret.slice(4), 'base64url').length, 32);
    assert.equal(hash, createHash('sha256').update(secret).digest('base64url'));
    assert.ok(isSecret('bwe', secret) && !isSecret('bws', secret));
  }
  const { secret } = newSecret(random, 'bws');
  const near = [
    '',
    'bws_',
    secret.slice(1),
    `${secret}A`,
    secret.slice(0, -1),
    `${secret.slice(0, -1)}+`,
    ` ${secret}`,
  ];
  for (const text of [...near, `${secret.slice(0, -1)}\n`]) assert.ok(!isSecret('bws', text), JSON.stringify(text));
});

test('the exception lasts until the end of its day', () => {
  assert.equal(secretsEndAt({}), undefined);
  assert.equal(secretsEndAt({ dangerously_client_secrets_until: '2027-03-31' }), Date.UTC(2027, 3, 1));
});

for (const database of databases) {
  describe(`what is found by its hash, and what works once (${database})`, () => {
    let server: TestServer;
    let other: TestServer;

    before(async () => {
      const config = { dangerously_client_secrets_until: '2026-12-31' };
      server = await startServer({ database, config });
      other = await startServer({ database, config, joins: server });
    });
    after(async () => {
      await other.close();
      await server.close();
    });

    const make = (kind: string, more: object = {}) => {
      const body = { agent: server.operator.client_id, kind, ...more };
      return adminClient(server, server.operator).ok('POST', '/credentials', body);
    };

    test('a live one of the kind that was asked for', async () => {
      const { db, clock } = server.deps;
      const token = await make('enrolment_token');
      const secret = await make('secret', { expires_at: new Date(testEpoch + 600_000).toISOString() });
      const find = (kind: 'secret' | 'enrolment_token', text: string) =>
        findByHash(db, kind, hashOf(text), clock.now());
      assert.equal((await find('enrolment_token', token.secret))?.id, token.id);
      assert.equal((await find('secret', secret.secret))?.id, secret.id);
      assert.equal(await find('secret', token.secret), undefined);
      assert.equal(await find('enrolment_token', secret.secret), undefined);
      assert.equal(await find('enrolment_token', token.thumbprint), undefined, 'the hash is not the secret');
      const removed = await make('enrolment_token');
      await adminClient(server, server.operator).ok('DELETE', `/credentials/${removed.id}`);
      assert.equal(await find('enrolment_token', removed.secret), undefined);
      server.clock.advance(599_999);
      assert.ok(await find('enrolment_token', token.secret));
      server.clock.advance(1);
      assert.equal(await find('enrolment_token', token.secret), undefined);
      assert.equal(await find('secret', secret.secret), undefined);
    });

    test('ten at once, on two nodes: one has used it', async () => {
      for (let round = 0; round < 5; round++) {
        const { id, secret } = await make('enrolment_token');
        const now = server.clock.now();
        const won = await Promise.all(
          Array.from({ length: 10 }, (_, n) => (n % 2 ? server : other).deps.db.settle((tx) => useOnce(tx, id, now))),
        );
        assert.equal(won.filter(Boolean).length, 1);
        const found = await findByHash(server.deps.db, 'enrolment_token', hashOf(secret), now);
        assert.deepEqual([found?.usedAt, found?.lastUsedAt], [now, now], 'it is still known, and known to be used');
        assert.equal(await server.deps.db.settle((tx) => useOnce(tx, id, now + 1)), false);
      }
    });

    test('what was undone was not used', async () => {
      const { id } = await make('enrolment_token');
      const { db, clock } = server.deps;
      const undone = db.transaction(async (tx) => {
        assert.equal(await useOnce(tx, id, clock.now()), true);
        throw new Error('no');
      });
      await assert.rejects(undone, /no/);
      assert.equal(await db.settle((tx) => useOnce(tx, id, clock.now())), true);
    });
  });
}
