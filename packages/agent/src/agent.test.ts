import assert from 'node:assert/strict';
import { createPrivateKey, type JsonWebKeyInput } from 'node:crypto';
import { suite, test } from 'node:test';
import { parseCompact, parseDpopProof, publicJwk, signerFrom, thumbprint } from '@bailiwick/protocol';
import { type AgentOptions, createAgent } from './index.ts';
import { api, clientId, createWorld, failure, issuer, json, jwk } from './testing.ts';

const url = `${api}/17?view=full`;

suite('agent.fetch', () => {
  test('finds the API, gets a token bound to a key of this process, and calls', async () => {
    const world = createWorld();
    const response = await world.agent.fetch(url);
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { method: 'GET', path: '/tickets/17', body: '', scope: ['tickets:read'] });
    assert.deepEqual(
      world.seen.map((request) => `${request.method} ${request.url}`),
      [
        `HEAD ${api}/17`,
        'GET https://api.example/.well-known/oauth-protected-resource/tickets',
        `GET ${issuer}/.well-known/oauth-authorization-server`,
        `POST ${issuer}/oauth2/token`,
        `POST ${issuer}/oauth2/token`,
        `GET ${url}`,
      ],
    );
    const form = new URLSearchParams(world.tokenRequests()[1]?.body);
    assert.equal(form.get('grant_type'), 'client_credentials');
    assert.equal(form.get('resource'), api);
    assert.equal(form.get('scope'), null);
    const assertion = parseCompact(form.get('client_assertion') ?? '');
    assert.equal(assertion.payload.iss, clientId);
    assert.equal(assertion.payload.aud, issuer);
    const proof = parseDpopProof(world.withToken()[0]?.headers.get('dpop') ?? '');
    assert.notEqual(proof.jkt, thumbprint(jwk));
    assert.equal(proof.claims.htu, `${api}/17`);
  });

  test('nothing but the call goes out when all is known', async () => {
    const world = createWorld();
    await world.agent.fetch(url);
    const before = world.seen.length;
    await world.agent.fetch(`${api}/18`);
    await world.agent.fetch(api, { method: 'POST', body: '{}' });
    assert.equal(world.seen.length, before + 2);
  });

  test('what an API says of itself is asked again after an hour', async () => {
    const world = createWorld();
    const probes = () => world.seen.filter(({ method }) => method === 'HEAD').length;
    await world.agent.fetch(url);
    world.time.now += 3_599_999;
    await world.agent.fetch(url);
    assert.equal(probes(), 1);
    world.time.now += 1;
    await world.agent.fetch(url);
    assert.equal(probes(), 2);
  });

  test('each request has a proof of its own', async () => {
    const world = createWorld();
    for (let i = 0; i < 3; i++) await world.agent.fetch(url);
    const proofs = world.withToken().map(({ headers }) => parseDpopProof(headers.get('dpop') ?? '').claims.jti);
    assert.equal(new Set(proofs).size, 3);
    const assertions = world
      .tokenRequests()
      .map(({ body }) => parseCompact(new URLSearchParams(body).get('client_assertion') ?? '').payload.jti);
    assert.equal(new Set(assertions).size, assertions.length);
  });

  for (const [name, key] of [
    ['a JWK', jwk],
    ['a KeyObject', createPrivateKey({ key: jwk, format: 'jwk' } as unknown as JsonWebKeyInput)],
    [
      'an object with sign()',
      {
        alg: 'ES256',
        kid: jwk.kid as string,
        publicJwk: publicJwk(jwk),
        sign: async (data: Uint8Array) => signerFrom(jwk).sign(data),
      },
    ],
  ] as [string, AgentOptions['key']][]) {
    test(`the key may be ${name}`, async () => {
      const world = createWorld({ key });
      assert.equal((await world.agent.fetch(url)).status, 200);
      world.assertSilent(world.agent);
    });
  }

  test('a key for proofs may be given', async () => {
    const world = createWorld({ proofKey: jwk });
    await world.agent.fetch(url);
    assert.equal(parseDpopProof(world.withToken()[0]?.headers.get('dpop') ?? '').jkt, thumbprint(jwk));
  });

  test('takes a URL, a Request, headers, and bodies that can be sent again', async () => {
    const world = createWorld();
    world.settings.apiNonce = 'n-api';
    const bodies: [body: NonNullable<RequestInit['body']>, sent: RegExp][] = [
      ['text', /^text$/],
      [new URLSearchParams({ a: 'b' }), /^a=b$/],
      [new TextEncoder().encode('bytes'), /^bytes$/],
      [new Blob(['blob']), /^blob$/],
    ];
    for (const [body, sent] of bodies) {
      const fresh = createWorld();
      fresh.settings.apiNonce = 'n-api';
      const response = await fresh.agent.fetch(new URL(url), { method: 'POST', body });
      assert.match(((await response.json()) as { body: string }).body, sent);
      assert.equal(fresh.withToken().length, 2);
    }
    const form = new FormData();
    form.set('a', 'b');
    const response = await world.agent.fetch(url, { method: 'POST', body: form });
    assert.match(((await response.json()) as { body: string }).body, /name="a"/);
    await world.agent.fetch(new Request(url, { method: 'DELETE', headers: { 'x-mine': '1' } }));
    assert.equal(world.seen.at(-1)?.headers.get('x-mine'), '1');
    assert.equal(world.seen.at(-1)?.method, 'DELETE');
  });

  test("scope: the call's, else the agent's, else the registration's", async () => {
    const world = createWorld({ scope: 'tickets:read tickets:list' });
    const scopes = () => world.tokenRequests().map(({ body }) => new URLSearchParams(body).get('scope'));
    await world.agent.fetch(url);
    assert.equal(scopes().at(-1), 'tickets:read tickets:list');
    await world.agent.fetch(url, { scope: ['tickets:read'] });
    assert.equal(scopes().at(-1), 'tickets:read');
    const before = world.tokenRequests().length;
    await world.agent.fetch(url, { scope: 'tickets:list tickets:read' });
    assert.equal(world.tokenRequests().length, before, 'the order of scopes does not matter');
  });

  test('a named resource is not looked for', async () => {
    const world = createWorld({ resource: api });
    await world.agent.fetch(url);
    assert.equal(
      world.seen.filter(({ method, url: to }) => method === 'HEAD' || to.includes('protected-resource')).length,
      0,
    );
  });

  test('an aborted call ends with the reason of its signal, and the token goes to the next', async () => {
    const world = createWorld();
    await assert.rejects(world.agent.fetch(url, { signal: AbortSignal.abort(new Error('enough')) }), /enough/);
    assert.equal(world.seen.length, 0);
    const stop = new AbortController();
    world.issuerSays.push(async (request) => {
      stop.abort(new Error('changed my mind'));
      return (await world.options.fetch?.(request)) as Response;
    });
    const first = world.agent.fetch(url, { signal: stop.signal });
    const second = world.agent.fetch(url);
    await assert.rejects(first, /changed my mind/);
    assert.equal((await second).status, 200);
  });

  test('what is not for fetch is refused before anything is sent', async () => {
    const world = createWorld();
    const cases: [work: () => Promise<unknown>, code: string][] = [
      [() => world.agent.fetch('/tickets'), 'bad_url'],
      [() => world.agent.fetch('ftp://api.example/'), 'bad_url'],
      [() => world.agent.fetch('https://user:pass@api.example/tickets'), 'bad_url'],
      [() => world.agent.fetch('http://api.example/tickets'), 'insecure_url'],
      [() => world.agent.fetch('http://127.0.0.1.evil.example/'), 'insecure_url'],
      [() => world.agent.fetch('http://localhost.evil.example/'), 'insecure_url'],
      [() => world.agent.fetch(url, { headers: { Authorization: 'Bearer x' } }), 'bad_option'],
      [() => world.agent.fetch(url, { headers: { dpop: 'x' } }), 'bad_option'],
      [() => world.agent.fetch(url, { scope: 'a  b' }), 'bad_option'],
      [() => world.agent.fetch(url, { resource: 'https://other.example' }), 'resource_mismatch'],
    ];
    for (const [work, code] of cases) assert.equal((await failure(world, work)).code, code);
    await assert.rejects(world.agent.fetch(url, { method: 'GET', body: 'x' }), TypeError);
    assert.equal(world.seen.length, 0);
  });

  test('an API that cannot be reached is told so, without a secret and without a cause', async () => {
    const world = createWorld();
    await world.agent.fetch(url);
    world.host('https://api.example', (request) => {
      throw Object.assign(new Error(`leaks ${request.headers.get('authorization')}`), { code: 'ECONNRESET', request });
    });
    const error = await failure(world, () => world.agent.fetch(url));
    assert.equal(error.code, 'network');
    assert.match(error.message, /https:\/\/api\.example\/tickets\/17 .*ECONNRESET/);
    assert.ok(!error.message.includes('view=full'));
    world.host('https://api.example', (request) => {
      throw Object.assign(new Error('coded'), { code: request.headers.get('authorization') });
    });
    assert.equal((await failure(world, () => world.agent.fetch(url))).code, 'network');
    assert.equal(error.cause, undefined);
  });
});

suite('agent.token', () => {
  test('shows what a token is, and the token itself only by its long name', async () => {
    const world = createWorld();
    const info = await world.agent.token({ resource: api, scope: 'tickets:read' });
    assert.deepEqual(
      { ...info, dangerouslyExposeToken: undefined },
      {
        resource: api,
        scope: ['tickets:read'],
        details: [],
        narrowed: [],
        tokenType: 'DPoP',
        expiresAt: world.time.now + 600_000,
        dangerouslyExposeToken: undefined,
      },
    );
    world.assertSilent(info);
    world.assertSilent(world.agent);
    assert.ok(world.issued.has(info.dangerouslyExposeToken()));
  });

  test('is the token that fetch uses', async () => {
    const world = createWorld();
    const info = await world.agent.token({ resource: api });
    await world.agent.fetch(url);
    assert.equal(world.withToken()[0]?.headers.get('authorization'), `DPoP ${info.dangerouslyExposeToken()}`);
    assert.equal(world.issued.size, 1);
  });

  test('without a resource, the registration chooses it', async () => {
    const world = createWorld();
    assert.equal((await world.agent.token()).resource, undefined);
    assert.equal(new URLSearchParams(world.tokenRequests().at(-1)?.body).get('resource'), null);
  });

  test('refuses a resource that is none', async () => {
    const world = createWorld();
    for (const [resource, code] of [
      ['tickets', 'bad_url'],
      ['http://api.example', 'insecure_url'],
      ['https://api.example#x', 'bad_option'],
    ] as const) {
      assert.equal((await failure(world, () => world.agent.token({ resource }))).code, code);
    }
  });
});

suite('createAgent refuses', () => {
  const good = { issuer, clientId, key: jwk };
  const cases: [name: string, options: object, code: string][] = [
    ['no issuer', { issuer: undefined }, 'bad_option'],
    ['an issuer that is no URL', { issuer: 'id.example' }, 'bad_url'],
    ['an issuer in plain http', { issuer: 'http://id.example' }, 'insecure_url'],
    ['an issuer in plain http under .localhost', { issuer: 'http://id.localhost' }, 'insecure_url'],
    ['an issuer with a query', { issuer: 'https://id.example?x' }, 'bad_option'],
    ['an issuer with a password', { issuer: 'https://u:p@id.example' }, 'bad_url'],
    ['no client id', { clientId: '' }, 'bad_option'],
    ['no key', { key: undefined }, 'bad_key'],
    ['a public key', { key: publicJwk(jwk) }, 'bad_key'],
    ['scopes that are none', { scope: ['a b"'] }, 'bad_option'],
    ['a resource that is none', { resource: 'tickets' }, 'bad_url'],
  ];
  for (const [name, changes, code] of cases) {
    test(name, () => assert.throws(() => createAgent({ ...good, ...changes } as AgentOptions), { code }));
  }

  test('but takes a local issuer in plain http', () => {
    for (const local of ['http://localhost:8455', 'http://127.0.0.1:8455', 'http://[::1]:8455']) {
      assert.equal(createAgent({ ...good, issuer: local }).issuer, local);
    }
  });
});

test("a response that is not for us to remedy is the caller's: 401 without a reason, 403, 404, 500", async () => {
  const world = createWorld();
  for (const status of [401, 403, 404, 429, 500]) {
    world.apiSays.push(() => json({ told: status }, { status }));
    const response = await world.agent.fetch(url);
    assert.equal(response.status, status);
    assert.deepEqual(await response.json(), { told: status });
  }
  assert.equal(world.withToken().length, 5);
});
