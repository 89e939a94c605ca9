/**
 * Guards that follow the feed of a real server, over HTTP: a revocation on one node is true at a guard of another before it is acknowledged, streams that
 * are cut or held back, servers that hang, and what happens when nothing can be known.
 */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { databases } from '../packages/server/src/testing/harness.ts';
import { until } from '../packages/server/src/testing/until.ts';
import { type FeedWorld, feedWorld, stateOf, statusOf, via } from './feed-world.ts';

/** Stands before a server, and does to it what networks do. */
interface Proxy {
  address: string;
  /** Holds back what isn't complete. */
  buffers: boolean;
  /** Takes connections and answers nothing. */
  hangs: boolean;
  /** Breaks whatever is open. */
  cut(): void;
  close(): Promise<unknown>;
}

async function proxy(target: string): Promise<Proxy> {
  const open = new Set<ServerResponse>();
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    open.add(response);
    response.on('close', () => open.delete(response)).on('error', () => {});
    request.on('error', () => {});
    if (proxied.hangs) return;
    const { method, headers } = request;
    const onward = send(new URL(request.url as string, target), { method, headers }, (answer) => {
      answer.on('error', () => response.destroy());
      const head = () => response.writeHead(answer.statusCode as number, answer.rawHeaders);
      if (!proxied.buffers) {
        head();
        response.flushHeaders();
        answer.pipe(response);
        return;
      }
      const chunks: Buffer[] = [];
      answer.on('data', (chunk) => chunks.push(chunk)).on('end', () => head().end(Buffer.concat(chunks)));
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  };
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxied: Proxy = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    buffers: false,
    hangs: false,
    cut() {
      for (const response of open) response.destroy();
    },
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
  return proxied;
}

for (const database of databases) {
  describe(`feed: guards and a real server (${database})`, () => {
    let here: FeedWorld;
    before(async () => {
      here = await feedWorld(database);
    });
    after(() => here.close());

    // on PostgreSQL, guards of another node among them
    test('a token that is revoked is refused by every guard before it is acknowledged', async () => {
      const guards = await Promise.all([here.guard(), here.guard(), here.guard({}, here.server.address)]);
      await Promise.all(guards.map((guard) => guard.ready()));
      assert.deepEqual(guards.map(stateOf), ['current', 'current', 'current']);
      for (const by of ['token', 'agent'] as const) {
        const { agent, token, request } = await here.caller();
        for (const guard of guards) assert.equal(await statusOf(guard, request), 200);
        const { acknowledgement } = await here.revoke(by === 'token' ? { token } : { subject: agent });
        assert.equal(acknowledgement.complete, true);
        for (const guard of guards) {
          assert.equal(await statusOf(guard, request), 401, by);
          assert.equal(stateOf(guard), 'current', 'by what it knows, and not for want of it');
        }
      }
      for (const guard of guards) await guard.close();
    });

    test('a stream that is cut loses nothing', async () => {
      const between = await proxy(here.other.address);
      const guard = await here.guard({}, between.address);
      await guard.ready();
      const { token, request } = await here.caller();
      assert.equal(await statusOf(guard, request), 200);
      between.cut();
      assert.equal((await here.revoke({ token })).acknowledgement.complete, true);
      assert.equal(await statusOf(guard, request), 401);
      await until(
        () => guard.status().feed,
        (feed) => feed?.transport === 'stream' && feed.state === 'current',
      );
      await guard.close();
      await between.close();
    });

    test('behind a proxy that holds streams back, news come by asking late', async () => {
      const between = await proxy(here.other.address);
      between.buffers = true;
      const guard = await here.guard({}, between.address);
      await guard.ready();
      await until(
        () => guard.status().feed?.transport,
        (transport) => transport === 'poll',
      );
      const { token, request } = await here.caller();
      assert.equal(await statusOf(guard, request), 200);
      assert.equal((await here.revoke({ token })).acknowledgement.complete, true);
      assert.deepEqual([await statusOf(guard, request), stateOf(guard)], [401, 'current']);
      await guard.close();
      await between.close();
    });

    for (const [whenLost, expected] of [
      ['introspect', 200],
      ['refuse', 503],
    ] as const) {
      test(`a server that hangs: the lease is lost, and the resource chose to ${whenLost}`, async () => {
        await here.setWhenLost(whenLost);
        const between = await proxy(here.other.address);
        // what asks about tokens goes another way
        const fetchBoth: typeof fetch = (url, init) =>
          /introspect|well-known|jwks/.test(String(url))
            ? via(here.server.issuer, here.server.address)(url, init)
            : via(here.server.issuer, between.address)(url, init);
        const guard = await here.guard({ fetch: fetchBoth });
        await guard.ready();
        const [lives, dies] = [await here.caller(), await here.caller()];
        assert.deepEqual([await statusOf(guard, lives.request), await statusOf(guard, dies.request)], [200, 200]);
        between.hangs = true;
        between.cut();
        const { acknowledgement } = await here.revoke({ token: dies.token });
        assert.equal(acknowledgement.complete, true, 'once the lease has run out');
        assert.equal(stateOf(guard), 'lost', 'the guard knows it before');
        assert.equal(await statusOf(guard, dies.request), whenLost === 'refuse' ? 503 : 401);
        assert.equal(await statusOf(guard, lives.request), expected);
        between.hangs = false;
        between.cut();
        await until(
          () => stateOf(guard),
          (state) => state === 'current',
        );
        assert.deepEqual([await statusOf(guard, lives.request), await statusOf(guard, dies.request)], [200, 401]);
        await guard.close();
        await between.close();
        await here.setWhenLost('introspect');
      });
    }

    test('a guard that is closed holds nobody up', async () => {
      const guard = await here.guard();
      await guard.ready();
      const { token, request } = await here.caller();
      assert.equal(await statusOf(guard, request), 200);
      await guard.close();
      const before = performance.now();
      assert.equal((await here.revoke({ token })).acknowledgement.complete, true);
      assert.ok(performance.now() - before < 1_500, 'it gave its lease back');
    });

    test('what was revoked before a guard came is known to it', async () => {
      const { token, request } = await here.caller();
      await here.revoke({ token });
      const guard = await here.guard();
      await guard.ready();
      assert.deepEqual([await statusOf(guard, request), stateOf(guard)], [401, 'current']);
      await guard.close();
    });
  });
}
