import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import fastify, { type FastifyServerOptions } from 'fastify';
import { createGuard, sendAnswer } from '../index.ts';
import { adapterContract } from '../testing/adapter-contract.ts';
import { fakeAgent, fakeIssuer, quiet } from '../testing/fake-issuer.ts';
import { bailiwick, bailiwickMetadata } from './fastify.ts';

function listening(server: Server, port: number): Promise<{ close(): Promise<void> }> {
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => resolve({ close: () => new Promise((done) => server.close(() => done())) }));
  });
}

adapterContract('node:http, guard.node', (guard, route, port) => {
  const handler = guard.node(async (_, response, caller) => {
    response.end(JSON.stringify(route(caller)));
  });
  return listening(createServer(handler), port);
});

adapterContract('node:http, guard.check', (guard, route, port) => {
  const server = createServer(async (request, response) => {
    const decision = await guard.check(request);
    if (!decision.allowed) return sendAnswer(response, decision);
    response.end(JSON.stringify(route(decision.caller)));
  });
  return listening(server, port);
});

adapterContract('Fastify', async (guard, route, port) => {
  const app = fastify();
  await app.register(bailiwick, { guard });
  app.get('/api/tickets/purge', (request) => route(request.caller));
  app.get('/api/tickets/:id', (request) => route(request.caller));
  app.post('/api/tickets/:id/close', (request) => route(request.caller));
  await app.listen({ port, host: '127.0.0.1' });
  return { close: () => app.close() };
});

adapterContract('Fastify, below a prefix', async (guard, route, port) => {
  const app = fastify();
  await app.register(bailiwickMetadata, { guard });
  app.setNotFoundHandler(async (request, reply) => {
    const decision = await guard.check(request.raw);
    if (!decision.allowed) return reply.code(decision.status).headers(decision.headers).send(decision.body);
    return reply.code(404).send();
  });
  await app.register(
    async (scope) => {
      await scope.register(bailiwick, { guard });
      scope.get('/tickets/purge', (request) => route(request.caller));
      scope.get('/tickets/:id', (request) => route(request.caller));
      scope.post('/tickets/:id/close', (request) => route(request.caller));
    },
    { prefix: '/api' },
  );
  await app.listen({ port, host: '127.0.0.1' });
  return { close: () => app.close() };
});

async function anyGuard() {
  return createGuard((await fakeIssuer()).options());
}

for (const [name, options] of [
  ['caseSensitive', { routerOptions: { caseSensitive: false } }],
  ['caseSensitive', { caseSensitive: false }],
  ['useSemicolonDelimiter', { routerOptions: { useSemicolonDelimiter: true } }],
  ['ignoreTrailingSlash', { routerOptions: { ignoreTrailingSlash: true } }],
  ['ignoreTrailingSlash', { ignoreTrailingSlash: true }],
  ['ignoreDuplicateSlashes', { routerOptions: { ignoreDuplicateSlashes: true } }],
] as const) {
  test(`Fastify: a router that reads paths loosely (${JSON.stringify(options)}) is not guarded but refused`, async () => {
    const app = fastify(options as FastifyServerOptions);
    await assert.rejects(async () => app.register(bailiwick, { guard: await anyGuard() }), new RegExp(name));
  });
}

test('Fastify: what counts is the URL as it was sent, not what it was rewritten to', async () => {
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const app = fastify({ rewriteUrl: (request) => (request.url ?? '').replace(/^\/v1/, '') });
  await app.register(bailiwick, { guard: createGuard(fake.options()) });
  app.get('/tickets', (request) => request.caller.operation);
  const { headers } = await agent.request();
  const sent = { authorization: headers.authorization![0]!, dpop: headers.dpop![0]! };
  const answer = await app.inject({ url: '/v1/tickets', headers: sent });
  assert.deepEqual([answer.statusCode, answer.body], [200, 'list tickets']);
});

test('Fastify: below a prefix the metadata has to be published first', async () => {
  const app = fastify();
  const guard = await anyGuard();
  const registered = app.register(async (scope) => scope.register(bailiwick, { guard }), { prefix: '/v1' });
  await assert.rejects(async () => registered, /register bailiwickMetadata first/);
});

test('Fastify: routes of another scope need no token, and have no caller', async () => {
  const app = fastify();
  const guard = await anyGuard();
  await app.register(async (scope) => {
    await scope.register(bailiwick, { guard });
    scope.get('/v1/tickets', () => 'guarded');
  });
  app.get('/health', (request) => ({ caller: request.caller ?? null }));
  assert.deepEqual((await app.inject('/health')).json(), { caller: null });
  assert.equal((await app.inject('/v1/tickets')).statusCode, 401);
});

for (const started of [false, true]) {
  test(`guard.node: a route that fails ${started ? 'in the middle of' : 'before'} its answer says nothing of why`, async (context) => {
    const fake = await fakeIssuer();
    const runtime = quiet(fake);
    const agent = await fakeAgent(fake);
    const guard = createGuard(fake.options({ runtime }));
    const handler = guard.node(async (_, response) => {
      if (started) response.writeHead(200, { 'content-length': 100 }).write('half');
      throw new Error('secret');
    });
    const server = createServer(handler);
    const { close } = await listening(server, 0);
    context.after(close);
    const { port } = server.address() as AddressInfo;
    const { headers } = await agent.request();
    const answer = fetch(`http://127.0.0.1:${port}/v1/tickets`, {
      headers: { authorization: headers.authorization![0]!, dpop: headers.dpop![0]! },
    }).then(async (response) => `${response.status} ${await response.text()}`);
    if (started) await assert.rejects(answer, 'cut off, so that half an answer is not taken for a whole one');
    else assert.match(await answer, /^500 (?!.*secret)/);
    assert.match(runtime.problems.join(), /The route failed: Error: secret/);
  });
}
