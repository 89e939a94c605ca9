/** Whatever is wrong with what comes: nothing is learned from it, and no lease is had by it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateJwk, linkTag } from '@bailiwick/protocol';
import { type FeedWorld, feedWorld, following, late } from '../testing/feed-world.ts';

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
    assert.ok(problems.every((problem) => !/ey[A-Za-z0-9_-]{20}|session-/.test(problem)));
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
