/** A signing key is revoked: what it signed is dead on every node, it is gone from the key set, and a successor signs at once. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { adminClient } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const kidIn = (token: string): string => String(parseCompact(token).header.kid);

for (const database of databases) {
  describe(`a signing key that is revoked (${database})`, () => {
    let server: TestServer;
    let second: TestServer | undefined;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database });
      if (database === 'postgres') second = await startServer({ joins: server });
      client = await tokenClient(server);
    });
    after(async () => {
      await second?.close();
      await server.close();
    });

    const nodes = () => (second ? [server, second] : [server]);
    const token = async () => {
      const { status, body } = await client.send();
      assert.equal(status, 200, JSON.stringify(body));
      return String(body.access_token);
    };
    const published = async (node: TestServer) => {
      const { keys } = (await (await fetch(`${node.address}/oauth2/jwks`)).json()) as { keys: { kid: string }[] };
      return keys.map(({ kid }) => kid);
    };
    const revoke = async (kid: string) => {
      // a client of its own each time: the one before held a token by the key that was revoked
      const reply = await adminClient(server, server.operator).call('POST', '/revocations', {
        kind: 'key',
        subject: kid,
        reason: 'a test',
      });
      assert.equal(reply.status, 201, reply.text);
      return reply.body;
    };

    test('on every node at once: out of the key set, its tokens dead, the next one signed by another', async () => {
      const tokens = [await token(), await token()];
      const kid = kidIn(tokens[0] as string);
      for (const node of nodes()) assert.ok((await published(node)).includes(kid));
      const { rev } = await revoke(kid);
      for (const node of nodes()) {
        assert.equal((await published(node)).includes(kid), false);
        const { introspect } = instanceClient(node, client);
        for (const dead of tokens) assert.equal((await introspect(dead)).active, false);
      }
      const next = await token();
      assert.notEqual(kidIn(next), kid);
      for (const node of nodes()) {
        assert.ok((await published(node)).includes(kidIn(next)));
        assert.equal((await instanceClient(node, client).introspect(next)).active, true);
      }
      const row = await server.deps.db.get('select kid from signing_keys where kid = ?', [kid]);
      assert.equal(row, undefined, 'the private half is gone');
      const { already, rev: same } = await revoke(kid);
      assert.deepEqual([already, same], [true, rev]);
      const { items } = await adminClient(server, server.operator).ok('GET', '/events?type=key.revoked');
      assert.deepEqual([items[0].target, items[0].decided_on.changed.signs], [kid, kidIn(next)]);
    });

    test('a successor that is published already signs in its place, and was known to verifiers', async () => {
      const operator = adminClient(server, server.operator);
      const { kid: waiting } = await operator.ok('POST', '/keys/rotate', {});
      const current = kidIn(await token());
      assert.notEqual(current, waiting);
      await revoke(current);
      assert.equal(kidIn(await token()), waiting);
      for (const node of nodes()) assert.ok((await published(node)).includes(waiting));
    });

    test('one that does not sign yet, or no more, leaves the one that does alone', async () => {
      const current = kidIn(await token());
      const { kid: waiting } = await adminClient(server, server.operator).ok('POST', '/keys/rotate', {});
      const alive = await token();
      await revoke(waiting);
      assert.equal(kidIn(await token()), current);
      assert.equal((await instanceClient(server, client).introspect(alive)).active, true);

      const { signs_from } = await adminClient(server, server.operator).ok('POST', '/keys/rotate', {});
      server.clock.advance(Date.parse(signs_from) - server.clock.now() + 1000);
      const later = await token();
      assert.notEqual(kidIn(later), current);
      await revoke(current);
      assert.equal((await instanceClient(server, client).introspect(later)).active, true);
      assert.equal(kidIn(await token()), kidIn(later));
    });

    test('what nobody signs with can’t be revoked', async () => {
      const reply = await adminClient(server, server.operator).call('POST', '/revocations', {
        kind: 'key',
        subject: 'unknown',
        reason: 'x',
      });
      assert.equal(reply.status, 404);
    });
  });
}
