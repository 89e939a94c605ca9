/** What guards say line by line: heard at once, believed as a request is, and ended with whatever it rests on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acknowledged } from '../feed-leases/acknowledgement.ts';
import { endToken } from '../liveness/liveness.ts';
import { type FeedSession, feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { feedLines } from '../testing/feed-lines.ts';
import { startServer, type TestServer } from '../testing/harness.ts';
import { tokenClient } from '../testing/token-client.ts';

async function scene(server: TestServer) {
  const { clientId: agent, resource } = await tokenClient(server);
  const guard = await feedGuard(server, resource);
  const session = await openFeedSession(server, guard);
  let tokens = 0;
  /** Answers its number once it was pushed and applied, with the promise that it is acknowledged. */
  const revoke = async () => {
    const { db, clock } = server.deps;
    const stream = await session.stream();
    const token = { jti: `${resource}-${++tokens}`, agent, resource, endsAt: clock.now() + 600_000 };
    const reason = { reason: 'a test', by: agent, now: clock.now() };
    const rev = (await db.transaction((tx) => endToken(tx, token, reason))) as number;
    while (session.at < rev) await stream.next();
    await stream.close();
    return { rev, isAcknowledged: acknowledged(server.deps, rev, 60_000) };
  };
  /** Lines over which something was heard already. */
  const opened = async () => {
    const lines = feedLines(server, session.id);
    lines.say(session.told());
    assert.equal(await lines.status, 200);
    return lines;
  };
  return { guard, session, revoke, opened };
}

test('what guards say line by line', async (t) => {
  const server = await startServer({ config: { shutdown_grace_seconds: 60 } });
  let closed = false;
  try {
    await t.test('is heard at once, line after line', async () => {
      const { guard, session, revoke, opened } = await scene(server);
      const lines = await opened();
      for (let time = 0; time < 3; time++) {
        const { isAcknowledged } = await revoke();
        lines.say(session.told());
        const [resource] = (await isAcknowledged)?.resources ?? [];
        assert.deepEqual(
          resource?.guards.map((one) => [one.guard, 'appliedAt' in one]),
          [[guard.guard, true]],
        );
      }
      const { isAcknowledged } = await revoke();
      const whole = `${JSON.stringify(session.told())}\n`;
      lines.say(whole.slice(0, 20));
      lines.say(whole.slice(20));
      assert.equal((await isAcknowledged)?.complete, true, 'however it comes in pieces');
      lines.end();
      assert.equal(await lines.text, '');
    });

    await t.test('is not wanted where the guard has no lease, and a request hears the same', async () => {
      const { session } = await scene(server);
      server.clock.advance(3_000);
      const lines = feedLines(server, session.id);
      lines.say(session.told());
      assert.equal(await lines.status, 204);
      lines.end();
      assert.equal((await session.applied()).status, 204);
    });

    await t.test('is listened to no more once the lease has run out', async () => {
      const { session, opened } = await scene(server);
      const lines = await opened();
      server.clock.advance(3_000);
      lines.say(session.told());
      assert.equal(await lines.text, '');
    });

    const refusals: [what: string, line: (session: FeedSession) => unknown, status: number][] = [
      ['no JSON', () => 'applied\n', 400],
      ['a member that nobody knows', (session) => ({ ...session.told(), lease: 1 }), 400],
      ['a nonce', (session) => ({ ...session.told(), nonce: 'n-0S6_WzA2Mj' }), 400],
      ['a line without an end', () => 'x'.repeat(600), 400],
      ['a line that is long', () => `{"count":${' '.repeat(600)}1}\n`, 400],
      ['another number than was authenticated', (session) => ({ ...session.told(), applied: 1_000_000 }), 404],
      ['what was said before', (session) => session.told({ count: 1 }), 409],
    ];
    for (const [what, line, status] of refusals) {
      await t.test(`is refused: ${what}`, async () => {
        const { session, revoke, opened } = await scene(server);
        const lines = feedLines(server, session.id);
        if (status === 409) await session.applied();
        lines.say(line(session));
        assert.equal(await lines.status, status);
        assert.match(await lines.text, /^\{"type":"urn:bailiwick:problem:/);
        lines.end();

        const later = await opened();
        const { isAcknowledged } = await revoke();
        later.say(line(session));
        assert.equal(await later.text, '', 'and where others were heard before it, nothing more is');
        later.say(session.told());
        assert.equal((await session.applied()).status, 204);
        assert.equal((await isAcknowledged)?.complete, true);
      });
    }

    await t.test('is refused: nothing, of another type, for another session, by another method', async () => {
      const { session } = await scene(server);
      const nothing = feedLines(server, session.id);
      nothing.end();
      assert.equal(await nothing.status, 400);
      assert.match(await nothing.text, /must have a line/);
      const json = feedLines(server, session.id, { type: 'application/json' });
      json.say(session.told());
      json.end();
      assert.equal(await json.status, 415);
      const { session: another } = await scene(server);
      const foreign = feedLines(server, session.id);
      foreign.say(another.told());
      assert.equal(await foreign.status, 404);
      foreign.end();
      const read = await fetch(`${server.address}/feed/${session.id}/applied`);
      assert.ok([401, 405].includes(read.status));
    });

    await t.test('comes one way at a time: a newer one ends the older', async () => {
      const { opened } = await scene(server);
      const older = await opened();
      const newer = await opened();
      assert.equal(await older.text, '');
      newer.end();
      assert.equal(await newer.text, '');
    });

    await t.test('ends with its session', async () => {
      const { session, opened } = await scene(server);
      const lines = await opened();
      assert.equal((await session.giveBack()).status, 204);
      assert.equal(await lines.text, '');
    });

    await t.test('ends with what its session rests on', async () => {
      const { guard, opened } = await scene(server);
      const lines = await opened();
      await server
        .admin('PATCH', `/agents/${guard.agent}`, { status: 'suspended' })
        .catch(() => server.admin('POST', `/agents/${guard.agent}/suspend`, { reason: 'a test' }));
      assert.equal(await lines.text, '');
    });

    await t.test('ends with the server, which waits for nobody who would go on', async () => {
      const { opened } = await scene(server);
      const lines = await opened();
      const begun = performance.now();
      closed = true;
      await server.close();
      assert.ok(performance.now() - begun < 30_000);
      assert.equal(await lines.text, '');
    });
  } finally {
    if (!closed) await server.close();
  }
});
