/**
 * Use is on record: what a guard decides stands in the log of the identity provider, once, whatever happens in between; with real servers, guards and agents,
 * over HTTP.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Agent, createAgent } from '../packages/agent/src/index.ts';
import { createGuard, type Guard, type GuardOptions } from '../packages/guard/src/index.ts';
import { readInvocation } from '../packages/guard/src/sidecar/config.ts';
import { guardOf, startSidecar } from '../packages/guard/src/sidecar/server.ts';
import { generateJwk, publicJwk } from '../packages/protocol/src/index.ts';
import { databases, startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { killableServer } from '../packages/server/src/testing/killed.ts';

type Server_ = Pick<TestServer, 'issuer' | 'clock' | 'admin'>;

interface Used {
  id: string;
  at: string;
  agent: string;
  outcome: string;
  jti: string;
  trace?: string;
  resource: string;
  decided_on: Record<string, unknown>;
  personal: Record<string, unknown>;
}

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const hour = 3_600_000;

/** An API behind a guard, and an agent that may read. */
async function scene(server: Server_, more: Partial<GuardOptions> = {}) {
  const post = (target: string, body: object) => server.admin<{ id: string; agent: string }>('POST', target, body);
  const tag = Math.random().toString(36).slice(2, 8);
  let guard: Guard | undefined;
  const api: Server = createServer((request, response) =>
    (guard as Guard).node((_, reply) => reply.end('done'))(request, response),
  ).listen(0, '127.0.0.1');
  await once(api, 'listening');
  const base = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  const resource = await post('/resources', {
    identifier: base,
    name: `files ${tag}`,
    scopes: [{ name: 'files:read' }, { name: 'files:wipe' }],
    operations: [
      { name: 'read', method: 'GET', path: '/files/{id}', scope: ['files:read'] },
      { name: 'wipe', method: 'DELETE', path: '/files/{id}', scope: ['files:wipe'] },
      { name: 'look up', tool: 'look_up', scope: ['files:read'] },
    ],
  });
  const owner = await post('/teams', { name: `team-${tag}` });
  const role = await post('/roles', {
    name: `reads-${tag}`,
    permissions: [{ resource: resource.id, scopes: ['files:read'] }],
  });
  const { id: agentId } = await post('/agents', {
    name: `reader-${tag}`,
    kind: 'ai_agent',
    owner: owner.id,
    resources: [{ resource: resource.id, default: true, scope: ['files:read'] }],
  });
  const key = await generateJwk('ES256');
  await post('/credentials', { agent: agentId, jwk: publicJwk(key) });
  await server.admin('PUT', `/agents/${agentId}/roles/${role.id}`);
  const { now } = server.clock;
  const agent: Agent = createAgent({ issuer: server.issuer, clientId: agentId, key, now });
  let captured: Headers | undefined;
  const capturing = createAgent({
    issuer: server.issuer,
    resource: base,
    clientId: agentId,
    key,
    now,
    fetch: async (input, init) => {
      if (!String(input).startsWith(base)) return fetch(input, init);
      captured = new Headers(init?.headers);
      return new Response();
    },
  });
  const jwk = await generateJwk('ES256');
  const registered = await post('/guards', {
    name: `guard-${tag}`,
    resource: resource.id,
    owner: owner.id,
    jwk: publicJwk(jwk),
  });
  const credential = { issuer: server.issuer, client_id: registered.agent, jwk };
  const problems: string[] = [];
  const options: GuardOptions = {
    resource: base,
    credential,
    mode: 'introspect',
    now,
    report: (problem) => problems.push(problem),
    ...more,
    runtime: { monotonic: server.clock.monotonic, every: () => () => {}, ...more.runtime },
  };
  guard = createGuard(options);
  return {
    api,
    base,
    agent,
    agentId,
    guard: guard as Guard,
    guardId: registered.id,
    credential,
    problems,
    /** What the agent sends with a request, which goes nowhere. */
    async headersOf(target: string, method = 'GET') {
      await capturing.fetch(base + target, { method });
      return Object.fromEntries(captured ?? []);
    },
    used: async () =>
      (await server.admin<{ items: Used[] }>('GET', `/events?type=access.used&agent=${agentId}&limit=200`)).items,
    async close() {
      await guard?.close();
      api.closeAllConnections();
      api.close();
    },
  };
}

for (const database of databases) {
  describe(`use is on record, on ${database}`, () => {
    let server: TestServer;
    let away = false;
    const network: typeof fetch = (input, init) => {
      if (away) throw new TypeError('fetch failed');
      return fetch(input, init);
    };

    before(async () => {
      server = await startServer({ database });
    });
    after(() => server.close());

    test('one call is one line: whose, by which token, part of what', async () => {
      const { agent, agentId, base, guard, guardId, used, close } = await scene(server);
      assert.equal((await agent.fetch(`${base}/files/7`, { headers: { traceparent } })).status, 200);
      assert.equal((await agent.fetch(`${base}/files/7`, { method: 'DELETE' })).status, 403);
      await guard.flush();
      const [refused, allowed, ...others] = await used();
      assert.deepEqual(others, []);
      assert.deepEqual(
        [allowed?.agent, allowed?.outcome, allowed?.resource, allowed?.trace, allowed?.decided_on.guard],
        [agentId, 'allowed', base, traceparent, guardId],
      );
      assert.deepEqual([allowed?.decided_on.operation, allowed?.decided_on.path], ['read', '/files/{id}']);
      assert.deepEqual([refused?.outcome, refused?.decided_on.code], ['refused', 'insufficient_scope']);
      const issued = await server.admin<{ items: Used[] }>('GET', `/events?type=token.issued&agent=${agentId}`);
      assert.equal(issued.items.at(-1)?.jti, allowed?.jti);
      assert.equal(issued.items.at(-1)?.trace, traceparent, 'the token was got for the same piece of work');
      await close();
    });

    test('a guard that was offline for an hour tells it then, once', async () => {
      away = false;
      const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-reports-'));
      const offline = { reports: { directory: folder }, fetch: network, mode: 'offline' as const };
      const { agent, base, guard, used, close } = await scene(server, offline);
      await guard.ready();
      await agent.fetch(`${base}/files/7`);
      const at = server.clock.now();
      away = true;
      await guard.flush();
      for (let minute = 0; minute < 60; minute++) {
        server.clock.advance(60_000);
        if (minute % 10 === 0) await guard.flush();
      }
      assert.equal((await used()).length, 0);
      away = false;
      server.clock.advance(2 * 60_000);
      await guard.flush();
      await guard.flush();
      const [event, ...others] = await used();
      assert.deepEqual([event?.decided_on.used_at, others.length], [at, 0]);
      assert.ok(Date.parse(String(event?.at)) >= at + hour);
      await close();
      rmSync(folder, { recursive: true });
    });

    test('a guard is believed about its own resource alone', async () => {
      const [one, other] = [await scene(server), await scene(server)];
      await one.agent.fetch(`${one.base}/files/7`);
      await one.guard.flush();
      const [event] = await one.used();
      const { issuer, clock } = server;
      const sdk = createAgent({
        issuer,
        resource: issuer,
        scope: 'events:report',
        clientId: other.credential.client_id,
        key: other.credential.jwk,
        now: clock.now,
      });
      const report = {
        type: 'access.used',
        id: 'forged-by-another',
        at: new Date(clock.now()).toISOString(),
        outcome: 'allowed',
        status: 200,
        agent: one.agentId,
        organization: (event as unknown as { org: string }).org,
        jti: event?.jti,
        mode: 'offline',
      };
      const response = await sdk.fetch(`${issuer}/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ reports: [report] }),
      });
      assert.deepEqual(await response.json(), {
        results: [{ id: report.id, outcome: 'refused', reason: 'no_such_token' }],
      });
      assert.equal((await one.used()).length, 1);
      await Promise.all([one.close(), other.close()]);
    });

    test('tools and what a proxy asks for are told, too', async () => {
      const { base, guard, used, credential, headersOf, close } = await scene(server);
      const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-sidecar-'));
      const file = path.join(folder, 'guard.json');
      writeFileSync(file, JSON.stringify(credential));
      const flags = { resource: base, credential: file, proxy: 'nginx', listen: '127.0.0.1:0', reports: folder };
      const args = Object.entries({ ...flags, mode: 'introspect' }).flatMap(([name, value]) => [`--${name}`, value]);
      const { config } = readInvocation(args, {});
      assert.ok(config);
      const runtime = { now: server.clock.now, monotonic: server.clock.monotonic, every: () => () => {} };
      const sidecar = await startSidecar(
        config,
        guardOf(config, () => {}, { runtime }),
      );
      const told = { 'x-original-method': 'GET', 'x-original-uri': '/files/7', 'x-forwarded-for': '192.0.2.7' };
      const asked = await fetch(`${sidecar.url}/check`, { headers: { ...(await headersOf('/files/7')), ...told } });
      assert.equal(asked.status, 200);
      await sidecar.close();
      const headers = Object.entries(await headersOf('/mcp', 'POST')).map(([name, value]) => [name, [value]]);
      const request = { method: 'POST', url: '/mcp', headers: Object.fromEntries(headers), remoteAddress: '127.0.0.1' };
      const verified = await guard.verify(request);
      assert.ok('verified' in verified);
      assert.equal((await guard.allows(verified, { tool: 'look_up' })).allowed, true);
      await guard.flush();
      const operations = (await used()).map(({ decided_on }) => decided_on.operation);
      assert.deepEqual(operations.toSorted(), ['look up', 'read']);
      await close();
      rmSync(folder, { recursive: true });
    });

    test('a server that is killed while batches are under way has each once', async (t) => {
      const { server: killed, folder, kill, startAgain } = await killableServer(t, database);
      const reports = { directory: path.join(folder, 'reports') };
      let sent = 0;
      const killing: typeof fetch = async (input, init) => {
        const isBatch = String(input).endsWith('/events') && sent++ === 2;
        if (isBatch) setImmediate(kill);
        return fetch(input, init);
      };
      const real = { monotonic: () => performance.now() + sent * 120_000 };
      const made = await scene(killed, { reports, fetch: killing, mode: 'offline', runtime: real });
      const { agent, base, guard, used, close } = made;
      await guard.ready();
      const calls = 40;
      for (let call = 0; call < calls; call++) {
        await agent.fetch(`${base}/files/${call}`);
        if (call % 4 === 3) await guard.flush();
      }
      await kill();
      await startAgain();
      assert.ok(made.problems.length > 0, 'a batch had no answer');
      sent += 10; // the pause is over
      await guard.flush();
      const events = await used();
      const ids = new Set(events.map(({ decided_on }) => decided_on.report));
      assert.deepEqual([events.length, ids.size], [calls, calls]);
      await close();
    });
  });
}
