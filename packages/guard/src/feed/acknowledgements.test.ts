/** Where much is revoked a guard says line by line what it has applied. Whatever becomes of the lines, it is said. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FeedWorld, following } from '../testing/feed-world.ts';

/** Revokes one after the other, and answers how each was acknowledged: by a `request`, a `line`, or `both`. */
async function ways({ feed, pass }: FeedWorld, times: number, everyMs = 100): Promise<string[]> {
  const ways: string[] = [];
  for (let time = 0; time < times; time++) {
    await pass(everyMs);
    const before = feed.asked.length;
    feed.revoke(`x-${feed.head}`);
    await pass(1);
    assert.ok(feed.isAcknowledged(feed.head), 'at once, in whatever way');
    const said = feed.asked.slice(before).filter(({ applied }) => applied === feed.head);
    const isLine = said.some((one) => one.isLine);
    ways.push(!isLine ? 'request' : said.every((one) => one.isLine) ? 'line' : 'both');
  }
  return ways;
}

test('what is said again within a second is said over a line, once somebody hears there', async () => {
  const world = await following();
  await world.pass(1_000); // with its session it has said where it is
  assert.deepEqual(await ways(world, 5), ['request', 'both', 'line', 'line', 'line']);
  assert.equal(world.feed.lines.size, 1);
  world.guard.close();
  await world.settled();
  assert.equal(world.feed.lines.size, 0, 'it ends with the guard');
});

test('who has something to say now and then asks for no line', async () => {
  const world = await following();
  assert.deepEqual(await ways(world, 3, 1_001), ['request', 'request', 'request']);
});

test('a line lasts for twenty seconds, and the next one begins when there is much to say again', async () => {
  const world = await following();
  await ways(world, 3);
  await world.pass(20_000);
  assert.equal(world.feed.lines.size, 0);
  assert.deepEqual(await ways(world, 3), ['request', 'both', 'line']);
});

for (const linesAre of ['unheard', 'unwanted'] as const) {
  test(`a line that is ${linesAre} is not waited for, nor tried again for minutes`, async () => {
    const world = await following();
    world.feed.linesAre = linesAre;
    const said = await ways(world, 30);
    assert.ok(said.slice(2).every((way) => way === 'request'));
    world.feed.linesAre = 'heard';
    assert.ok((await ways(world, 30)).every((way) => way === 'request'));
    await world.pass(400_000);
    assert.deepEqual(await ways(world, 3), ['request', 'both', 'line']);
  });
}

test('what was said over a line that is cut is said again by itself', async () => {
  const world = await following();
  await ways(world, 3);
  const before = world.feed.asked.length;
  for (const line of world.feed.lines) line.cut();
  await world.settled();
  const [again] = world.feed.asked.slice(before);
  assert.deepEqual([again?.applied, again?.isLine], [world.feed.head, undefined]);
  assert.ok(
    (await ways(world, 20)).every((way) => way === 'request'),
    'and no other is tried for a while',
  );
  await world.pass(12_000);
  assert.deepEqual(await ways(world, 3), ['request', 'both', 'line']);
});

test('lines that are always cut are no busy loop', async () => {
  const world = await following();
  world.feed.linesAre = 'cut';
  const before = world.feed.asked.length;
  await ways(world, 10);
  const said = world.feed.asked.length - before;
  assert.ok(said < 20, `${said} times for ten revocations`);
});

test('nobody reads a line: it is given up, and what was to be said over it comes by request', async () => {
  const world = await following();
  await ways(world, 3);
  const { feed, settled } = world;
  feed.readsLines = false;
  for (let index = 0; index < 70; index++) {
    feed.revoke(`y-${index}`);
    await settled();
  }
  await settled();
  assert.ok(feed.isAcknowledged(feed.head));
});
