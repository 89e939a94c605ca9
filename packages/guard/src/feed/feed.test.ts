/** A guard that follows the feed: what is revoked bites at once, and what can't be known lets nobody in who shouldn't be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateJwk, linkTag } from '@bailiwick/protocol';
import { type FeedWorld, feedWorld } from '../testing/feed-world.ts';

const introspect = '/oauth2/introspect';
const asked = ({ fake }: FeedWorld) => fake.asked[introspect] ?? 0;

/** The guard has its lease, and its stream is open. */
async function following(...given: Parameters<typeof feedWorld>): Promise<FeedWorld> {
  const world = await feedWorld(...given);
  assert.equal(await world.status(), 200);
  await world.settled();
  assert.equal(world.guard.status().feed?.state, 'current');
  return world;
}

/** Who comes while nothing can be known waits a moment for the lease to come back. */
async function late(world: FeedWorld, token?: string): Promise<number> {
  const answer = world.status(token);
  await world.pass(300);
  return answer;
}

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

test('many revocations of one moment are acknowledged together', async () => {
  const { feed, settled } = await following();
  const before = feed.asked.length;
  for (let index = 0; index < 100; index++) feed.revoke(`x-${index}`);
  await settled();
  assert.ok(feed.isAcknowledged(100));
  assert.ok(feed.asked.length - before <= 5, `${feed.asked.length - before}`);
});

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

const stranger = await generateJwk('ES256');

/** Whatever is wrong with what comes: nothing is learned from it, and the lease isn't renewed by it. */
for (const [what, spoil] of [
  ['signed by an unknown key', ({ feed }) => Object.assign(feed, { key: stranger })],
  [
    'signed by another key under a known name',
    ({ fake, feed }) => Object.assign(feed, { key: { ...stranger, kid: fake.keys[0]!.kid } }),
  ],
  [
    'altered after it was signed',
    ({ feed }) =>
      Object.assign(feed, {
        tamper: (jws: string) =>
          jws.replace(/\.(.)([^.]*)$/, (_all, first, rest) => `.${first === 'A' ? 'B' : 'A'}${rest}`),
      }),
  ],
  ['without signature', ({ feed }) => Object.assign(feed, { tamper: (jws: string) => jws.replace(/[^.]*$/, '') })],
  ['too long', ({ feed }) => Object.assign(feed, { tamper: (jws: string) => jws + 'A'.repeat(300_000) })],
  ['of another issuer', ({ feed }) => forge(feed, { iss: 'https://other.example' })],
  ['for another resource', ({ feed }) => forge(feed, { aud: 'res_other' })],
  ['to somebody else’s nonce', ({ feed }) => forge(feed, { nonces: ['other'] })],
  ['without a lease', ({ feed }) => forge(feed, { lease: undefined, nonces: undefined })],
  ['with a gap before it', ({ feed }) => forge(feed, { after: 5, rev: 9 })],
  ['with a number that is none', ({ feed }) => forge(feed, { rev: -1 })],
  ['that goes backwards', ({ feed }) => forge(feed, { after: 3, rev: 2 })],
  [
    'with entries out of order',
    ({ feed }) =>
      forge(feed, {
        rev: 9,
        entries: [
          [8, 'a', 1],
          [7, 'b', 1],
        ],
      }),
  ],
  ['with an entry beyond its number', ({ feed }) => forge(feed, { rev: 9, entries: [[10, 'a', 1]] })],
  ['with an entry that is none', ({ feed }) => forge(feed, { rev: 9, entries: [[8, 'a']] as never })],
  ['with more to come', ({ feed }) => forge(feed, { more: true })],
] as [string, (world: FeedWorld) => void][]) {
  test(`an answer ${what} is worth nothing`, async () => {
    const world = await following({}, (_fake, feed) => {
      feed.whenLost = 'refuse';
    });
    const { feed, guard, pass, problems } = world;
    feed.streamStatus = 503;
    feed.cut();
    spoil(world);
    await pass(3_000);
    assert.equal(guard.status().feed?.state, 'lost');
    assert.equal(guard.status().feed?.applied, 0);
    assert.equal(await late(world), 503);
    assert.match(problems.join('\n'), /Revocations can't be followed/);
    assert.ok(problems.every((problem) => !/ey[A-Za-z0-9_-]{20}/.test(problem)));
  });
}

function forge(feed: FeedWorld['feed'], changes: object): void {
  feed.forge = (message) => ({ ...message, ...changes });
}

/** A stream that brings what can't be believed brings nothing, and what it held back is asked for. */
for (const [what, send] of [
  ['no message', ({ feed }) => feed.sendRaw('hello')],
  ['a token', async ({ feed, token }) => feed.sendRaw(token)],
  [
    'a message of a stranger',
    ({ feed }) => {
      feed.key = stranger;
      feed.send({ rev: 9, entries: [[9, linkTag('j-1'), 4_000_000_000]] });
      feed.key = undefined;
    },
  ],
  [
    'a message for another resource',
    ({ feed }) => feed.send({ aud: 'res_other', rev: 9, entries: [[9, linkTag('j-1'), 4_000_000_000]] }),
  ],
  [
    'a message behind a gap',
    ({ feed }) => feed.send({ after: 5, rev: 9, entries: [[9, linkTag('j-1'), 4_000_000_000]] }),
  ],
  ['a new beginning', ({ feed }) => feed.send({ after: null, rev: 9, entries: [[9, linkTag('j-1'), 4_000_000_000]] })],
  ['the beginning of something without end', ({ feed }) => feed.sendRaw('x'.repeat(400_000))],
] as [string, (world: FeedWorld) => void][]) {
  test(`a stream that brings ${what} changes nothing`, async () => {
    const world = await following();
    const { feed, status, settled, pass, guard } = world;
    send(world);
    await settled();
    assert.equal(await status(), 200);
    assert.equal(guard.status().feed?.applied, 0);
    feed.revoke('j-1');
    await pass(1_000);
    assert.equal(await status(), 401, 'and what is true arrives');
    assert.equal(guard.status().feed?.state, 'current');
  });
}

test('what was told is told again, and changes nothing', async () => {
  const { feed, status, settled, guard } = await following();
  const first = feed.messageOf({ after: 0, rev: 1, entries: [[1, linkTag('x'), 4_000_000_000]] });
  feed.revoke('x');
  feed.revoke('j-1');
  await settled();
  for (let turn = 0; turn < 3; turn++) feed.sendRaw(first);
  await settled();
  assert.equal(guard.status().feed?.applied, 2);
  assert.equal(await status(), 401);
  assert.equal(feed.streams.size, 1);
});

for (const [what, answer] of [
  ['no session', { session: undefined }],
  ['a session that leads elsewhere', { session: '../oauth2/token' }],
  ['a session that is the folder above', { session: '..' }],
  ['a key that is none', { key: 'c2hvcnQ' }],
  ['a lease that is none', { lease_ms: 'long' }],
  ['a lease without end', { lease_ms: 1e12 }],
  ['no messages', { messages: 'none' }],
  ['messages that are none', { messages: [1, {}] }],
] as [string, object][]) {
  test(`a session that opens with ${what} is none`, async () => {
    const world = await feedWorld({ feed: { whenLost: 'refuse' } }, (_fake, feed) => {
      const good = feed.answer;
      feed.answer = async (url, init) => {
        const response = await good(url, init);
        return Response.json({ ...((await response.json()) as object), ...answer });
      };
    });
    assert.equal(await world.status(), 503);
    assert.equal(world.guard.status().feed?.state, 'lost');
    assert.equal(world.feed.asked.length, 0);
  });
}

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
