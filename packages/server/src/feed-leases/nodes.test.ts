/** Several nodes on one PostgreSQL: a revocation on one, guards on another, and nodes that are gone. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { endToken } from '../liveness/liveness.ts';
import { type FeedGuard, type FeedSession, feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { acknowledged, acknowledgementOf } from './acknowledgement.ts';
import { feedOf, tidyFeed } from './feed.ts';

const longMs = 60_000;

describe('nodes of one feed', { skip: !databases.includes('postgres') }, () => {
  let a: TestServer;
  let b: TestServer;
  let client: TokenClient;
  let guard: FeedGuard;
  let session: FeedSession;
  const atB = () => ({ address: b.address });

  before(async () => {
    a = await startServer({ database: 'postgres' });
    b = await startServer({ joins: a });
    client = await tokenClient(a);
    guard = await feedGuard(a, client.resource);
    session = await openFeedSession(a, guard);
    await session.lease(atB());
    a.clock.advance(2_000); // what the first node gave has run out
    await session.lease(atB());
  });
  after(async () => {
    await b.close();
    await a.close();
  });

  let tokens = 0;
  const revoke = async (on = a) => {
    const { db, clock } = on.deps;
    const token = {
      jti: `token-${++tokens}`,
      agent: client.clientId,
      resource: client.resource,
      endsAt: clock.now() + 600_000,
    };
    const change = { reason: 'a test', by: client.clientId, now: clock.now() };
    return (await db.transaction((tx) => endToken(tx, token, change))) as number;
  };
  const nodes = async () =>
    (await a.deps.db.all<{ id: string }>('select id from feed_nodes order by id')).map(({ id }) => id);
  /** The news has come to a node, by itself. */
  const heard = async (on: TestServer, rev: number) => {
    while ((feedOf(on.deps).tail ?? 0) < rev) await new Promise((resolve) => setImmediate(resolve));
  };

  test('a guard of one node hears of what was revoked on another, and is waited for', async () => {
    const waiting = session.lease({ ...atB(), wait_ms: 600 });
    await b.deps.db.get('select 1');
    const rev = await revoke();
    const acknowledgement = acknowledged(a.deps, rev, longMs);
    assert.equal((await waiting).at(-1)?.rev, rev, 'at once, though it asked before');
    assert.equal((await acknowledgementOf(a.deps, rev)).complete, false);
    await session.lease(atB());
    const done = await acknowledgement;
    assert.deepEqual(
      [done.complete, done.resources[0]?.guards],
      [true, [{ guard: guard.guard, appliedAt: a.clock.now() }]],
    );
    assert.deepEqual(await acknowledgementOf(b.deps, rev), done, 'every node says the same');
  });

  test('whoever asks another node than the one that revoked waits as well', async () => {
    const rev = await revoke();
    const waiting = acknowledged(b.deps, rev, longMs);
    for (let i = 0; i < 2; i++) await session.lease(atB());
    assert.equal((await waiting).complete, true);
  });

  test('one event tells of it, though all nodes know', async () => {
    const rev = await revoke();
    for (let i = 0; i < 2; i++) await session.lease(atB());
    await Promise.all([a, b].map(({ deps }) => acknowledged(deps, rev, longMs)));
    const { items } = await a.admin<{ items: { decided_on: { rev?: number } }[] }>(
      'GET',
      '/events?type=revocation.acknowledged&limit=50',
    );
    assert.equal(items.filter(({ decided_on }) => decided_on.rev === rev).length, 1);
  });

  test('a lost connection for news costs time, and nothing else', async () => {
    const { db } = a.deps;
    const lost = await db.all<{ n: number }>(
      `select pg_terminate_backend(pid) as n from pg_stat_activity where datname = current_database() and query like 'listen %'`,
    );
    assert.equal(lost.length, 2);
    const rev = await revoke();
    for (let i = 0; i < 2; i++) await session.lease(atB());
    assert.equal(session.at, rev, 'each lease is as of what the database says');
    const waiting = acknowledged(a.deps, rev, longMs);
    await acknowledgementOf(a.deps, rev);
    a.clock.advance(2_000);
    assert.equal((await waiting).complete, true, 'by its answer or by time');
    await session.lease(atB());
  });

  test('a node without a place in the table takes one before it gives a lease', async () => {
    const mine = feedOf(b.deps).node;
    assert.ok((await nodes()).includes(mine));
    await a.deps.db.transaction((tx) => tx.run('delete from feed_nodes where id = ?', [mine]));
    const first = await session.post(atB());
    if (first.status === 200) await session.apply(((await first.json()) as { messages: string[] }).messages);
    else assert.equal(first.status, 503);
    await session.lease(atB());
    assert.ok((await nodes()).includes(mine));
  });

  test('a node that can’t say that it is there gives no leases', async () => {
    const { db } = b.deps;
    const { settle } = db;
    a.clock.advance(11_000);
    db.settle = async () => {
      throw new Error('the disk is full');
    };
    try {
      assert.ok((await session.post(atB())).status >= 500);
    } finally {
      db.settle = settle;
    }
    await session.lease(atB());
  });

  test('a node that was killed is waited for as long as its leases can last, and then forgotten', async () => {
    const gone = feedOf(b.deps);
    const rev = await revoke();
    await heard(b, rev);
    // from here on it says nothing any more
    gone.stopped = true;
    for (const unlisten of gone.unlisten) unlisten();
    gone.cancelTimer?.();
    const later = await revoke();
    const waiting = acknowledged(a.deps, later, longMs);
    assert.equal((await acknowledgementOf(a.deps, later)).complete, false);
    a.clock.advance(1_999);
    assert.equal((await acknowledgementOf(a.deps, later)).complete, false);
    a.clock.advance(1);
    assert.equal((await waiting).complete, true);
    await tidyFeed(a.deps);
    a.clock.advance(57_999); // it was seen for the first time when the revocation was
    await tidyFeed(a.deps);
    assert.ok((await nodes()).includes(gone.node));
    a.clock.advance(1);
    await tidyFeed(a.deps);
    assert.ok(!(await nodes()).includes(gone.node));
    const rest = await revoke();
    assert.equal((await acknowledged(a.deps, rest, longMs)).complete, true);
  });
});
