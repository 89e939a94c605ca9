/** Hono where no server of `node:http` is below it, and what its own ways of rewriting requests mean to the guard. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { certificateThumbprint } from '@bailiwick/protocol';
import { getRequestListener } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { createGuard, type GuardOptions } from '../index.ts';
import { client, operations, origin, stranger } from '../testing/adapter-world.ts';
import { fakeAgent, fakeIssuer, quiet } from '../testing/fake-issuer.ts';
import { bailiwick, type Connection, type HonoOptions } from './hono.ts';

const x5t = { 'x5t#S256': certificateThumbprint(client.der) };

async function setUp(guardOptions: Partial<GuardOptions> = {}, options: HonoOptions = {}) {
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const runtime = quiet(fake);
  const guard = createGuard(fake.options({ resource: `${origin}/api`, operations, runtime, ...guardOptions }));
  const app = new Hono();
  app.use(bailiwick(guard, options));
  app.get('/api/tickets/purge', (context) => context.text('purged'));
  app.get('/api/tickets/:id', (context) => context.text(context.get('caller').operation));

  async function request(path = '/api/tickets/7', claims: Record<string, unknown> = {}): Promise<Request> {
    const token = await agent.token({ aud: guard.resource, ...claims });
    const dpop = await agent.proof({ method: 'GET', url: `${origin}${path}`, token });
    const bearer = claims.cnf !== undefined;
    const headers = bearer ? { authorization: `Bearer ${token}` } : { authorization: `DPoP ${token}`, dpop };
    return new Request(`http://elsewhere.example${path}`, { headers });
  }
  return { app, guard, agent, request };
}

test('a Request without a server below is judged by what is in it', async () => {
  const { app, request } = await setUp();
  const answer = await app.fetch(await request());
  assert.deepEqual([answer.status, await answer.text()], [200, 'read ticket']);
});

test('headers that were joined on the way are refused', async () => {
  const { app, request } = await setUp();
  for (const [name, status] of [
    ['authorization', 400],
    ['dpop', 401],
  ] as const) {
    const twice = await request();
    twice.headers.append(name, 'Bearer x');
    assert.equal((await app.fetch(twice)).status, status, name);
  }
});

const noConnection: [what: string, claims: Record<string, unknown>][] = [
  ['limited to addresses', { ctx: { ip: ['0.0.0.0/0', '::/0'] } }],
  ['bound to a certificate', { cnf: x5t }],
];
for (const [what, claims] of noConnection) {
  test(`where nothing is known of the connection, a token that is ${what} is refused`, async () => {
    const { app, request } = await setUp({ clientCertificate: { proxies: ['10.0.0.7'] } });
    const sent = await request('/api/tickets/7', claims);
    sent.headers.set('x-forwarded-for', '10.0.0.7');
    sent.headers.set('client-cert', `:${client.der.toString('base64')}:`);
    assert.equal((await app.fetch(sent)).status, 401);
  });
}

const connections: [what: string, connection: Connection, claims: Record<string, unknown>, status: number][] = [
  ['an address', { remoteAddress: '192.0.2.7' }, { ctx: { ip: ['192.0.2.0/24'] } }, 200],
  ['another address', { remoteAddress: '198.51.100.7' }, { ctx: { ip: ['192.0.2.0/24'] } }, 401],
  ['the certificate', { certificate: () => client.der }, { cnf: x5t }, 200],
  ['another certificate', { certificate: () => stranger.der }, { cnf: x5t }, 401],
  ['no certificate', { certificate: () => undefined }, { cnf: x5t }, 401],
  ['the proxy', { remoteAddress: '10.0.0.7' }, { cnf: x5t }, 200],
  ['another proxy', { remoteAddress: '10.0.0.8' }, { cnf: x5t }, 401],
];
for (const [what, connection, claims, status] of connections) {
  test(`a runtime can tell of the connection: ${what}`, async () => {
    const { app, request } = await setUp(
      { clientCertificate: { proxies: ['10.0.0.7'] } },
      { connection: (_: Context) => connection },
    );
    const sent = await request('/api/tickets/7', claims);
    sent.headers.set('client-cert', `:${client.der.toString('base64')}:`);
    assert.equal((await app.fetch(sent)).status, status);
  });
}

test('a connection that cannot be told of means no', async () => {
  const connection = () => {
    throw new Error('secret');
  };
  const { app, request } = await setUp({}, { connection });
  const answer = await app.fetch(await request());
  assert.equal(answer.status, 500);
  assert.doesNotMatch(await answer.text(), /secret/);
});

/** Serves what another app makes of the requests. */
async function served(fetch: (request: Request, env: object) => Response | Promise<Response>, sent: Request) {
  const server = createServer(getRequestListener(fetch));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const { pathname, search } = new URL(sent.url);
    return await globalThis.fetch(`http://127.0.0.1:${port}${pathname}${search}`, { headers: sent.headers });
  } finally {
    server.close();
  }
}

test('an app that is mounted in another is guarded by what was sent', async () => {
  const { guard, request } = await setUp();
  const inner = new Hono();
  inner.use(bailiwick(guard));
  inner.get('/tickets/:id', (context) => context.text(context.get('caller').operation));
  const outer = new Hono().mount('/api', inner.fetch);
  const answer = await served(outer.fetch, await request());
  assert.deepEqual([answer.status, await answer.text()], [200, 'read ticket']);
});

test('a request that was rewritten into another is refused', async () => {
  const { app, request } = await setUp();
  const rewrite = (sent: Request, env: object) =>
    app.fetch(new Request(new URL('/api/tickets/purge', sent.url), sent), env);
  const answer = await served(rewrite, await request());
  assert.deepEqual([answer.status, JSON.parse(await answer.text()).error], [400, 'invalid_request']);
});

test('a method that was rewritten is the one that counts', async () => {
  const { app, request } = await setUp({
    operations: [...operations, { ...operations[0]!, name: 'x', method: 'DELETE' }],
  });
  app.delete('/api/tickets/:id', (context) => context.text('deleted'));
  const rewrite = (sent: Request, env: object) => app.fetch(new Request(sent, { method: 'DELETE' }), env);
  const answer = await served(rewrite, await request());
  assert.deepEqual([answer.status, JSON.parse(await answer.text()).error], [401, 'invalid_dpop_proof']);
});
