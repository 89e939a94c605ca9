/**
 * Guards that follow the feed of a real server, over HTTP: a revocation on one node is true at a guard of another before it is acknowledged, streams that
 * are cut or held back, servers that hang or start anew, and what happens when nothing can be known.
 */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createAgent } from '@bailiwick/agent';
import { generateJwk, type PrivateJwk, publicJwk } from '@bailiwick/protocol';
import { createGuard, type Guard, type GuardOptions, type GuardRequest } from '../packages/guard/src/index.ts';
import { systemClock } from '../packages/server/src/lib/clock.ts';
import { databases, startServer, type TestServer } from '../packages/server/src/testing/harness.ts';

const identifier = 'https://tickets.example/api';

interface World {
  server: TestServer;
  /** Where guards go that are of another node, where there is one. */
  other: TestServer;
  /** A token of a fresh agent, with a request that shows it. */
  caller(): Promise<{ agent: string; token: string; request: GuardRequest }>;
  guard(options?: Partial<GuardOptions>, through?: string): Promise<Guard>;
  revoke(subject: object): Promise<{ rev: number; acknowledgement: { complete: boolean } }>;
  setWhenLost(whenLost: 'introspect' | 'refuse'): Promise<unknown>;
  close(): Promise<void>;
}

async function world(database: (typeof databases)[number]): Promise<World> {
  const clock = { ...systemClock, advance: () => {} };
  const server = await startServer({ database, clock });
  const other = database === 'postgres' ? await startServer({ joins: server, clock }) : server;
  const post = (path: string, body: object) => server.admin<{ id: string; agent: string }>('POST', path, body);
  const resource = await post('/resources', {
    identifier,
    name: 'Tickets',
    scopes: [{ name: 'tickets:read' }],
    operations: [{ name: 'read', method: 'GET', path: '/tickets', scope: ['tickets:read'], sensitivity: 'low' }],
    token: { dangerously_bearer: true },
  });
  const role = await post('/roles', {
    name: 'reader',
    permissions: [{ resource: resource.id, scopes: ['tickets:read'] }],
  });
  const team = await post('/teams', { name: 'support' });
  const guards: Guard[] = [];
  let count = 0;
  const keyed = async () => {
    const jwk = await generateJwk('ES256');
    return { jwk, name: `x-${++count}` };
  };

  return {
    server,
    other,
    async caller() {
      const { jwk, name } = await keyed();
      const agent = await post('/agents', {
        name,
        kind: 'workload',
        owner: team.id,
        resources: [{ resource: resource.id, default: true, scope: ['tickets:read'] }],
      });
      await post('/credentials', { agent: agent.id, jwk: publicJwk(jwk) });
      await server.admin('PUT', `/agents/${agent.id}/roles/${role.id}`);
      const token = await tokenOf(server.issuer, agent.id, jwk);
      return { agent: agent.id, token, request: bearer(token) };
    },
    async guard(options = {}, through = other.address) {
      const { jwk, name } = await keyed();
      const guard = await post('/guards', { name, resource: resource.id, owner: team.id, jwk: publicJwk(jwk) });
      const made = createGuard({
        issuer: server.issuer,
        resource: identifier,
        credential: { client_id: guard.agent, jwk },
        fetch: via(server.issuer, through),
        report: () => {},
        ...options,
      });
      guards.push(made);
      return made;
    },
    revoke: (subject) => server.admin('POST', '/revocations', { ...subject, reason: 'a test', wait_seconds: 20 }),
    setWhenLost: (when_lost) =>
      server.admin('PATCH', `/resources/${resource.id}`, { feed: { lease_seconds: 2, when_lost } }),
    async close() {
      for (const guard of guards) await guard.close();
      if (other !== server) await other.close();
      await server.close();
    },
  };
}

/** Everything that is for the issuer goes to one of its nodes, or to what stands before it. */
const via =
  (issuer: string, address: string): typeof fetch =>
  (url, init) =>
    fetch(String(url).replace(issuer, address), init);

const bearer = (token: string): GuardRequest => ({
  method: 'GET',
  url: '/api/tickets',
  headers: { authorization: [`Bearer ${token}`] },
  remoteAddress: '127.0.0.1',
});

/** Bound to nothing: whoever has it shows it. */
async function tokenOf(issuer: string, clientId: string, key: PrivateJwk): Promise<string> {
  const agent = createAgent({ issuer, clientId, key, resource: identifier, fetch: withoutProof });
  return (await agent.token()).dangerouslyExposeToken();
}

const withoutProof: typeof fetch = (url, init) => {
  const headers = new Headers(init?.headers);
  headers.delete('dpop');
  return fetch(url, { ...init, headers });
};

const status = async (guard: Guard, request: GuardRequest) => {
  const decision = await guard.decide(request);
  return decision.allowed ? 200 : decision.status;
};

const state = (guard: Guard) => guard.status().feed?.state;

/** Until it is so: at most so many ms. */
async function until(is: () => boolean | Promise<boolean>, mostMs = 20_000): Promise<void> {
  const end = performance.now() + mostMs;
  while (!(await is())) {
    assert.ok(performance.now() < end, 'it never came to be');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

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
    let here: World;
    before(async () => {
      here = await world(database);
    });
    after(() => here.close());

    // on PostgreSQL, guards of another node among them
    test('a token that is revoked is refused by every guard before it is acknowledged', async () => {
      const guards = await Promise.all([here.guard(), here.guard(), here.guard({}, here.server.address)]);
      await Promise.all(guards.map((guard) => guard.ready()));
      assert.deepEqual(guards.map(state), ['current', 'current', 'current']);
      for (const by of ['token', 'agent'] as const) {
        const { agent, token, request } = await here.caller();
        for (const guard of guards) assert.equal(await status(guard, request), 200);
        const { acknowledgement } = await here.revoke(by === 'token' ? { token } : { subject: agent });
        assert.equal(acknowledgement.complete, true);
        for (const guard of guards) {
          assert.equal(await status(guard, request), 401, by);
          assert.equal(state(guard), 'current', 'by what it knows, and not for want of it');
        }
      }
      for (const guard of guards) await guard.close();
    });

    test('a stream that is cut loses nothing', async () => {
      const between = await proxy(here.other.address);
      const guard = await here.guard({}, between.address);
      await guard.ready();
      const { token, request } = await here.caller();
      assert.equal(await status(guard, request), 200);
      between.cut();
      assert.equal((await here.revoke({ token })).acknowledgement.complete, true);
      assert.equal(await status(guard, request), 401);
      await until(() => guard.status().feed?.transport === 'stream' && state(guard) === 'current');
      await guard.close();
      await between.close();
    });

    test('behind a proxy that holds streams back, news come by asking late', async () => {
      const between = await proxy(here.other.address);
      between.buffers = true;
      const guard = await here.guard({}, between.address);
      await guard.ready();
      await until(() => guard.status().feed?.transport === 'poll');
      const { token, request } = await here.caller();
      assert.equal(await status(guard, request), 200);
      assert.equal((await here.revoke({ token })).acknowledgement.complete, true);
      assert.deepEqual([await status(guard, request), state(guard)], [401, 'current']);
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
        assert.deepEqual([await status(guard, lives.request), await status(guard, dies.request)], [200, 200]);
        between.hangs = true;
        between.cut();
        const { acknowledgement } = await here.revoke({ token: dies.token });
        assert.equal(acknowledgement.complete, true, 'once the lease has run out');
        assert.equal(state(guard), 'lost', 'the guard knows it before');
        assert.equal(await status(guard, dies.request), whenLost === 'refuse' ? 503 : 401);
        assert.equal(await status(guard, lives.request), expected);
        between.hangs = false;
        between.cut();
        await until(() => state(guard) === 'current');
        assert.deepEqual([await status(guard, lives.request), await status(guard, dies.request)], [200, 401]);
        await guard.close();
        await between.close();
        await here.setWhenLost('introspect');
      });
    }

    test('a guard that is closed holds nobody up', async () => {
      const guard = await here.guard();
      await guard.ready();
      const { token, request } = await here.caller();
      assert.equal(await status(guard, request), 200);
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
      assert.deepEqual([await status(guard, request), state(guard)], [401, 'current']);
      await guard.close();
    });
  });
}
