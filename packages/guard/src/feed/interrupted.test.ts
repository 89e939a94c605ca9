/** Streams that are cut or held back, restarts of the identity provider: nothing is lost, and nobody notices. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked, feedWorld, following } from '../testing/feed-world.ts';

test('a stream that is cut is opened again where it was, and nothing is lost', async () => {
  const { feed, status, settled, pass } = await following();
  feed.cut();
  feed.revoke('j-1');
  await pass(700);
  assert.equal(await status(), 401);
  await pass(5_000);
  assert.equal(feed.streams.size, 1);
  feed.revoke('j-2');
  await settled();
  assert.ok(feed.isAcknowledged(feed.head));
  assert.equal(feed.opened, 1, 'in the same session');
});

for (const held of ['head', 'body'] as const) {
  test(`a proxy holds back the ${held} of streams: news come by asking late`, async () => {
    const world = await feedWorld({}, (_fake, feed) => {
      feed.holdsBack = held;
    });
    const { feed, guard, status, settled, pass } = world;
    assert.equal(await status(), 200);
    await settled();
    feed.revoke('x-1');
    await pass(5_000);
    assert.equal(guard.status().feed?.transport, 'poll');
    const rev = feed.revoke('j-1');
    await settled();
    assert.equal(await status(), 401);
    assert.ok(feed.isAcknowledged(rev), 'at once');
    assert.ok((feed.asked.at(-1)?.wait_ms ?? 0) <= feed.leaseMs / 3);
    const streamed = feed.streamed;
    feed.holdsBack = undefined;
    await pass(60_000);
    assert.equal(feed.streamed, streamed, 'and it isn’t tried all the time');
    await pass(360_000);
    assert.equal(guard.status().feed?.transport, 'stream', 'but again one day');
  });
}

test('an answer that is late for no reason isn’t asked for without end', async () => {
  const world = await feedWorld({}, (_fake, feed) => {
    feed.streamStatus = 501;
  });
  const { feed, pass } = world;
  const answer = feed.answer;
  feed.answer = (url, init) => {
    const body = init?.method === 'POST' ? JSON.parse(String(init.body)) : undefined;
    if (body?.wait_ms === undefined) return answer(url, init);
    const { wait_ms: _, ...others } = body;
    return answer(url, { ...init, body: JSON.stringify(others) } as RequestInit);
  };
  assert.equal(await world.status(), 200);
  await pass(5_000);
  const before = feed.asked.length;
  await pass(10_000);
  assert.ok(feed.asked.length - before < 60, `${feed.asked.length - before} in ten seconds`);
});

test('a restart of the identity provider is bridged: nobody notices', async () => {
  const world = await following();
  const { fake, feed, status, pass, settled } = world;
  fake.away = true;
  feed.cut();
  await pass(1_000);
  assert.equal(await status(), 200);
  fake.away = false;
  await pass(700);
  assert.equal(world.guard.status().feed?.state, 'current');
  const problems = world.problems.filter((problem) => problem.includes('Revocations'));
  assert.deepEqual([feed.opened, asked(world), problems], [1, 0, []]);
  feed.revoke('j-1');
  await settled();
  await pass(700);
  assert.equal(await status(), 401);
});

test('a session that is over is followed by another one, within the lease, and not all at one moment', async () => {
  const worlds = await Promise.all(Array.from({ length: 8 }, () => following()));
  const when = await Promise.all(
    worlds.map(async (world) => {
      const { feed, pass, guard } = world;
      feed.sessions.clear();
      feed.cut();
      for (let ms = 0; ms < 1_800; ms += 20) {
        await pass(20);
        assert.equal(guard.status().feed?.state, 'current');
        if (feed.opened === 2) return ms;
      }
      throw new Error('never');
    }),
  );
  assert.ok(new Set(when).size > 3, when.join());
});
