import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { formatChallenge } from '@bailiwick/protocol';
import { api, createWorld, failure, guarded, issuer, json, type World } from './testing.ts';

const url = `${api}/17`;
const origin = 'https://api.example';
const usual = (world: World) => (request: Request) => guarded(world, request, origin);
const challenged =
  (status: number, params: Record<string, string>, headers: Record<string, string> = {}) =>
  () =>
    json(params, { status, headers: { 'www-authenticate': formatChallenge('DPoP', params), ...headers } });
const redirect =
  (location: string, status = 302) =>
  () =>
    new Response(null, { status, headers: { location } });

suite('what an API asks for is done, once', () => {
  test('a nonce: one more request, then it is known', async () => {
    const world = createWorld();
    world.settings.apiNonce = 'a1';
    assert.equal((await world.agent.fetch(url)).status, 200);
    assert.equal(world.withToken().length, 2);
    await world.agent.fetch(url);
    assert.equal(world.withToken().length, 3);
    world.settings.apiNonce = 'a2';
    assert.equal((await world.agent.fetch(url)).status, 200);
    assert.equal(world.withToken().length, 5);
  });

  test('a nonce that comes with a good answer is used next', async () => {
    const world = createWorld();
    world.apiSays.push(() => json({}, { headers: { 'dpop-nonce': 'a1' } }));
    await world.agent.fetch(url);
    world.settings.apiNonce = 'a1';
    assert.equal((await world.agent.fetch(url)).status, 200);
    assert.equal(world.withToken().length, 2);
  });

  test('a nonce, to fifty calls at once', async () => {
    const world = createWorld();
    world.settings.apiNonce = 'a1';
    const responses = await Promise.all(Array.from({ length: 50 }, () => world.agent.fetch(url)));
    assert.ok(responses.every(({ status }) => status === 200));
  });

  test('a nonce without end is not', async () => {
    const world = createWorld();
    for (let i = 0; i < 5; i++)
      world.apiSays.push(challenged(401, { error: 'use_dpop_nonce' }, { 'dpop-nonce': `a${i}` }));
    assert.equal((await world.agent.fetch(url)).status, 401);
    assert.equal(world.withToken().length, 2);
  });

  test('nor is a nonce that is not there', async () => {
    const world = createWorld();
    world.apiSays.push(challenged(401, { error: 'use_dpop_nonce' }));
    assert.equal((await world.agent.fetch(url)).status, 401);
    assert.equal(world.withToken().length, 1);
  });

  test('a fresh token for one that is refused', async () => {
    const world = createWorld();
    await world.agent.fetch(url);
    world.issued.clear();
    assert.equal((await world.agent.fetch(url)).status, 200);
    assert.equal(world.withToken().length, 3);
  });

  test('an API that refuses every token gets two', async () => {
    const world = createWorld();
    for (let i = 0; i < 5; i++) world.apiSays.push(challenged(401, { error: 'invalid_token' }));
    assert.equal((await world.agent.fetch(url)).status, 401);
    assert.equal(world.withToken().length, 2);
    assert.equal(world.issued.size, 2);
  });

  test('both, one after the other', async () => {
    const world = createWorld();
    await world.agent.fetch(url);
    world.issued.clear();
    world.settings.apiNonce = 'a1';
    assert.equal((await world.agent.fetch(url)).status, 200);
  });

  test('more scope: the union, which is remembered', async () => {
    const world = createWorld();
    world.settings.needs['/tickets/17'] = ['tickets:close', 'tickets:read'];
    const response = await world.agent.fetch(url);
    assert.deepEqual(((await response.json()) as { scope: string[] }).scope, ['tickets:read', 'tickets:close']);
    const { length } = world.seen;
    assert.equal((await world.agent.fetch(url)).status, 200);
    assert.equal(world.seen.length, length + 1);
  });

  test("more scope than the issuer gives: the API's own answer", async () => {
    const world = createWorld();
    world.settings.needs['/tickets/17'] = ['tickets:close'];
    await world.agent.fetch(api);
    world.issuerSays.push(() => json({ error: 'invalid_scope' }, { status: 400 }));
    const response = await world.agent.fetch(url);
    assert.equal(response.status, 403);
    assert.deepEqual(await response.json(), { error: 'insufficient_scope' });
  });

  test('more scope without end is not asked for, nor what the token has', async () => {
    const world = createWorld();
    for (let i = 0; i < 4; i++) world.apiSays.push(challenged(403, { error: 'insufficient_scope', scope: `s${i}` }));
    assert.equal((await world.agent.fetch(url)).status, 403);
    assert.equal(world.withToken().length, 2);
    const other = createWorld();
    other.apiSays.push(challenged(403, { error: 'insufficient_scope', scope: 'tickets:read' }));
    assert.equal((await other.agent.fetch(url)).status, 403);
    assert.equal(other.withToken().length, 1);
  });

  test('no more scope where stepUp is false', async () => {
    const world = createWorld({ stepUp: false });
    world.settings.needs['/tickets/17'] = ['tickets:close'];
    assert.equal((await world.agent.fetch(url)).status, 403);
    assert.equal(world.issued.size, 1);
  });

  test('an API within the API: found when it says who it is, then known', async () => {
    const world = createWorld();
    await world.agent.fetch(url);
    const admin = `${api}/admin`;
    const place = `${origin}/.well-known/oauth-protected-resource/tickets/admin`;
    world.host(origin, (request) => {
      if (request.url === place) return json({ resource: admin, authorization_servers: [issuer] });
      const token = (request.headers.get('authorization') ?? '').slice('DPoP '.length);
      if (world.issued.get(token)?.resource === admin) return json({ admin: true });
      return challenged(401, { error: 'invalid_token', resource_metadata: place })();
    });
    assert.equal((await world.agent.fetch(`${admin}/users`)).status, 200);
    const { length } = world.seen;
    assert.equal((await world.agent.fetch(`${admin}/users/1`)).status, 200);
    assert.equal(world.seen.length, length + 1);
  });

  test('a challenge that cannot be read asks for nothing', async () => {
    const world = createWorld();
    world.apiSays.push(() => new Response(null, { status: 401, headers: { 'www-authenticate': 'DPoP error="' } }));
    assert.equal((await world.agent.fetch(url)).status, 401);
    assert.equal(world.withToken().length, 1);
  });

  test('a stream cannot be sent again: said clearly, and the first answer is not hidden', async () => {
    const stream = () =>
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode('streamed'));
          controller.close();
        },
      });
    const world = createWorld();
    const first = await world.agent.fetch(url, { method: 'POST', body: stream() });
    assert.equal(((await first.json()) as { body: string }).body, 'streamed');
    world.settings.apiNonce = 'a1';
    const error = await failure(world, () => world.agent.fetch(url, { method: 'POST', body: stream() }));
    assert.equal(error.code, 'body_not_repeatable');
    assert.equal(error.status, 401);
    const again = await world.agent.fetch(url, { method: 'POST', body: stream() });
    assert.equal(again.status, 200, 'the nonce is known now');
    const request = new Request(url, { method: 'POST', body: 'text' });
    world.settings.apiNonce = 'a2';
    assert.equal((await failure(world, () => world.agent.fetch(request))).code, 'body_not_repeatable');
  });
});

suite('redirects', () => {
  test('of a GET within the API are followed with a new proof', async () => {
    const world = createWorld();
    world.apiSays.push(redirect('/tickets/18?x=y'));
    const response = await world.agent.fetch(url);
    assert.deepEqual(((await response.json()) as { path: string }).path, '/tickets/18');
    assert.equal(new Set(world.withToken().map(({ headers }) => headers.get('dpop'))).size, 2);
  });

  test('a 303 after a POST is followed by a GET without the body and its headers', async () => {
    const world = createWorld();
    world.apiSays.push(redirect('/tickets/18', 303));
    const response = await world.agent.fetch(url, {
      method: 'POST',
      body: 'x',
      headers: { 'content-type': 'text/x', 'x-mine': '1' },
    });
    assert.deepEqual(await response.json(), { method: 'GET', path: '/tickets/18', body: '', scope: ['tickets:read'] });
    const { headers } = world.seen.at(-1) as { headers: Headers };
    assert.equal(headers.get('content-type'), null);
    assert.equal(headers.get('x-mine'), '1');
  });

  const refused: [name: string, location: string, init: RequestInit, status: number][] = [
    ['to another host', 'https://evil.example/tickets', {}, 302],
    ['to another host, without a scheme', '//evil.example/tickets', {}, 302],
    ['to plain http', 'http://api.example/tickets', {}, 301],
    ['to another port', 'https://api.example:8443/tickets', {}, 302],
    ['to another path', '/ticketsx', {}, 302],
    ['out of the API', '/tickets/../admin', {}, 302],
    ['out of the API, encoded', '/tickets/..%2fadmin', {}, 302],
    ['to a user name', 'https://x@api.example/tickets', {}, 302],
    ['to nowhere', 'https://', {}, 302],
    ['to a script', 'javascript:alert(1)', {}, 302],
    ['of a POST', '/tickets/18', { method: 'POST', body: 'x' }, 307],
    ['of a DELETE', '/tickets/18', { method: 'DELETE' }, 302],
    ['when none are wanted', '/tickets/18', { redirect: 'error' }, 302],
  ];
  for (const [name, location, init, status] of refused) {
    test(`${name} are refused, and nothing goes there`, async () => {
      const world = createWorld();
      world.host('https://evil.example', () => json({}));
      world.apiSays.push(redirect(location, status));
      const error = await failure(world, () => world.agent.fetch(url, init));
      assert.equal(error.code, 'redirect_refused');
      assert.equal(error.status, status);
      assert.equal(world.withToken().length, 1);
      assert.ok(!world.seen.some((request) => new URL(request.url).host === 'evil.example'));
    });
  }

  test('in a circle end', async () => {
    const world = createWorld();
    for (let i = 0; i < 20; i++) world.apiSays.push(redirect('/tickets/18'));
    assert.equal((await failure(world, () => world.agent.fetch(url))).code, 'redirect_refused');
    assert.equal(world.withToken().length, 6);
  });

  test('are handed over where the caller wants to see them', async () => {
    const world = createWorld();
    world.apiSays.push(redirect('https://evil.example/'));
    const response = await world.agent.fetch(url, { redirect: 'manual' });
    assert.equal(response.status, 302);
    assert.equal(response.headers.get('location'), 'https://evil.example/');
  });

  test('without a location are the answer', async () => {
    const world = createWorld();
    world.apiSays.push(() => new Response(null, { status: 302 }));
    assert.equal((await world.agent.fetch(url)).status, 302);
    assert.equal(world.withToken().length, 1);
  });

  test('304 is no redirect', async () => {
    const world = createWorld();
    world.apiSays.push(() => new Response(null, { status: 304 }));
    assert.equal((await world.agent.fetch(url)).status, 304);
  });

  test('a remedy works after a redirect too', async () => {
    const world = createWorld();
    world.apiSays.push(redirect('/tickets/18'), (request) => {
      world.settings.apiNonce = 'late';
      return usual(world)(request);
    });
    assert.equal((await world.agent.fetch(url)).status, 200);
  });
});
