/** Streams end: when the server does, when a newer one begins, and when nobody reads them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { feedOf } from '../feed-leases/feed.ts';
import { followSession } from '../feed-leases/requests.ts';
import { endToken } from '../liveness/liveness.ts';
import { feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { startServer } from '../testing/harness.ts';
import { tokenClient } from '../testing/token-client.ts';

test('streams of the feed', async (t) => {
  const server = await startServer({ config: { shutdown_grace_seconds: 60 } });
  let closed = false;
  try {
    const { clientId: agent, resource } = await tokenClient(server);
    const guard = await feedGuard(server, resource);
    const session = await openFeedSession(server, guard);
    let tokens = 0;
    const revoke = async () => {
      const { db, clock } = server.deps;
      const token = { jti: `token-${++tokens}`, agent, resource, endsAt: clock.now() + 600_000 };
      await db.transaction((tx) => endToken(tx, token, { reason: 'a test', by: agent, now: clock.now() }));
    };

    await t.test('say now and then that they are there', async () => {
      const ending = new AbortController();
      const answer = await guard.sdk.fetch(`${server.issuer}/feed/${session.id}?after=0`, { signal: ending.signal });
      assert.match(answer.headers.get('content-type') ?? '', /^text\/event-stream/);
      assert.match(answer.headers.get('cache-control') ?? '', /no-store/);
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      assert.match((await reader?.read())?.value ?? '', /^: /, 'the first line comes at once');
      server.clock.advance(15_000);
      assert.match((await reader?.read())?.value ?? '', /^: /);
      ending.abort();
    });

    await t.test('of one session there is one: a newer one ends the older', async () => {
      const [older, newer] = [await session.stream(), await session.stream()];
      assert.equal(await older.next(), undefined);
      await revoke();
      assert.equal((await newer.next())?.entries.length, 1);
      await newer.close();
    });

    await t.test('nobody is waited for who doesn’t read', async () => {
      let ended = 0;
      const out = { write: () => false, close: () => void ended++ };
      await followSession(server.deps, { id: session.id, agent: guard.agent, after: session.at, out });
      assert.ok(feedOf(server.deps).sessions.get(session.id)?.stream);
      await revoke();
      while (ended === 0) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(feedOf(server.deps).sessions.get(session.id)?.stream, undefined);
      await session.lease();
      assert.equal((await session.lease()).at(-1)?.entries.length, 0, 'it goes on by its number');
    });

    await t.test('end with the server, which waits for none of them, nor for whoever waits for news', async () => {
      const stream = await session.stream();
      const waiting = session.post({ wait_ms: 600 });
      await session.lease({ applied: session.at }).catch(() => undefined);
      const begun = performance.now();
      closed = true;
      await server.close();
      assert.ok(performance.now() - begun < 30_000, 'not for as long as requests may take');
      assert.equal(await stream.next(), undefined);
      const answer = await waiting.catch(() => undefined);
      assert.ok(answer === undefined || [200, 404, 503].includes(answer.status));
    });
  } finally {
    if (!closed) await server.close();
  }
});
