/** Guards that ask about tokens: an acknowledgement waits for as long as they believe an answer, and not for anybody else. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClientAssertion, signerFrom } from '@bailiwick/protocol';
import { endToken } from '../liveness/liveness.ts';
import { type FeedGuard, feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { acknowledged, acknowledgementOf } from './acknowledgement.ts';
import { feedOf, tidyFeed } from './feed.ts';

const longMs = 60_000;

interface World {
  client: TokenClient;
  guard: FeedGuard;
  token: string;
  ask(more?: Record<string, string>, on?: TestServer): Promise<{ status: number; active: unknown; error: unknown }>;
  revoke(on?: TestServer, ofToken?: string): Promise<number>;
}

let asked = 0;

async function world(server: TestServer): Promise<World> {
  const client = await tokenClient(server);
  const guard = await feedGuard(server, client.resource);
  const signer = await signerFrom(guard.jwk);
  const { body } = await client.send();
  const token = body.access_token as string;
  const { jti } = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as { jti: string };
  return {
    client,
    guard,
    token,
    async ask(more = {}, on = server) {
      const assertion = await createClientAssertion(signer, {
        clientId: guard.agent,
        audience: server.issuer,
        now: server.clock.now(),
        jti: `assertion-${++asked}-${guard.agent}`,
      });
      const answer = await fetch(`${on.address}/oauth2/introspect`, {
        method: 'POST',
        body: new URLSearchParams({
          token,
          client_id: guard.agent,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: assertion,
          ...more,
        }),
      });
      const { active, error } = (await answer.json()) as { active?: boolean; error?: string };
      return { status: answer.status, active, error };
    },
    async revoke(on = server, ofToken = jti) {
      const { db, clock } = on.deps;
      const ended = { jti: ofToken, agent: client.clientId, resource: client.resource, endsAt: clock.now() + 600_000 };
      const change = { reason: 'a test', by: client.clientId, now: clock.now() };
      return (await db.transaction((tx) => endToken(tx, ended, change))) as number;
    },
  };
}

for (const database of databases) {
  describe(`an answer about a token, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database });
    });
    after(() => server.close());

    const complete = async (rev: number) => (await acknowledgementOf(server.deps, rev)).complete;

    for (const [what, more, ms] of [
      ['by a guard of before that doesn’t say for how long', {}, 2_000],
      ['for as long as the guard says', { hold_ms: '700' }, 700],
      ['for half a minute at most', { hold_ms: '30000' }, 30_000],
    ] as const) {
      test(`is believed ${what}, and the acknowledgement waits for so long, and no longer`, async () => {
        const { ask, revoke, guard } = await world(server);
        assert.equal((await ask(more)).active, true);
        server.clock.advance(100);
        const rev = await revoke();
        const done = acknowledged(server.deps, rev, longMs);
        assert.equal(await complete(rev), false);
        server.clock.advance(ms - 101);
        assert.equal(await complete(rev), false);
        assert.equal((await ask(more)).active, false, 'nobody is told any more that it is active');
        server.clock.advance(1);
        const { resources } = await done;
        assert.deepEqual(resources, [
          {
            resource: guard.resource,
            acknowledgedAt: server.clock.now(),
            guards: [{ guard: guard.guard, asked: true }],
            unknown: [],
          },
        ]);
      });
    }

    for (const [what, wait, more] of [
      ['that was too long ago', 2_000, {}],
      ['that is believed for no time', 0, { hold_ms: '0' }],
      ['that says no', 0, { token: 'a.b.c' }],
    ] as const) {
      test(`${what} is not waited for`, async () => {
        const { ask, revoke } = await world(server);
        assert.equal((await ask(more)).status, 200);
        server.clock.advance(wait);
        const rev = await revoke();
        assert.deepEqual((await acknowledged(server.deps, rev, longMs)).resources[0]?.guards, []);
      });
    }

    test('is not waited for where the agent itself has asked, nor at another resource', async () => {
      const [one, other] = [await world(server), await world(server)];
      await other.ask();
      const form = await one.client.form({ token: one.token });
      const answer = await fetch(`${server.address}/oauth2/introspect`, {
        method: 'POST',
        body: new URLSearchParams(form),
      });
      assert.equal(((await answer.json()) as { active: boolean }).active, true);
      const done = await acknowledged(server.deps, await one.revoke(), longMs);
      assert.deepEqual(done.resources[0]?.guards, []);
    });

    test('that is under way when the token is revoked is waited for, and one that knows of it not', async () => {
      const { ask, revoke } = await world(server);
      const { db } = server.deps;
      const { settle } = db;
      let rev = 0;
      // between reading how the token stands and answering
      db.settle = async (work, alone) => {
        if (rev === 0) {
          rev = -1;
          rev = await revoke();
          const done = await acknowledgementOf(server.deps, rev);
          assert.equal(done.complete, false, 'who asks is going to hear that it is active');
        }
        return settle(work, alone);
      };
      try {
        // the place of this node is written down already
        assert.equal((await ask()).active, true);
      } finally {
        db.settle = settle;
      }
      assert.equal(await complete(rev), false);
      server.clock.advance(2_000);
      assert.equal((await acknowledged(server.deps, rev, longMs)).complete, true);
    });

    for (const text of ['', '-1', '1.5', '30001', '99999999', 'soon']) {
      test(`can’t be believed for ${JSON.stringify(text)}`, async () => {
        const { ask } = await world(server);
        const { status, error } = await ask({ hold_ms: text });
        assert.deepEqual([status, error], text === '' ? [200, undefined] : [400, 'invalid_request']);
      });
    }

    test('of whom nothing is known is said, and where no guard is', async () => {
      const { guard, revoke } = await world(server);
      const of = async (rev: number) => (await acknowledged(server.deps, rev, 60_000)).resources[0];
      const first = await revoke();
      assert.deepEqual((await of(first))?.unknown, [guard.guard]);
      const session = await openFeedSession(server, guard);
      await session.giveBack();
      const second = await revoke(server, 'a second token');
      assert.deepEqual((await of(second))?.unknown, []);
      server.clock.advance(16 * 60_000);
      const third = await revoke(server, 'a third token');
      assert.deepEqual((await of(third))?.unknown, [guard.guard], 'it was seen too long ago');
      await server.admin('DELETE', `/guards/${guard.guard}`);
      const last = await revoke(server, 'the last token');
      assert.deepEqual([(await of(last))?.unknown, (await of(last))?.unguarded], [[], true]);
      server.clock.advance(20 * 60_000);
      await tidyFeed(server.deps);
      const said = await Promise.all([first, second, last].map(async (rev) => (await of(rev))?.unknown));
      assert.deepEqual(said, [[guard.guard], [], []], 'as it was then');
      assert.deepEqual([feedOf(server.deps).held.size, feedOf(server.deps).lastSeen.size], [0, 0], 'nothing is kept');
    });
  });
}

describe('an answer about a token by another node', { skip: !databases.includes('postgres') }, () => {
  let a: TestServer;
  let b: TestServer;
  before(async () => {
    a = await startServer({ database: 'postgres' });
    b = await startServer({ joins: a });
  });
  after(async () => {
    await b.close();
    await a.close();
  });

  test('is waited for', async () => {
    const { ask, revoke, guard } = await world(a);
    assert.equal((await ask({ hold_ms: '1500' }, b)).active, true);
    const rev = await revoke();
    const done = acknowledged(a.deps, rev, longMs);
    assert.equal((await acknowledgementOf(a.deps, rev)).complete, false);
    await acknowledgementOf(b.deps, rev);
    a.clock.advance(1_499);
    assert.equal((await acknowledgementOf(a.deps, rev)).complete, false);
    a.clock.advance(1);
    const { complete, resources } = await done;
    assert.equal(complete, true);
    assert.deepEqual(resources[0]?.resource, guard.resource);
  });

  test('isn’t given while it couldn’t be waited for', async () => {
    const { ask } = await world(a);
    const { db } = b.deps;
    const { settle } = db;
    a.clock.advance(11_000);
    db.settle = async () => {
      throw new Error('the disk is full');
    };
    try {
      assert.ok((await ask({}, b)).status >= 500);
    } finally {
      db.settle = settle;
    }
    assert.equal((await ask({}, b)).active, true);
  });
});
