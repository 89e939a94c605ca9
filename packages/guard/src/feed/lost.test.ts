/** A guard without a lease: what can't be known lets nobody in who shouldn't be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked, type FeedWorld, following, late } from '../testing/feed-world.ts';

for (const [whenLost, expected] of [
  ['introspect', [401, 200]],
  ['refuse', [503, 503]],
  ['a word of a later version', [503, 503]],
] as const) {
  test(`the lease is lost, and the resource chose to ${whenLost}`, async () => {
    const world = await following({}, (_fake, feed) => {
      feed.whenLost = whenLost;
    });
    const { fake, feed, status, pass, agent } = world;
    const other = await agent.token({ jti: 'j-2' });
    fake.ended.add('j-1');
    feed.hangs = true;
    feed.cut();
    await pass(1_500);
    assert.equal(await status(other), 200, 'it runs yet');
    await pass(1_500);
    assert.equal(world.guard.status().feed?.state, 'lost');
    assert.deepEqual([await late(world), await late(world, other)], expected);
    feed.hangs = false;
    await pass(10_000);
    assert.equal(world.guard.status().feed?.state, 'current');
    assert.equal(await status(other), 200);
  });
}

test('the guard may be stricter than the resource, and not laxer', async () => {
  const world = await following({ feed: { whenLost: 'refuse' } });
  world.feed.hangs = true;
  await world.pass(3_000);
  assert.equal(await late(world), 503);
});

test('asking without a lease is a part of what the request is', async () => {
  const sent: (string | null)[] = [];
  const world = await following({}, (fake) => {
    const { fetch } = fake;
    fake.fetch = (url, init) => {
      if (String(url).endsWith('/introspect')) sent.push(new Headers(init?.headers).get('traceparent'));
      return fetch(url, init);
    };
  });
  world.feed.hangs = true;
  await world.pass(3_000);
  const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const request = await world.agent.request();
  const decision = await world.guard.decide({ ...request, headers: { ...request.headers, traceparent: [trace] } });
  assert.equal(decision.allowed, true);
  assert.deepEqual(sent, [trace]);
});

test('without a lease an answer about a token is believed for a quarter of a second, and a late one not at all', async () => {
  const world = await following();
  const { fake, feed, status, pass } = world;
  feed.hangs = true;
  await pass(3_000);
  assert.equal(await status(), 200);
  fake.ended.add('j-1');
  await pass(249);
  assert.equal(await status(), 200);
  await pass(1);
  assert.equal(await status(), 401);
  fake.ended.delete('j-1');
  await pass(250);
  fake.beforeAnswer = () => world.pass(751);
  assert.equal(await status(), 503);
  fake.beforeAnswer = async () => {};
  const before = asked(world);
  assert.equal(await status(), 503);
  assert.equal(asked(world), before, 'who is too slow is left alone for a second');
  await pass(1_300);
  assert.equal(await status(), 200);
});

for (const [what, change] of [
  ['the wall clock is set forward by an hour', (world) => world.setWall(3_600_000)],
  ['the machine slept for a minute', (world) => world.setWall(60_000)],
] as [string, (world: FeedWorld) => void][]) {
  test(`${what}: what was known is trusted no more until it was asked for`, async () => {
    const world = await following({}, (_fake, feed) => {
      feed.whenLost = 'refuse';
    });
    world.feed.hangs = true;
    change(world);
    assert.equal(world.guard.status().feed?.state, 'lost');
    world.feed.hangs = false;
    await world.pass(3_000);
    assert.equal(world.guard.status().feed?.state, 'current');
  });
}

test('the wall clock is set back: the lease runs out all the same', async () => {
  const world = await following();
  world.feed.hangs = true;
  world.setWall(-3_600_000);
  await world.pass(1_700);
  assert.equal(world.guard.status().feed?.state, 'current');
  await world.pass(200);
  assert.equal(world.guard.status().feed?.state, 'lost');
});

for (const [what, fail, said] of [
  ['hangs', (world) => Object.assign(world.feed, { hangs: true }), /did not answer in time/],
  [
    'fails',
    ({ feed }) => Object.assign(feed, { answer: async () => new Response('', { status: 500 }) }),
    /https:\/\/[^ ]+\/feed answered 500/,
  ],
] as [string, (world: FeedWorld) => void, RegExp][]) {
  test(`an identity provider that ${what}: what is said of it is for people, without the name of the session`, async () => {
    const world = await following();
    fail(world);
    world.feed.cut();
    await world.pass(5_000);
    assert.match(world.problems.join('\n'), said);
    assert.doesNotMatch(world.problems.join('\n'), /session-1/);
  });
}
