/** What a guard without a lease believes, and what it never believes again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateJwk } from '@bailiwick/protocol';
import { type FeedWorld, following } from '../testing/feed-world.ts';

/** Requests for a lease hang, the stream goes on. */
function hangPosts({ feed }: FeedWorld): { end(): void } {
  const { answer } = feed;
  let hangs = true;
  feed.answer = (url, init) =>
    hangs && init?.method === 'POST'
      ? new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(init.signal?.reason)))
      : answer(url, init);
  return {
    end() {
      hangs = false;
    },
  };
}

test('an answer settles what was known when it was asked for, whoever joins it later', async () => {
  const world = await following();
  const { feed, fake, pass, status, settled } = world;
  const posts = hangPosts(world);
  for (let i = 0; i < 4; i++) await pass(500);
  const held: (() => void)[] = [];
  fake.beforeAnswer = () => new Promise((resolve) => held.push(resolve));
  const first = status();
  await settled();
  assert.equal(held.length, 1);
  feed.revoke('j-1');
  fake.ended.add('j-1');
  await settled();
  await pass(50);
  const joined = status();
  posts.end();
  await pass(400);
  for (const answer of held) answer();
  fake.beforeAnswer = async () => {};
  assert.ok((await first) !== 200 && (await joined) !== 200);
  await pass(60_000);
  feed.revoke('something-else');
  await settled();
  assert.equal(world.guard.status().feed?.state, 'current');
  assert.equal(await status(), 401, 'nor does it rise again');
});

test('an answer is asked for with how long it is believed, and one under way isn’t joined beyond that', async () => {
  const bodies: URLSearchParams[] = [];
  const { feed, fake, pass, status, settled } = await following({}, (issuer) => {
    const { fetch } = issuer;
    issuer.fetch = (url, init) => {
      if (String(url).endsWith('/introspect')) bodies.push(new URLSearchParams(String(init?.body)));
      return fetch(url, init);
    };
  });
  feed.hangs = true;
  feed.cut();
  await pass(2_500);
  let release = () => {};
  fake.beforeAnswer = () =>
    new Promise((resolve) => {
      release = resolve;
    });
  const early = status();
  await settled();
  await pass(240);
  const joined = status();
  await pass(661); // 901 ms after the question, and 661 after it was joined
  release();
  assert.deepEqual([await early, await joined], [503, 503]);
  assert.deepEqual(
    bodies.map((body) => body.get('hold_ms')),
    ['1000'],
  );
});

test('a revoked key isn’t believed again after as many others came as are remembered', async () => {
  const other = await generateJwk('ES256');
  const { feed, fake, pass, status, settled, agent } = await following({ feed: { capacity: 5 } }, (issuer) => {
    issuer.keys = [...issuer.keys, other];
  });
  const [first] = fake.keys as [(typeof fake.keys)[0], ...unknown[]];
  fake.keys = [other, first];
  const stolen = await agent.token({ jti: 'forged', rev: 1_000_000 });
  fake.keys = [first, other];
  feed.key = first;
  feed.revoke(other.kid as string);
  fake.keys = [first];
  await settled();
  for (let i = 0; i < 6; i++) feed.revoke(`x-${i}`);
  await settled();
  await pass(3_000);
  assert.equal(await status(stolen), 401);
});

test('who is told that there was too much to be told looks up the keys before anything is believed', async () => {
  const { fake } = await following({}, (_fake, feed) => {
    feed.head = 10;
    feed.floor = 7;
  });
  assert.ok((fake.asked['/oauth2/jwks'] ?? 0) >= 2, JSON.stringify(fake.asked));
});
