/** A guard that follows the feed: what is revoked bites at once, and nobody is asked about tokens as long as that is so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateJwk, linkTag } from '@bailiwick/protocol';
import { asked, feedWorld, following } from '../testing/feed-world.ts';

test('a revocation bites at once, is acknowledged at once, and nobody is asked about tokens', async () => {
  const world = await following();
  const { feed, status, settled } = world;
  const rev = feed.revoke('j-1');
  assert.ok(!feed.isAcknowledged(rev));
  await settled();
  assert.equal(await status(), 401);
  assert.ok(feed.isAcknowledged(rev));
  assert.equal(asked(world), 0);
});

for (const [what, id] of [
  ['its agent', 'agt_reader'],
  ['its organization', 'org_default'],
  ['what it links', 'crd_1'],
]) {
  test(`a token ends with ${what}`, async () => {
    const { feed, status, settled } = await following();
    feed.revoke(id as string);
    await settled();
    assert.equal(await status(), 401);
  });
}

test('a token that was planned after a revocation is not concerned', async () => {
  const { feed, status, settled, agent } = await following();
  const rev = feed.revoke('agt_reader');
  await settled();
  assert.equal(await status(await agent.token({ rev })), 200);
  assert.equal(await status(await agent.token({ rev: rev - 1 })), 401);
});

test('a revoked key ends whatever it signed, with whatever number, and is looked up anew', async () => {
  const { fake, feed, agent, status, settled, pass } = await following();
  const stolen = await agent.token({ rev: 1_000_000 });
  assert.equal(await status(stolen), 200);
  const [old] = fake.keys;
  fake.keys = [await generateJwk('ES256')];
  feed.revoke(old!.kid as string);
  await pass(1_500);
  assert.equal(await status(stolen), 401);
  assert.equal(await status(await agent.token({ rev: feed.head })), 200, 'what the next key signs');
  feed.key = old;
  feed.revoke('j-9');
  await settled();
  assert.equal(feed.isAcknowledged(feed.head), false, 'nor is it believed in the feed');
});

test('what was revoked before the guard came is known to it, and what a token rests on later is too', async () => {
  const world = await feedWorld();
  world.feed.revoke('j-1');
  assert.equal(await world.status(), 401);
  assert.equal(asked(world), 0);
});

test('tokens that are older than what is told are asked about, once', async () => {
  const world = await feedWorld({}, (_fake, feed) => {
    feed.head = 10;
    feed.floor = 7;
  });
  const { feed, status, settled, agent, pass } = world;
  const young = await agent.token({ rev: 7 });
  assert.equal(await status(young), 200);
  assert.equal(asked(world), 0);
  assert.equal(await status(), 200);
  await pass(5_000);
  assert.equal(await status(), 200);
  assert.equal(asked(world), 1, 'what was before is settled by one answer');
  feed.revoke('j-1');
  await settled();
  assert.equal(await status(), 401, 'and what comes after is told');
});

test('more revocations than the guard keeps: tokens of before are asked about', async () => {
  const world = await following({ feed: { capacity: 3 } });
  for (let index = 0; index < 5; index++) world.feed.revoke(`x-${index}`);
  await world.settled();
  assert.deepEqual([world.guard.status().feed?.entries, world.guard.status().feed?.floor], [3, 2]);
  world.fake.ended.add('j-1');
  assert.equal(await world.status(), 401);
  assert.equal(asked(world), 1);
});

test('the lease is renewed each third of it, and the guard tells no more than it must', async () => {
  const { feed, pass } = await following();
  const before = feed.asked.length;
  await pass(6_000);
  const requests = feed.asked.length - before;
  assert.ok(requests >= 9 && requests <= 11, `${requests} in three leases`);
  assert.deepEqual(
    feed.asked.map(({ count }) => count),
    feed.asked.map((_, index) => index + 1),
  );
  assert.ok(feed.asked.every(({ wait_ms }) => wait_ms === undefined));
});

test('between two leases it says what it has applied, and asks for nothing', async () => {
  const { feed, settled, pass } = await following();
  await settled();
  const [before] = [...feed.sessions.values()].map(({ leaseEndsAt }) => leaseEndsAt);
  await pass(100);
  feed.revoke('x');
  await settled();
  assert.ok(feed.isAcknowledged(feed.head));
  assert.deepEqual(
    [...feed.sessions.values()].map(({ leaseEndsAt }) => leaseEndsAt),
    [before],
  );
  await pass(feed.leaseMs / 3);
  const [after = 0] = [...feed.sessions.values()].map(({ leaseEndsAt }) => leaseEndsAt);
  assert.ok(after > (before ?? 0), 'and the lease is renewed when it is time');
});

test('many revocations of one moment are acknowledged together', async () => {
  const { feed, settled } = await following();
  const before = feed.asked.length;
  for (let index = 0; index < 100; index++) feed.revoke(`x-${index}`);
  await settled();
  assert.ok(feed.isAcknowledged(100));
  assert.ok(feed.asked.length - before <= 5, `${feed.asked.length - before}`);
});

test('operations in code and no id: the feed speaks of tokens for its own resource alone', async () => {
  const world = await following();
  const { status, agent } = world;
  const foreign = await agent.token({ links: [linkTag('crd_1'), linkTag('res_other')] });
  assert.equal(await status(foreign), 200);
  assert.equal(asked(world), 1, 'of another one it knows nothing, and asks');
});

test('the resource’s id is known: a feed for another one is none', async () => {
  const world = await feedWorld({ resourceId: 'res_else', feed: { whenLost: 'refuse' } });
  const token = await world.agent.token({ links: [linkTag('res_else')] });
  assert.equal(await world.status(token), 503);
});

test('an identity provider without a feed is asked, until it has one', async () => {
  const world = await feedWorld({}, (fake) => {
    fake.feed = undefined;
  });
  const { fake, feed, guard, status, pass } = world;
  assert.equal(await status(), 200);
  assert.equal(asked(world), 1);
  assert.deepEqual(guard.status(), { mode: 'introspect' });
  fake.feed = feed;
  await pass(400_000);
  assert.equal(guard.status().mode, 'feed', 'it is noticed with the next look at its metadata');
  feed.revoke('agt_reader');
  await world.settled();
  assert.equal(await status(await world.agent.token()), 401);
});

test('closing gives the lease back, and nothing is trusted any more', async () => {
  const world = await following();
  const { feed, guard, settled } = world;
  guard.close();
  assert.equal(guard.status().feed?.state, 'lost');
  await settled();
  assert.deepEqual([feed.ended, feed.streams.size], [1, 0]);
  guard.close();
  await world.pass(10_000);
  assert.deepEqual([feed.ended, feed.opened], [1, 1]);
});

test('ready waits for the first lease, and says so if there must be one', async () => {
  const good = await feedWorld();
  await good.guard.ready();
  assert.equal(good.guard.status().feed?.state, 'current');
  const bad = await feedWorld({ feed: { whenLost: 'refuse' } }, (fake) => {
    fake.away = new Set(['/oauth2/token']);
  });
  await assert.rejects(bad.guard.ready(), /feed of the identity provider can not be followed/);
  const lax = await feedWorld({}, (fake) => {
    fake.away = new Set(['/oauth2/token']);
  });
  await lax.guard.ready();
});

test('who had to wait hears whether the token has ended meanwhile', async () => {
  const world = await following({ continuous: { from: 'low' } });
  const { fake, feed, status, settled, guard, agent } = world;
  fake.beforeAnswer = async () => {
    feed.revoke('j-1');
    await settled();
    assert.ok(feed.isAcknowledged(feed.head));
  };
  assert.equal(await status(), 401, 'though the decision point had said yes before');
  fake.beforeAnswer = async () => {};
  const other = await agent.token({ jti: 'j-2', rev: feed.head });
  const verified = await guard.verify(await agent.request('GET', '/tickets', { token: other }));
  assert.ok('verified' in verified);
  assert.equal(guard.standsNow(verified), true);
  feed.revoke('j-2');
  await settled();
  assert.equal(guard.standsNow(verified), false);
  const again = await guard.verifyAgain(verified);
  assert.equal('status' in again && again.status, 401);
  const decision = await guard.allows(verified, { operation: 'list tickets' });
  assert.equal(decision.allowed === false && decision.status, 401);
});
