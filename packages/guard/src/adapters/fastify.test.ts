import assert from 'node:assert/strict';
import { test } from 'node:test';
import fastify, { type FastifyServerOptions } from 'fastify';
import { createGuard } from '../index.ts';
import { fakeAgent, fakeIssuer } from '../testing/fake-issuer.ts';
import { bailiwick } from './fastify.ts';

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
