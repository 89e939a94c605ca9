import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkTag } from '@bailiwick/protocol';
import { until } from '../../server/src/testing/until.ts';
import { createGuard, type GuardOptions } from './index.ts';
import { fakeAgent, fakeIssuer, operations, quiet, resource, resourceId } from './testing/fake-issuer.ts';

const self = '/admin/v1/guards/self';

async function setUp(options: Partial<GuardOptions> = {}) {
  const fake = await fakeIssuer();
  const runtime = quiet(fake);
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options({ operations: undefined, mode: 'offline', runtime, ...options }));
  const status = async (method = 'GET', path = '/tickets') => {
    const decision = await guard.decide(await agent.request(method, path));
    return decision.allowed ? 200 : decision.status;
  };
  const register = (changes: object) => {
    fake.registration = { ...fake.registration, resource: { ...(fake.registration.resource as object), ...changes } };
  };
  return { fake, runtime, guard, status, register };
}

test('the operations are those of the registration', async () => {
  const { fake, status } = await setUp();
  assert.deepEqual(await Promise.all([status(), status('PATCH'), status('DELETE', '/tickets/purge')]), [200, 403, 403]);
  assert.equal(fake.asked[self], 1);
});

test('a change is in force after a minute or so, and what was there serves meanwhile', async () => {
  const { fake, status, register } = await setUp();
  assert.equal(await status(), 200);
  register({ operations: operations.slice(1) });
  fake.clock.advance(72_001);
  assert.equal(await status(), 200);
  await until(status, (seen) => seen === 403);
});

test('it is refreshed in the background, too', async () => {
  const fake = await fakeIssuer();
  let tick = () => {};
  let stopped = false;
  const every = (_: number, work: () => void) => {
    tick = work;
    return () => {
      stopped = true;
    };
  };
  const guard = createGuard(
    fake.options({ operations: undefined, mode: 'offline', runtime: { ...quiet(fake), every } }),
  );
  await guard.ready();
  fake.clock.advance(72_001);
  tick();
  await until(
    () => fake.asked[self],
    (times) => times === 2,
  );
  guard.close();
  assert.ok(stopped);
});

test('while the identity provider is away, the last known operations serve', async () => {
  const { fake, status } = await setUp();
  assert.equal(await status(), 200);
  fake.away = true;
  fake.clock.advance(3_600_000);
  assert.equal(await status(), 200);
});

test('nothing known: 503, and ready() says why', async () => {
  const { fake, guard, status, runtime } = await setUp();
  fake.away = new Set([self]);
  assert.equal(await status(), 503);
  assert.match(runtime.problems.join(), /guards\/self/);
  fake.clock.advance(1000);
  await assert.rejects(guard.ready(), { name: 'Unavailable' });
});

for (const [what, change, sentence] of [
  [
    'of another resource',
    { identifier: 'https://other.example' },
    /this guard is configured for "https:\/\/api.example\/v1"/,
  ],
  ['without the id of its resource', { id: undefined }, /has no id of its resource/],
  ['without operations', { operations: undefined }, /has no operations/],
  [
    'with an operation whose scopes are missing',
    { operations: [{ name: 'x', method: 'GET', path: '/x' }] },
    /operation x has no list of scopes/,
  ],
  [
    'with an operation that can not be matched',
    { operations: [{ name: 'x', method: 'GET', path: '/a/{b', scope: [] }] },
    /operation x/,
  ],
  [
    'with details that can not be read',
    { operations: [{ ...operations[0], details: 'transfer' }] },
    /details of the operation list tickets must be an object/,
  ],
  [
    'with details that are null',
    { operations: [{ ...operations[0], details: null }] },
    /details of the operation list tickets must be an object/,
  ],
  [
    'with details of a type that it does not list',
    { operations: [{ ...operations[0], details: { type: 'transfer' } }], details_types: [{ type: 'other' }] },
    /needs details of the type transfer, which isn't registered/,
  ],
  ['with types of details that are no list', { details_types: { type: 'transfer' } }, /details_types is no list/],
  ['with a type of details that has no name', { details_types: [{ compare: {} }] }, /a type of details has no name/],
  [
    'with a type of details whose rules are no rules',
    { details_types: [{ type: 'x', compare: [] }] },
    /has no name or no rules/,
  ],
  [
    'with a definition that is no string',
    { operations: [{ ...operations[0], definition: 7 }] },
    /definition that is no string/,
  ],
  [
    'with two operations of one name',
    { operations: [operations[0], { ...operations[1], name: operations[0]?.name }] },
    /has the name of another/,
  ],
  [
    'with two operations of one tool',
    {
      operations: [
        { name: 'a', tool: 't', scope: [] },
        { name: 'b', tool: 't', scope: [] },
      ],
    },
    /operation b has the tool of another/,
  ],
] as const) {
  test(`a registration ${what} is not used, and the log says so`, async () => {
    const { status, register, runtime } = await setUp();
    register(change);
    assert.equal(await status(), 503);
    assert.match(runtime.problems.join(), sentence);
  });
}

test('details of the registration are enforced, and a rule that is not known here compares strictly', async () => {
  const { fake, guard, register } = await setUp();
  register({
    operations: [{ ...operations[1], details: { type: 'file', id: '{id}' } }],
    details_types: [{ type: 'file', compare: { id: 'of_another_year' }, description: 'A file', schema: {} }],
  });
  const agent = await fakeAgent(fake);
  const reaches = async (...details: object[]) =>
    (await guard.decide(await agent.request('GET', '/tickets/7', { claims: { authorization_details: details } })))
      .allowed;
  assert.equal(await reaches(), false);
  assert.equal(await reaches({ type: 'file', id: '7' }), true);
  assert.equal(await reaches({ type: 'file' }), true);
  assert.equal(await reaches({ type: 'file', id: ['7', '8'] }), false);
});

test('a resource that is dangerously_bearer no more takes no unbound token, not even one it knows', async () => {
  const { fake, guard, register } = await setUp();
  register({ token: { dangerously_bearer: true } });
  const headers = { authorization: [`Bearer ${await fake.token()}`] };
  const unbound = async () => (await guard.decide({ method: 'GET', url: '/v1/tickets', headers })).allowed;
  assert.equal(await unbound(), true);
  register({ token: { dangerously_bearer: false } });
  fake.clock.advance(72_001);
  await until(unbound, (allowed) => !allowed);
});

test('a token for another resource that shares the audience is refused offline, a known one too once the id is another', async () => {
  const { fake, guard, register } = await setUp();
  register({ token: { audience: 'api://shared' } });
  const agent = await fakeAgent(fake);
  const decide = async (claims: object) => {
    const token = await agent.token({ aud: 'api://shared', ...claims });
    return () => agent.request('GET', '/tickets', { token }).then(guard.decide);
  };
  const foreign = await (await decide({ links: [linkTag('crd_1'), linkTag('res_evil')] }))();
  assert.ok(!foreign.allowed);
  assert.deepEqual([foreign.status, foreign.problem?.error], [401, 'invalid_token']);
  assert.match(foreign.problem?.detail ?? '', /for another resource/);
  const ours = await decide({});
  assert.equal((await ours()).allowed, true);
  register({ id: 'res_successor', token: { audience: 'api://shared' } });
  fake.clock.advance(72_001);
  await until(ours, ({ allowed }) => !allowed);
});

test('with operations in code, resourceId tells resources of one audience apart; without it nothing does offline', async () => {
  for (const [options, allowed] of [
    [{ resourceId }, false],
    [{}, true],
  ] as const) {
    const { fake, guard } = await setUp({ operations, credential: undefined, ...options });
    const agent = await fakeAgent(fake);
    const foreign = await agent.request('GET', '/tickets', { claims: { links: [linkTag('res_evil')] } });
    assert.equal((await guard.decide(foreign)).allowed, allowed);
    assert.equal((await guard.decide(await agent.request())).allowed, true);
  }
});

test('a resource that was suspended lets nobody in, offline too', async () => {
  const { fake, status, register } = await setUp();
  assert.equal(await status(), 200);
  register({ status: 'suspended' });
  fake.clock.advance(72_001);
  await until(status, (seen) => seen === 503);
  register({ status: 'active' });
  fake.clock.advance(72_001);
  await until(status, (seen) => seen === 200);
});

test('an operation that takes no scope is one that says so', async () => {
  const { status, register } = await setUp();
  register({ operations: [{ name: 'x', method: 'GET', path: '/tickets', scope: [], sensitivity: 'low' }] });
  assert.equal(await status(), 200);
});

test('a credential that is no guard’s is told so', async () => {
  const { fake, guard, runtime } = await setUp();
  const good = fake.fetch;
  fake.fetch = (url, init) =>
    String(url).endsWith(self) ? Promise.resolve(new Response('{}', { status: 404 })) : good(url, init);
  const other = createGuard(
    fake.options({ operations: undefined, mode: 'offline', runtime: { ...runtime, fetch: fake.fetch } }),
  );
  await assert.rejects(other.ready(), /guards\/self answered 404: is the credential that of a guard of this resource/);
  await guard.ready();
});

test('the metadata names the scopes of the registration, and is there even when that is not', async () => {
  const { fake, guard } = await setUp();
  const published = async () => {
    const decision = await guard.decide({
      method: 'GET',
      url: '/.well-known/oauth-protected-resource/v1',
      headers: {},
    });
    return decision.allowed ? undefined : JSON.parse(decision.body);
  };
  fake.away = true;
  assert.deepEqual((await published()).resource, resource);
  fake.away = false;
  fake.clock.advance(1000);
  const { resource_name, scopes_supported } = await published();
  assert.deepEqual([resource_name, scopes_supported], ['Tickets', ['tickets:read']]);
});
