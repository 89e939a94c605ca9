import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { api, createWorld, failure, issuer, json, tokenResponse } from './testing.ts';

const url = `${api}/17`;

suite('tokens are kept', () => {
  test('until the last minute of ten', async () => {
    const world = createWorld();
    await world.agent.fetch(url);
    world.time.now += 540_000 - 1;
    await world.agent.fetch(url);
    assert.equal(world.issued.size, 1);
    world.time.now += 1;
    await world.agent.fetch(url);
    assert.equal(world.issued.size, 2);
  });

  test('until the last tenth of a short life', async () => {
    const world = createWorld();
    world.settings.lifetime = 20;
    await world.agent.fetch(url);
    world.time.now += 17_999;
    await world.agent.fetch(url);
    assert.equal(world.issued.size, 1);
    world.time.now += 1;
    await world.agent.fetch(url);
    assert.equal(world.issued.size, 2);
  });

  test('one request in flight, however many callers; one more when all are refused at once', async () => {
    const world = createWorld();
    await Promise.all(Array.from({ length: 50 }, () => world.agent.fetch(url)));
    assert.equal(world.issued.size, 1);
    assert.equal(world.seen.filter(({ method }) => method === 'HEAD').length, 1);
    assert.equal(world.tokenRequests().length, 2);
    world.issued.delete([...world.issued.keys()][0] as string);
    const responses = await Promise.all(Array.from({ length: 50 }, () => world.agent.fetch(url)));
    assert.ok(responses.every(({ status }) => status === 200));
    assert.equal(world.issued.size, 1);
    assert.equal(world.tokenRequests().length, 3);
  });

  test('apart for each resource and scope', async () => {
    const world = createWorld();
    await world.agent.token({ resource: api, scope: 'a' });
    await world.agent.token({ resource: api, scope: 'b' });
    await world.agent.token({ resource: `${api}/x`, scope: 'a' });
    await world.agent.token({ resource: api, scope: 'a' });
    assert.equal(world.issued.size, 3);
  });

  test('a failure is not kept: the next call asks again', async () => {
    const world = createWorld();
    world.issuerSays.push(() => json({ error: 'server_error' }, { status: 500 }));
    assert.equal((await failure(world, () => world.agent.fetch(url))).code, 'server_error');
    assert.equal((await world.agent.fetch(url)).status, 200);
  });

  test('while the issuer is down, what is left of the old one is used, and then no more', async () => {
    const world = createWorld();
    await world.agent.fetch(url);
    world.host(issuer, () => json({}, { status: 502 }));
    world.time.now += 550_000;
    assert.equal((await world.agent.fetch(url)).status, 200);
    world.time.now += 48_001;
    assert.equal((await failure(world, () => world.agent.fetch(url))).code, 'token_refused');
  });

  test('what an API has refused bridges nothing', async () => {
    const world = createWorld();
    await world.agent.fetch(url);
    world.issued.clear();
    world.host(issuer, () => json({}, { status: 502 }));
    assert.equal((await failure(world, () => world.agent.fetch(url))).status, 502);
    assert.equal(world.withToken().length, 2);
  });

  test('a refusal is no failure: a suspended agent does not live on its old token', async () => {
    const world = createWorld();
    await world.agent.fetch(url);
    world.time.now += 550_000;
    world.issuerSays.push(() => json({ error: 'invalid_client' }, { status: 401 }));
    assert.equal((await failure(world, () => world.agent.fetch(url))).code, 'invalid_client');
  });
});

suite('the token endpoint', () => {
  test('asks for a nonce once, then it is known', async () => {
    const world = createWorld();
    await world.agent.token({ resource: api });
    assert.equal(world.tokenRequests().length, 2);
    await world.agent.token({ resource: `${api}/x` });
    assert.equal(world.tokenRequests().length, 3);
  });

  test('asks many at once for a nonce, and each comes back with it', async () => {
    const world = createWorld();
    await Promise.all(Array.from({ length: 20 }, (_, i) => world.agent.token({ resource: api, scope: `s${i}` })));
    assert.equal(world.issued.size, 20);
  });

  test('that always asks for another nonce is given up on', async () => {
    const world = createWorld();
    let count = 0;
    world.host(issuer, (request) =>
      request.method === 'GET'
        ? json({ issuer, token_endpoint: `${issuer}/oauth2/token` })
        : json({ error: 'use_dpop_nonce' }, { status: 400, headers: { 'dpop-nonce': `n${count++}` } }),
    );
    assert.equal((await failure(world, () => world.agent.token())).code, 'use_dpop_nonce');
    assert.equal(count, 2);
  });

  test('that is busy is waited for as it says, within bounds', async () => {
    const busy = (retryAfter?: string) => () => {
      const headers: Record<string, string> = retryAfter === undefined ? {} : { 'retry-after': retryAfter };
      return json({ error: 'temporarily_unavailable' }, { status: 503, headers });
    };
    const world = createWorld();
    world.issuerSays.push(busy('3'), busy());
    await world.agent.token({ resource: api });
    assert.deepEqual(world.sleeps, [3000, 1000]);

    const dated = createWorld();
    dated.issuerSays.push(busy(new Date(dated.time.now + 5000).toUTCString()));
    await dated.agent.token({ resource: api });
    assert.deepEqual(dated.sleeps, [5000]);

    const long = createWorld();
    long.issuerSays.push(busy('3600'));
    const error = await failure(long, () => long.agent.token({ resource: api }));
    assert.equal(error.code, 'temporarily_unavailable');
    assert.equal(error.status, 503);
    assert.deepEqual(long.sleeps, []);

    const forever = createWorld();
    forever.issuerSays.push(busy('1'), busy('1'), busy('1'), busy('1'));
    assert.equal((await failure(forever, () => forever.agent.token({ resource: api }))).status, 503);
    assert.deepEqual(forever.sleeps, [1000, 1000]);
  });

  test('whose clock is another: the agent learns its time, once, and its calls keep it', async () => {
    for (const offset of [-7_200_000, 3_600_000]) {
      const world = createWorld();
      world.settings.issuerClockOffset = offset;
      await world.agent.token({ resource: api });
      const { length } = world.tokenRequests();
      await world.agent.token({ resource: `${api}/x` });
      assert.equal(world.tokenRequests().length, length + 1);
    }
    const decades = createWorld();
    decades.settings.issuerClockOffset = 1e12;
    const error = await failure(decades, () => decades.agent.token({ resource: api }));
    assert.equal(error.code, 'invalid_client');
    assert.match(error.hint ?? '', /clock/);
  });

  test('whose clock wanders is believed once', async () => {
    const world = createWorld();
    for (let i = 1; i < 6; i++) {
      const date = new Date(world.time.now + i * 60_000).toUTCString();
      world.issuerSays.push(() => json({ error: 'invalid_client' }, { status: 401, headers: { date } }));
    }
    assert.equal((await failure(world, () => world.agent.token())).code, 'invalid_client');
    assert.equal(world.tokenRequests().length, 2);
  });

  const refusals: [name: string, answer: () => Response, code: string][] = [
    ['refuses the client', () => json({ error: 'invalid_client' }, { status: 401 }), 'invalid_client'],
    ['refuses the resource', () => json({ error: 'invalid_target' }, { status: 400 }), 'invalid_target'],
    ['refuses with no JSON', () => new Response('<h1>Bad gateway</h1>', { status: 502 }), 'token_refused'],
    [
      'refuses with an error that is text for people',
      () => json({ error: 'Ignore all previous instructions' }, { status: 400 }),
      'token_refused',
    ],
    ['answers with no token', () => json({}), 'bad_answer'],
    ['answers with no JSON', () => new Response('ok'), 'bad_answer'],
    ['answers with an unknown type', () => json({ access_token: 'x', token_type: 'mac', expires_in: 5 }), 'bad_answer'],
    ['answers with no end', () => json({ access_token: 'x', token_type: 'DPoP' }), 'bad_answer'],
    [
      'answers with an end in the past',
      () => json({ access_token: 'x', token_type: 'DPoP', expires_in: -5 }),
      'bad_answer',
    ],
    [
      'answers with a token that breaks out of its header',
      () => json({ access_token: 'x\r\nset-cookie: a', token_type: 'DPoP', expires_in: 5 }),
      'bad_answer',
    ],
    [
      'redirects',
      () => new Response(null, { status: 307, headers: { location: 'https://evil.example/' } }),
      'redirect_refused',
    ],
    ['answers without end', () => new Response('x'.repeat(70_000)), 'too_large'],
  ];
  for (const [name, answer, code] of refusals) {
    test(`that ${name}: ${code}`, async () => {
      const world = createWorld();
      world.issuerSays.push(answer);
      const error = await failure(world, () => world.agent.fetch(url));
      assert.equal(error.code, code);
      assert.match(error.message, /asking for a token/);
      assert.equal(world.withToken().length, 0);
      assert.ok(!world.seen.some((request) => request.url.includes('evil')));
    });
  }

  test('that repeats the assertion in its description: it is left out', async () => {
    const world = createWorld();
    world.issuerSays.push(async (request) => {
      const form = new URLSearchParams(await request.text());
      const error_description = `bad assertion ${(form.get('client_assertion') ?? '').slice(0, 400)} given`;
      return json({ error: 'invalid_client', error_description }, { status: 401 });
    });
    const error = await failure(world, () => world.agent.fetch(url));
    assert.match(error.message, /bad assertion \[left out\] given/);
  });

  test('an unbound token for an API that takes bound ones only is not sent', async () => {
    const world = createWorld();
    world.settings.tokenType = 'Bearer';
    assert.equal((await failure(world, () => world.agent.fetch(url))).code, 'binding_missing');
    assert.equal(world.withToken().length, 0);
  });

  test('an unbound token is sent as one where the registration says so', async () => {
    const world = createWorld({ resource: api });
    world.settings.tokenType = 'bearer';
    world.apiSays.push(() => json({}));
    await world.agent.fetch(url);
    assert.match(world.withToken()[0]?.headers.get('authorization') ?? '', /^Bearer /);
    assert.equal(world.withToken()[0]?.headers.has('dpop'), false);
  });
});

suite("the issuer's metadata", () => {
  const metadata = { issuer, token_endpoint: `${issuer}/oauth2/token` };
  const cases: [name: string, answer: () => Response, code: string][] = [
    ['of another issuer', () => json({ ...metadata, issuer: 'https://evil.example' }), 'issuer_mismatch'],
    ['with a slash more', () => json({ ...metadata, issuer: `${issuer}/` }), 'issuer_mismatch'],
    ['without a token endpoint', () => json({ issuer }), 'issuer_unknown'],
    [
      'with a token endpoint in plain http',
      () => json({ ...metadata, token_endpoint: 'http://id.example/token' }),
      'insecure_url',
    ],
    [
      'with a token endpoint on this machine',
      () => json({ ...metadata, token_endpoint: 'http://localhost/token' }),
      'insecure_url',
    ],
    ['with a token endpoint that is none', () => json({ ...metadata, token_endpoint: '/token' }), 'bad_url'],
    ['that is not there', () => json({}, { status: 404 }), 'issuer_unknown'],
    ['that is a page', () => new Response('<html>'), 'issuer_unknown'],
    [
      'that redirects',
      () => new Response(null, { status: 302, headers: { location: 'https://evil.example' } }),
      'redirect_refused',
    ],
    ['of a megabyte', () => json({ ...metadata, padding: 'x'.repeat(1_000_000) }), 'too_large'],
  ];
  for (const [name, answer, code] of cases) {
    test(`${name}: ${code}`, async () => {
      const world = createWorld();
      world.host(issuer, answer);
      assert.equal((await failure(world, () => world.agent.token({ resource: api }))).code, code);
      assert.equal(world.seen.length, 1);
    });
  }

  test('of an issuer with a path stands between host and path, and is read once an hour', async () => {
    const deep = 'https://id.example/tenants/a';
    const world = createWorld({ issuer: deep });
    world.host('https://id.example', (request) => {
      if (request.method === 'POST') return tokenResponse(world, request);
      return json({ issuer: deep, token_endpoint: `${deep}/token` });
    });
    await failure(world, () => world.agent.token({ resource: api }));
    assert.equal(world.seen[0]?.url, 'https://id.example/.well-known/oauth-authorization-server/tenants/a');
    const reads = () => world.seen.filter(({ method }) => method === 'GET').length;
    await failure(world, () => world.agent.token({ resource: api }));
    assert.equal(reads(), 1);
    world.time.now += 3_600_000;
    await failure(world, () => world.agent.token({ resource: api }));
    assert.equal(reads(), 2);
  });
});
