/** What a drill says of guards: those that hang, follow, ask, or do none of it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClientAssertion, signerFrom } from '@bailiwick/protocol';
import { type FakeClock, systemClock } from '../lib/clock.ts';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import type { Report } from './drill.ts';

/** A drill measures: it needs the time that passes by itself. */
const realTime: FakeClock = { ...systemClock, advance: () => assert.fail('this is the real time') };

for (const database of databases) {
  describe(`guards in a drill, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database, clock: realTime });
      operator = adminClient(server, server.operator);
      client = await tokenClient(server);
      // long enough for what a drill does before it revokes; the first makes the canary, which takes longer
      await server.admin('PATCH', `/resources/${client.resource}`, { feed: { lease_seconds: 5 } });
      await drill();
    });
    after(() => server.close());

    const drill = (body: object = {}): Promise<Report> => operator.ok('POST', '/drills', body);
    const rowsOf = ({ rows }: Report, probe: string) => rows.filter((row) => row.probe === probe);

    test('a guard that hangs loses its lease, and the drill waits for that', async () => {
      const guard = await feedGuard(server, client.resource);
      const session = await openFeedSession(server, guard);
      await session.lease();
      const done = await drill();
      const [row] = rowsOf(done, 'guard').filter(({ id }) => id === guard.guard);
      assert.equal(row?.outcome, 'lapsed', JSON.stringify(done.rows));
      assert.equal(done.passed, true);
      assert.equal(rowsOf(done, 'resource')[0]?.outcome, 'not_asked', 'nobody answers at the resource of this test');
    });

    test('one that goes on renewing and has not said that it knows when the waiting is over fails the drill', async () => {
      const guard = await feedGuard(server, client.resource);
      const session = await openFeedSession(server, guard);
      const { at } = session;
      let ended = false;
      const renewing = (async () => {
        while (!ended) await session.lease({ applied: at, wait_ms: 100 });
      })();
      const done = await drill({ wait_seconds: 1 });
      ended = true;
      await renewing;
      const [row] = rowsOf(done, 'guard').filter(({ id }) => id === guard.guard);
      assert.equal(row?.outcome, 'waiting', JSON.stringify(done.rows));
      assert.deepEqual([done.verdict, done.passed], ['failed', false]);
      await session.giveBack();
    });

    test('a guard that holds no lease is named, and counts as nobody who was asked', async () => {
      const guard = await feedGuard(server, client.resource);
      const done = await drill();
      const [row] = rowsOf(done, 'guard').filter(({ id }) => id === guard.guard);
      assert.deepEqual([row?.outcome, /holds no lease/.test(row?.note ?? '')], ['not_asked', true]);
      assert.ok(done.gaps.some((gap) => /without a lease/.test(gap)));
    });

    test('a guard that follows is told, and timed', async () => {
      const guard = await feedGuard(server, client.resource);
      const session = await openFeedSession(server, guard);
      let ended = false;
      const following = (async () => {
        while (!ended) await session.lease({ wait_ms: 100 });
      })();
      const done = await drill();
      ended = true;
      await following;
      const [row] = rowsOf(done, 'guard').filter(({ id }) => id === guard.guard);
      assert.equal(row?.outcome, 'acknowledged', JSON.stringify(done.rows));
      assert.ok((row?.after_ms as number) < 2_000);
    });

    test('a guard that asks about tokens is waited for as long as it believes its answer', async () => {
      const guard = await feedGuard(server, client.resource);
      const { body } = await client.send();
      const assertion = await createClientAssertion(await signerFrom(guard.jwk), {
        clientId: guard.agent,
        audience: server.issuer,
        now: server.clock.now(),
        jti: `asks-${guard.agent}`,
      });
      const form = {
        token: String(body.access_token),
        hold_ms: '8000',
        client_id: guard.agent,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      };
      const answer = await fetch(`${server.issuer}/oauth2/introspect`, {
        method: 'POST',
        body: new URLSearchParams(form),
      });
      assert.equal(((await answer.json()) as { active: boolean }).active, true);
      const early = await drill({ wait_seconds: 1 });
      const [waiting] = rowsOf(early, 'guard').filter(({ id }) => id === guard.guard);
      assert.deepEqual([waiting?.outcome, early.verdict], ['waiting', 'failed'], 'it may believe it for eight seconds');
      const done = await drill({ wait_seconds: 30 });
      const [row] = rowsOf(done, 'guard').filter(({ id }) => id === guard.guard);
      assert.deepEqual([row?.outcome, done.verdict], ['lapsed', 'passed'], JSON.stringify(done.rows));
      assert.match(row?.note ?? '', /asks about tokens/);
    });
  });
}
