/** What the feed doesn't accept, and what nobody learns of others. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { generateJwk, leaseRequestText, publicJwk } from '@bailiwick/protocol';
import { tidyFeed } from '../feed-leases/feed.ts';
import {
  type FeedGuard,
  type FeedSession,
  feedGuard,
  feedSdk,
  newNonce,
  openFeedSession,
  openRaw,
} from '../testing/feed-client.ts';
import { startServer, type TestServer } from '../testing/harness.ts';
import { evaluator } from '../testing/pdp-client.ts';
import { tokenClient } from '../testing/token-client.ts';

describe('the feed refuses', () => {
  let server: TestServer;
  let guard: FeedGuard;
  let session: FeedSession;
  let other: { guard: FeedGuard; session: FeedSession };

  before(async () => {
    server = await startServer({ config: { feed: { max_sessions_per_guard: 3 } } });
    const { resource } = await tokenClient(server);
    guard = await feedGuard(server, resource);
    session = await openFeedSession(server, guard);
    const another = await feedGuard(server, resource);
    other = { guard: another, session: await openFeedSession(server, another) };
  });
  after(() => server.close());

  const problem = async (answer: Response, status: number, kind: string) => {
    const text = await answer.text();
    assert.equal(answer.status, status, text);
    assert.equal(JSON.parse(text).type, `urn:bailiwick:problem:${kind}`);
  };

  const openings: [what: string, body: unknown][] = [
    ['no nonce', {}],
    ['a nonce that is short', { nonce: 'abc' }],
    ['a nonce with spaces', { nonce: 'a nonce with spaces' }],
    ['a number below zero', { nonce: newNonce(), after: -1 }],
    ['half a number', { nonce: newNonce(), after: 1.5 }],
    ['a member that nobody knows', { nonce: newNonce(), floor: 1 }],
    ['a list', []],
    ['no JSON', 'nonce'],
  ];
  for (const [what, body] of openings) {
    test(`a session opened with ${what}`, async () =>
      problem(await openRaw(server, guard.sdk, body), 400, 'bad-request'));
  }

  test('a session without a token, and with somebody else’s proof', async () => {
    const bare = await fetch(`${server.address}/feed`, { method: 'POST' });
    await problem(bare, 401, 'invalid-token');
    const borrowed = await fetch(`${server.address}/feed`, {
      method: 'POST',
      headers: { authorization: 'DPoP a.b.c' },
    });
    await problem(borrowed, 401, 'invalid-token');
  });

  test('a token without the scope', async () => {
    const { sdk } = await evaluator(server, { scope: ['access:evaluate'] }); // the SDK would ask for the scope if it could be had
    const answer = await openRaw(server, sdk, { nonce: newNonce() });
    assert.match(answer.headers.get('www-authenticate') ?? '', /scope="feed:follow"/);
    await problem(answer, 403, 'insufficient-scope');
  });

  test('an agent that guards nothing, though it has the scope', async () => {
    const { sdk } = await evaluator(server, { scope: ['feed:follow'] });
    await problem(await openRaw(server, sdk, { nonce: newNonce() }), 403, 'insufficient-scope');
  });

  test('the stream of another guard’s session, as if it weren’t there', async () => {
    const { sdk } = other.guard;
    for (const id of [session.id, `${session.id.slice(0, -1)}_`, 'nothing']) {
      await problem(await sdk.fetch(`${server.issuer}/feed/${id}?after=0`), 404, 'unknown-session');
    }
  });

  for (const query of ['', '?after=', '?after=-1', '?after=x', '?after=1&after=2']) {
    test(`a stream from ${JSON.stringify(query)}`, async () =>
      problem(await guard.sdk.fetch(`${server.issuer}/feed/${session.id}${query}`), 400, 'bad-request'));
  }

  test('a stream from a number that was never sent', async () => {
    await problem(await guard.sdk.fetch(`${server.issuer}/feed/${session.id}?after=99999`), 404, 'unknown-session');
  });

  const forged: [what: string, forge: (body: Record<string, unknown>) => unknown, status: number, kind: string][] = [
    ['another number than was signed', (body) => ({ ...body, applied: 1 }), 404, 'unknown-session'],
    ['another count', (body) => ({ ...body, count: 77 }), 404, 'unknown-session'],
    ['another nonce', (body) => ({ ...body, nonce: newNonce() }), 404, 'unknown-session'],
    ['a MAC of nothing', (body) => ({ ...body, mac: 'A'.repeat(43) }), 404, 'unknown-session'],
    ['half a MAC', (body) => ({ ...body, mac: String(body.mac).slice(1) }), 400, 'bad-request'],
    ['no MAC', ({ mac: _, ...body }) => body, 400, 'bad-request'],
    ['no count', ({ count: _, ...body }) => body, 400, 'bad-request'],
    ['a number as text', (body) => ({ ...body, applied: '0' }), 400, 'bad-request'],
    ['a wait without end', (body) => ({ ...body, wait_ms: 3_600_000 }), 400, 'bad-request'],
    ['a member that nobody knows', (body) => ({ ...body, lease: 9 }), 400, 'bad-request'],
    ['no JSON', () => '{', 400, 'bad-request'],
    ['nothing', () => '', 400, 'bad-request'],
  ];
  for (const [what, forge, status, kind] of forged) {
    test(`a lease with ${what}`, async () => problem(await session.post({}, forge), status, kind));
  }

  for (const [what, forge, status, kind] of [
    ['another number than was signed', (body) => ({ ...body, applied: 1 }), 404, 'unknown-session'],
    ['another count', (body) => ({ ...body, count: 77 }), 404, 'unknown-session'],
    ['the MAC of a lease', forAsking, 404, 'unknown-session'],
    ['no MAC', ({ mac: _, ...body }) => body, 400, 'bad-request'],
    ['a number as text', (body) => ({ ...body, applied: '0' }), 400, 'bad-request'],
    ['a wait, and no nonce to answer', (body) => ({ ...body, wait_ms: 100 }), 400, 'bad-request'],
    ['a nonce that was not signed', (body) => ({ ...body, nonce: newNonce() }), 404, 'unknown-session'],
  ] satisfies typeof forged) {
    test(`what was applied, with ${what}`, async () => problem(await session.applied({}, forge), status, kind));
  }

  function forAsking(body: Record<string, unknown>) {
    const request = { session: session.id, count: body.count as number, applied: session.at, nonce: newNonce() };
    const mac = createHmac('sha256', session.key).update(leaseRequestText(request)).digest('base64url');
    return { ...body, mac };
  }

  test('what was applied, twice by one count', async () => {
    assert.equal((await session.applied({ count: 39 })).status, 204);
    await problem(await session.applied({ count: 39 }), 409, 'conflict');
    await problem(await session.post({ count: 39 }), 409, 'conflict');
  });

  test('a lease by the key of another session', async () => {
    const request = { session: session.id, count: 500, applied: session.at, nonce: newNonce() };
    const mac = createHmac('sha256', other.session.key).update(leaseRequestText(request)).digest('base64url');
    await problem(
      await session.post({ count: 500 }, (body) => ({ ...body, nonce: request.nonce, mac })),
      404,
      'unknown-session',
    );
  });

  test('a request that was seen, and takes one that was overtaken', async () => {
    const replayed = { count: 40, nonce: newNonce() };
    assert.equal((await session.post(replayed)).status, 200);
    await problem(await session.post(replayed), 409, 'conflict');
    assert.equal((await session.post({ count: 42 })).status, 200);
    assert.equal((await session.post({ count: 41 })).status, 200);
    await problem(await session.post({ count: 41 }), 409, 'conflict');
    await problem(await session.post({ count: 2 }), 409, 'conflict');
    await session.post({ count: 100 });
  });

  test('a guard that says it is ahead of us', async () => {
    await problem(await session.post({ count: 101, applied: 1_000 }), 404, 'unknown-session');
  });

  test('the MAC of a lease for giving it back', async () => {
    const request = { session: session.id, count: 102, applied: 0, nonce: newNonce() };
    const mac = createHmac('sha256', session.key).update(leaseRequestText(request)).digest('base64url');
    const answer = await fetch(`${server.address}/feed/${session.id}`, {
      method: 'DELETE',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ count: 102, mac }),
    });
    await problem(answer, 404, 'unknown-session');
    await problem(await fetch(`${server.address}/feed/${session.id}`, { method: 'DELETE' }), 400, 'bad-request');
  });

  test('names of sessions that are none', async () => {
    for (const id of [
      'x',
      `${session.id}x`,
      session.id.replace('grd_', 'agt_'),
      'grd_0.0.0..0',
      '%00',
      'a'.repeat(2000),
    ]) {
      const answer = await fetch(`${server.address}/feed/${id}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ count: 1, applied: 0, nonce: newNonce(), mac: 'A'.repeat(43) }),
      });
      assert.ok([400, 404, 414].includes(answer.status), `${id}: ${answer.status}`);
      await answer.text();
    }
  });

  test('methods that are not offered', async () => {
    for (const [method, path] of [
      ['PUT', '/feed'],
      ['PATCH', `/feed/${session.id}`],
    ] as const) {
      await problem(await guard.sdk.fetch(server.issuer + path, { method }), 405, 'method-not-allowed');
    }
    assert.equal(
      (await guard.sdk.fetch(`${server.issuer}/feed/${session.id}?after=0`, { method: 'HEAD' })).status,
      404,
    );
  });

  test('more sessions than a guard may have, until one is given back or its lease has run out', async () => {
    const { resource } = await tokenClient(server);
    const many = await feedGuard(server, resource);
    const sessions = [];
    for (let i = 0; i < 3; i++) sessions.push(await openFeedSession(server, many));
    const full = await openRaw(server, many.sdk, { nonce: newNonce() });
    assert.ok(Number(full.headers.get('retry-after')) >= 5);
    await problem(full, 503, 'unavailable');
    await sessions[0]?.giveBack();
    await openFeedSession(server, many);
    server.clock.advance(2_000);
    await openFeedSession(server, many);
  });

  test('streams without a lease beyond the same bound, and any in a session that somebody made up', async () => {
    const { resource } = await tokenClient(server);
    const many = await feedGuard(server, resource);
    const streams = [];
    for (let i = 0; i < 3; i++) streams.push(await (await openFeedSession(server, many)).stream());
    server.clock.advance(2_000);
    await problem(await openRaw(server, many.sdk, { nonce: newNonce() }), 503, 'unavailable');
    for (const stream of streams) await stream.close();
    const made = [many.guard, server.clock.now().toString(36), '0', '', 'A'.repeat(32)].join('.');
    await problem(await many.sdk.fetch(`${server.issuer}/feed/${made}?after=0`), 404, 'unknown-session');
  });

  test('what was captured of a session that was given back, however long ago', async () => {
    const { resource } = await tokenClient(server);
    const ending = await openFeedSession(server, await feedGuard(server, resource));
    await ending.giveBack();
    server.clock.advance(120_000);
    await tidyFeed(server.deps);
    await problem(await ending.post({ count: 1 }), 404, 'unknown-session');
  });

  test('nobody for good because the database failed', async () => {
    const { resource } = await tokenClient(server);
    const unlucky = await feedGuard(server, resource);
    await unlucky.sdk.token();
    const { db } = server.deps;
    const { get } = db;
    for (const failing of ['select rev from revocations', 'from resources r join subjects']) {
      for (let i = 0; i < 4; i++) {
        db.get = async (sql, params) => {
          if (sql.includes(failing)) throw new Error('the connection was lost');
          return get(sql, params);
        };
        const answer = await openRaw(server, unlucky.sdk, { nonce: newNonce() }).finally(() => {
          db.get = get;
        });
        assert.equal(answer.status, 500);
      }
    }
    await openFeedSession(server, unlucky);
  });

  test('a session after an hour', async () => {
    server.clock.advance(3_600_000);
    await problem(await session.post({ count: 200 }), 404, 'unknown-session');
  });

  test('a session whose guard got a new key, since the token that opened it rests on the old one', async () => {
    const { resource } = await tokenClient(server);
    const rotating = await feedGuard(server, resource);
    const opened = await openFeedSession(server, rotating);
    const jwk = await generateJwk('ES256');
    const { items } = await server.admin<{ items: { id: string }[] }>('GET', `/credentials?agent=${rotating.agent}`);
    await server.admin('POST', '/credentials', { agent: rotating.agent, jwk: publicJwk(jwk) });
    await server.admin('DELETE', `/credentials/${items[0]?.id}`);
    await problem(await opened.post(), 404, 'unknown-session');
    await openFeedSession(server, { ...rotating, sdk: feedSdk(server, rotating.agent, jwk) });
  });
});

describe('the feed tells nobody of others', () => {
  let server: TestServer;
  before(async () => {
    server = await startServer({});
  });
  after(() => server.close());

  test('a resource hears of its own revocations, by numbers of its own', async () => {
    const [mine, theirs] = [await tokenClient(server), await tokenClient(server)];
    const [guard, watching] = [await feedGuard(server, mine.resource), await feedGuard(server, theirs.resource)];
    const [session, watcher] = [await openFeedSession(server, guard), await openFeedSession(server, watching)];
    await mine.send();
    await server.admin('POST', `/agents/${mine.clientId}/suspend`, { reason: 'a test' });
    await session.lease();
    await watcher.lease();
    assert.ok(session.at > 0 && session.dead.size === 1);
    assert.deepEqual([watcher.at, watcher.dead.size], [0, 0], 'not even that there was one');
    const text = JSON.stringify([watcher.opened, watcher.last]);
    assert.ok(!text.includes(mine.resource) && !text.includes(mine.clientId));
    // nor by asking for it with one's own session
    await assert.rejects(watcher.lease({ applied: session.at }), /404/);
  });

  test('what nobody’s token rests on reaches nobody, and a message for one resource is none for another', async () => {
    const client = await tokenClient(server);
    const guard = await feedGuard(server, client.resource);
    const session = await openFeedSession(server, guard);
    await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'a test' });
    const [message] = await session.lease();
    assert.deepEqual([message?.rev, message?.entries], [0, []]);
    const elsewhere = await tokenClient(server);
    const other = await openFeedSession(server, await feedGuard(server, elsewhere.resource));
    const answer = (await (await other.post()).json()) as { messages: string[] };
    await assert.rejects(session.apply(answer.messages), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' });
  });
});
