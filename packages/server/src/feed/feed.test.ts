/** A guard follows the feed: opens a session, hears what is revoked, holds leases, and is what an acknowledgement waits for. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { linkTag } from '@bailiwick/protocol';
import { asOf } from '../liveness/liveness.ts';
import { acknowledged, acknowledgementOf } from '../revocations/acknowledgement.ts';
import { feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { tokenClient } from '../testing/token-client.ts';

const longMs = 60_000;

for (const database of databases) {
  describe(`the feed, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database });
    });
    after(() => server.close());

    const revOf = async () => (await asOf(server.deps.db)).rev;
    /** An agent that holds a token, and a guard of the resource that it is for. */
    async function world() {
      const client = await tokenClient(server);
      const { status, body } = await client.send();
      assert.equal(status, 200, JSON.stringify(body));
      const guard = await feedGuard(server, client.resource);
      const suspend = async () => {
        await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'a test' });
        return revOf();
      };
      return { client, guard, suspend };
    }

    test('the metadata says where', async () => {
      const answer = await fetch(`${server.address}/.well-known/oauth-authorization-server`);
      const { bailiwick_feed_endpoint } = (await answer.json()) as Record<string, unknown>;
      assert.equal(bailiwick_feed_endpoint, `${server.issuer}/feed`);
    });

    test('what is revoked comes by the stream, and is acknowledged once it is applied', async () => {
      const { client, guard, suspend } = await world();
      const session = await openFeedSession(server, guard);
      assert.deepEqual(
        [session.opened.lease_ms, session.opened.when_lost, typeof session.opened.heartbeat_ms],
        [2000, 'introspect', 'number'],
      );
      assert.equal(session.last.at(-1)?.lease, 2000);
      const stream = await session.stream();
      assert.equal(stream.status, 200);
      const rev = await suspend();
      const message = await stream.next();
      assert.deepEqual(
        message?.entries.map(([number, tag]) => [number, tag]),
        [[rev, linkTag(client.clientId)]],
      );
      const waiting = acknowledged(server.deps, rev, longMs);
      const before = await acknowledgementOf(server.deps, rev);
      assert.deepEqual(
        [before.complete, before.resources],
        [false, [{ resource: guard.resource, guards: [{ guard: guard.guard }] }]],
      );
      await session.lease();
      const done = await waiting;
      assert.deepEqual(done, {
        rev,
        complete: true,
        resources: [
          {
            resource: guard.resource,
            acknowledgedAt: server.clock.now(),
            guards: [{ guard: guard.guard, appliedAt: server.clock.now() }],
          },
        ],
      });
      await stream.close();
    });
  });
}
