import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import fc from 'fast-check';
import { type AdminClient, adminClient, populate, type Reply } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

type Things = Awaited<ReturnType<typeof populate>>;
type Case = [
  what: string,
  method: string,
  path: (t: Things) => string,
  body: (t: Things) => unknown,
  status: number,
  field: string | undefined,
];

const person = { name: 'Ada' };
const agentOf = (t: Things, more: object = {}) => ({ name: 'new-agent', kind: 'workload', owner: t.team.id, ...more });
const resourceOf = (more: object = {}) => ({ identifier: 'https://new.example/api', name: 'New', ...more });
const at = (path: string) => () => path;
const as = (body: unknown) => () => body;
const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

/** Each is one fault in a request that would be right without it. */
const cases: Case[] = [
  // the body as such
  ['no body', 'POST', at('/people'), as(undefined), 400, 'body'],
  ['no JSON', 'POST', at('/people'), as('{"name":'), 400, 'body'],
  ['a list', 'POST', at('/people'), as([]), 400, 'body'],
  ['null', 'POST', at('/people'), as('null'), 400, 'body'],
  ['a number', 'POST', at('/people'), as('1'), 400, 'body'],
  ['a lone surrogate', 'POST', at('/people'), as('{"name":"\\ud800"}'), 400, 'name'],
  ['a NUL', 'POST', at('/people'), as('{"name":"a\\u0000b"}'), 400, 'name'],
  ['a NUL in a name of a member', 'POST', at('/people'), as('{"name":"a","\\u0000":1}'), 400, 'body'],
  ['broken UTF-8', 'POST', at('/people'), as(new Uint8Array([0x22, 0xff, 0x22])), 400, undefined],
  ['__proto__', 'POST', at('/people'), as('{"name":"a","__proto__":{"x":1}}'), 400, 'body'],
  ['17 levels', 'POST', at('/people'), as(nested(17)), 400, 'body'],
  ['100,000 levels', 'POST', at('/people'), as('['.repeat(30_000) + ']'.repeat(30_000)), 400, 'body'],
  ['too much', 'POST', at('/people'), as({ name: 'x'.repeat(70_000) }), 413, undefined],
  ['a body where none is expected', 'POST', (t) => `/agents/${t.agent.id}/resume`, as({ force: true }), 400, 'force'],

  // members
  ['an unknown member', 'POST', at('/people'), as({ ...person, nmae: 'x' }), 400, 'nmae'],
  ['a missing member', 'POST', at('/people'), as({}), 400, 'name'],
  ['a member of the wrong type', 'POST', at('/people'), as({ name: 1 }), 400, 'name'],
  ['null for what must be there', 'POST', at('/people'), as({ name: null }), 400, 'name'],
  ['an empty name', 'POST', at('/people'), as({ name: '' }), 400, 'name'],
  ['a name of 201 letters', 'POST', at('/people'), as({ name: 'x'.repeat(201) }), 400, 'name'],
  ['a line break in a name', 'POST', at('/people'), as({ name: 'a\nb' }), 400, 'name'],
  ['an address without @', 'POST', at('/people'), as({ name: 'a', email: 'ada' }), 400, 'email'],
  ['a name in capitals', 'POST', at('/teams'), as({ name: 'Support' }), 400, 'name'],
  ['a name with a slash', 'POST', at('/teams'), as({ name: 'a/b' }), 400, 'name'],
  ['a name that is a dot', 'POST', at('/teams'), as({ name: '..' }), 400, 'name'],
  ['a name of 64 letters', 'POST', at('/teams'), as({ name: 'x'.repeat(64) }), 400, 'name'],
  ['a name that is taken', 'POST', at('/teams'), as({ name: 'support' }), 409, 'name'],
  ['an organization whose name is taken', 'POST', at('/organizations'), as({ name: 'default' }), 409, 'name'],

  // agents
  ...[['10.0.0.0/8/9'], ['10.0.0.0/33'], ['home']].map(
    (values): Case => [
      `a template whose addresses are ${values}`,
      'POST',
      at('/agents'),
      (t) => agentOf(t, { instances: { attributes: [{ name: 'address', provenance: 'observed', values }] } }),
      400,
      'instances.attributes[0].values',
    ],
  ),
  ['another kind', 'POST', at('/agents'), (t) => agentOf(t, { kind: 'human' }), 400, 'kind'],
  ['an owner that is an agent', 'POST', at('/agents'), (t) => agentOf(t, { owner: t.agent.id }), 400, 'owner'],
  [
    'an owner that is nobody',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { owner: t.person.id.replace(/.{4}$/, 'zzzz') }),
    422,
    'owner',
  ],
  ['a name that is taken by another agent', 'POST', at('/agents'), (t) => agentOf(t, { name: 'desk' }), 409, 'name'],
  [
    'an end in the past',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { expires_at: '2020-01-01T00:00:00Z' }),
    422,
    'expires_at',
  ],
  [
    'an end without an offset',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { expires_at: '2030-01-01T00:00:00' }),
    400,
    'expires_at',
  ],
  [
    'an end that is no day',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { expires_at: '2030-02-30T00:00:00Z' }),
    400,
    'expires_at',
  ],
  ['a grant that there is not', 'POST', at('/agents'), (t) => agentOf(t, { grants: ['password'] }), 400, 'grants[0]'],
  [
    'a grant twice',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { grants: ['client_credentials', 'client_credentials'] }),
    400,
    'grants',
  ],
  [
    'a resource that there is not',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { resources: [{ resource: 'https://nothing.example' }] }),
    422,
    'resources[0].resource',
  ],
  [
    'a scope that the resource has not',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { resources: [{ resource: t.resource.id, scope: ['tickets:fly'] }] }),
    422,
    'resources[0].scope',
  ],
  [
    'a scope with a space',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { resources: [{ resource: t.resource.id, scope: ['a b'] }] }),
    400,
    'resources[0].scope[0]',
  ],
  [
    'a resource by id and by identifier',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { resources: [{ resource: t.resource.id }, { resource: t.resource.identifier }] }),
    422,
    'resources',
  ],
  [
    'two defaults',
    'POST',
    at('/agents'),
    (t) =>
      agentOf(t, {
        resources: [
          { resource: t.resource.id, default: true },
          { resource: t.resource.identifier, default: true },
        ],
      }),
    400,
    'resources',
  ],
  [
    'a lifetime of an hour',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { limits: { token_lifetime_seconds: 3600 } }),
    400,
    'limits.token_lifetime_seconds',
  ],
  [
    'no tokens at all',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { limits: { tokens_per_minute: 0 } }),
    400,
    'limits.tokens_per_minute',
  ],
  [
    'a limit that there is not',
    'POST',
    at('/agents'),
    (t) => agentOf(t, { limits: { calls: 1 } }),
    400,
    'limits.calls',
  ],
  ['a change of name', 'PATCH', (t) => `/agents/${t.agent.id}`, as({ name: 'other' }), 400, 'name'],
  ['no owner any more', 'PATCH', (t) => `/agents/${t.agent.id}`, as({ owner: null }), 400, 'owner'],
  ['a patch that is a list', 'PATCH', (t) => `/agents/${t.agent.id}`, as([]), 400, 'body'],

  // credentials
  ['no key', 'POST', at('/credentials'), (t) => ({ agent: t.agent.id }), 400, 'jwk'],
  ['a key that is a string', 'POST', at('/credentials'), (t) => ({ agent: t.agent.id, jwk: 'MFkw…' }), 400, 'jwk'],
  ['a private key', 'POST', at('/credentials'), (t) => ({ agent: t.agent.id, jwk: { ...t.jwk } }), 422, 'jwk'],
  [
    'a symmetric key',
    'POST',
    at('/credentials'),
    (t) => ({ agent: t.agent.id, jwk: { kty: 'oct', k: 'AAAA' } }),
    422,
    'jwk',
  ],
  [
    'a curve that we do not use',
    'POST',
    at('/credentials'),
    (t) => ({ agent: t.agent.id, jwk: { kty: 'EC', crv: 'secp256k1', x: 'A', y: 'A' } }),
    422,
    'jwk',
  ],
  [
    'a point that is not on the curve',
    'POST',
    at('/credentials'),
    (t) => ({ agent: t.agent.id, jwk: { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43) } }),
    422,
    'jwk',
  ],
  [
    'an RSA key that is too small',
    'POST',
    at('/credentials'),
    (t) => ({ agent: t.agent.id, jwk: { kty: 'RSA', alg: 'PS256', e: 'AQAB', n: 'u'.repeat(171) } }),
    422,
    'jwk',
  ],
  [
    'a key that another agent has',
    'POST',
    at('/credentials'),
    (t) => ({ agent: t.guard.agent, jwk: publicJwk(t.jwk) }),
    409,
    'jwk',
  ],
  [
    'a key that it has already',
    'POST',
    at('/credentials'),
    (t) => ({ agent: t.agent.id, jwk: { ...publicJwk(t.jwk), kid: 'other' } }),
    409,
    'jwk',
  ],

  // resources
  ...[
    'tickets',
    '/tickets',
    'urn:example:tickets',
    'http://tickets.example',
    'https://user@tickets.example',
    'https://tickets.example#a',
    'https://tickets.example/?a',
    'HTTPS://tickets.example',
    'https://Tickets.example',
    'https://tickets.example:443/',
    'https://tickets.example/a/../b',
    'ftp://tickets.example',
    'javascript:alert(1)',
    'https://',
  ].map(
    (identifier): Case => [
      `the identifier ${identifier}`,
      'POST',
      at('/resources'),
      as(resourceOf({ identifier })),
      400,
      'identifier',
    ],
  ),
  [
    'an identifier that is taken',
    'POST',
    at('/resources'),
    (t) => resourceOf({ identifier: t.resource.identifier }),
    409,
    'identifier',
  ],
  [
    'a scope twice',
    'POST',
    at('/resources'),
    as(resourceOf({ scopes: [{ name: 'a' }, { name: 'a' }] })),
    400,
    'scopes',
  ],
  [
    'an operation with a scope that is not there',
    'POST',
    at('/resources'),
    as(resourceOf({ operations: [{ name: 'a', method: 'GET', path: '/', scope: ['x'] }] })),
    422,
    'operations[0].scope',
  ],
  [
    'an operation without a path',
    'POST',
    at('/resources'),
    as(resourceOf({ operations: [{ name: 'a', method: 'GET', scope: [] }] })),
    422,
    'operations',
  ],
  [
    'an operation that is nothing',
    'POST',
    at('/resources'),
    as(resourceOf({ operations: [{ name: 'a', scope: [] }] })),
    422,
    'operations',
  ],
  [
    'a path that no request could have',
    'POST',
    at('/resources'),
    as(resourceOf({ operations: [{ name: 'a', method: 'GET', path: '/a/../b', scope: [] }] })),
    422,
    'operations',
  ],
  [
    'a method in small letters',
    'POST',
    at('/resources'),
    as(resourceOf({ operations: [{ name: 'a', method: 'get', path: '/', scope: [] }] })),
    400,
    'operations[0].method',
  ],
  [
    'two operations of one name',
    'POST',
    at('/resources'),
    as(resourceOf({ operations: ['/a', '/b'].map((path) => ({ name: 'a', method: 'GET', path, scope: [] })) })),
    400,
    'operations',
  ],
  [
    'two operations of one path',
    'POST',
    at('/resources'),
    as(resourceOf({ operations: ['a', 'b'].map((name) => ({ name, method: 'GET', path: '/{x}', scope: [] })) })),
    422,
    'operations',
  ],
  [
    'a tool twice',
    'POST',
    at('/resources'),
    as(resourceOf({ operations: ['a', 'b'].map((name) => ({ name, tool: 't', scope: [] })) })),
    400,
    'operations',
  ],
  ['HMAC', 'POST', at('/resources'), as(resourceOf({ token: { alg: 'HS256' } })), 400, 'token.alg'],
  [
    'a type that means something else',
    'POST',
    at('/resources'),
    as(resourceOf({ token: { typ: 'dpop+jwt' } })),
    400,
    'token.typ',
  ],
  [
    'tokens of an hour',
    'POST',
    at('/resources'),
    as(resourceOf({ token: { lifetime_seconds: 3600 } })),
    400,
    'token.lifetime_seconds',
  ],
  [
    'a change of the identifier',
    'PATCH',
    (t) => `/resources/${t.resource.id}`,
    as({ identifier: 'https://x.example' }),
    400,
    'identifier',
  ],

  // roles and guards
  [
    'a permission on nothing',
    'POST',
    at('/roles'),
    as({ name: 'r', permissions: [{ resource: 'https://nothing.example', scopes: [] }] }),
    422,
    'permissions[0].resource',
  ],
  [
    'a permission that the resource has not',
    'POST',
    at('/roles'),
    (t) => ({ name: 'r', permissions: [{ resource: t.resource.id, scopes: ['x'] }] }),
    422,
    'permissions[0].scopes',
  ],
  [
    'a resource named twice',
    'POST',
    at('/roles'),
    (t) => ({
      name: 'r',
      permissions: [
        { resource: t.resource.id, scopes: [] },
        { resource: t.resource.identifier, scopes: [] },
      ],
    }),
    422,
    'permissions',
  ],
  ['the name of a built-in role', 'POST', at('/roles'), as({ name: 'operator' }), 409, 'name'],
  [
    'a guard without a key',
    'POST',
    at('/guards'),
    (t) => ({ name: 'g', resource: t.resource.id, owner: t.team.id }),
    400,
    'jwk',
  ],
  [
    'a guard with the name of an agent',
    'POST',
    at('/guards'),
    (t) => ({ name: 'desk', resource: t.resource.id, owner: t.team.id, jwk: publicJwk(t.jwk) }),
    409,
    'name',
  ],
  ['a team that answers for agents', 'POST', (t) => `/teams/${t.team.id}/retire`, as({}), 409, 'id'],
  ['a person who answers for agents', 'DELETE', (t) => `/people/${t.person.id}`, as(undefined), 409, 'id'],
  ['keys of an algorithm that there is not', 'POST', at('/keys/rotate'), as({ alg: 'HS256' }), 400, 'alg'],

  // queries
  ['an unknown parameter', 'GET', at('/agents?colour=red'), as(undefined), 400, 'colour'],
  ['a parameter twice', 'GET', at('/agents?name=a&name=b'), as(undefined), 400, 'name'],
  ['a parameter where there is none', 'POST', at('/people?dry_run=1'), as(person), 400, 'dry_run'],
  ['a status that there is not', 'GET', at('/agents?status=asleep'), as(undefined), 400, 'status'],
  ['a NUL in a filter', 'GET', at('/agents?name=%00'), as(undefined), 400, 'name'],
  ['a NUL in a filter of free text', 'GET', at('/resources?name=%00'), as(undefined), 400, 'name'],
  ['a NUL in the organization', 'GET', at('/agents?organization=a%00'), as(undefined), 400, 'organization'],
  ['a time that is none', 'GET', at('/events?since=yesterday'), as(undefined), 400, 'since'],
  ['a type of event that there is not', 'GET', at('/events?type=agent.sneezed'), as(undefined), 400, 'type'],

  // ids
  ['an id of another kind', 'GET', (t) => `/agents/${t.team.id}`, as(undefined), 404, undefined],
  ['an id that is none', 'GET', at('/agents/desk'), as(undefined), 404, undefined],
  ['an id with a NUL', 'GET', at('/agents/%00'), as(undefined), 404, undefined],
  ['an id that is very long', 'GET', at(`/agents/${'x'.repeat(90)}`), as(undefined), 404, undefined],
  ['a noun that there is not', 'GET', at('/spaceships'), as(undefined), 404, undefined],
];

for (const database of databases) {
  describe(`what is wrong is said, with what would be right (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let things: Things;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      things = await populate(operator, 'default');
    });
    after(() => server.close());

    for (const [what, method, path, body, status, field] of cases) {
      test(`${status}: ${what}`, async () => {
        const reply = await operator.call(method, path(things), body(things));
        assert.equal(reply.status, status, reply.text);
        isProblem(reply);
        if (field !== undefined) {
          assert.deepEqual(
            reply.body.errors.map((error: { field: string }) => error.field),
            [field],
            reply.text,
          );
        }
      });
    }

    test('all that is wrong with a body is said at once', async () => {
      const reply = await operator.call('POST', '/agents', {
        name: 'A B',
        kind: 'x',
        limits: { tokens_per_minute: 'many' },
        also: 1,
      });
      assert.equal(reply.status, 400);
      const fields = reply.body.errors.map(({ field }: { field: string }) => field).sort();
      assert.deepEqual(fields, ['also', 'kind', 'limits.tokens_per_minute', 'name', 'owner']);
    });

    test('a mistyped member is recognised', async () => {
      const reply = await operator.call('POST', '/people', { name: 'Ada', emial: 'a@b.c' });
      assert.match(reply.body.detail, /Did you mean "email"\?/);
    });

    test('a private key is repeated nowhere', async () => {
      const jwk = await generateJwk('ES256');
      const reply = await operator.call('POST', '/credentials', { agent: things.agent.id, jwk });
      assert.equal(reply.status, 422);
      assert.match(reply.body.detail, /only the public half may travel/);
      assert.ok(!reply.text.includes(jwk.d));
      const { items } = await operator.ok('GET', '/events?limit=200');
      assert.ok(!JSON.stringify(items).includes(jwk.d));
      // and its public half can't have been taken from it either
      assert.equal((await operator.ok('GET', `/credentials?kid=${jwk.kid}`)).items.length, 0);
    });

    for (const [type, status] of [
      ['text/plain', 415],
      ['application/x-www-form-urlencoded', 415],
      ['multipart/form-data; boundary=x', 415],
      ['application/json; charset=utf-8', 201],
    ] as const) {
      test(`the content type ${type}: ${status}`, async () => {
        const reply = await operator.call('POST', '/people', '{"name":"Ada"}', { 'content-type': type });
        assert.equal(reply.status, status, reply.text);
        if (status !== 201) isProblem(reply);
      });
    }

    test('a method that is not offered: 405, with those that are', async () => {
      const reply = await operator.call('DELETE', `/agents/${things.agent.id}`);
      assert.equal(reply.status, 405);
      assert.equal(reply.headers.get('allow'), 'HEAD, GET, PATCH');
      isProblem(reply);
    });

    test('a change of what was changed meanwhile: 412', async () => {
      const read = await operator.call('GET', `/roles/${things.role.id}`);
      const etag = read.headers.get('etag') ?? '';
      assert.match(etag, /^"[\w-]+"$/);
      server.clock.advance(1000);
      const change = (description: string, tag: string) =>
        operator.call('PATCH', `/roles/${things.role.id}`, { description }, { 'if-match': tag });
      const first = await change('one', etag);
      assert.equal(first.status, 200);
      const second = await change('two', etag);
      assert.equal(second.status, 412);
      isProblem(second);
      assert.equal((await change('two', first.headers.get('etag') ?? '')).status, 200);
      assert.equal((await change('three', '*')).status, 200);
    });

    test('arbitrary JSON is answered, never with a 500', async () => {
      const paths: [method: string, path: string][] = [
        ['POST', '/people'],
        ['POST', '/agents'],
        ['POST', '/credentials'],
        ['POST', '/resources'],
        ['POST', '/roles'],
        ['POST', '/guards'],
        ['PATCH', `/agents/${things.agent.id}`],
        ['PATCH', `/resources/${things.resource.id}`],
        ['PATCH', `/roles/${things.role.id}`],
      ];
      const names = [
        'name',
        'kind',
        'owner',
        'jwk',
        'agent',
        'resources',
        'token',
        'limits',
        'permissions',
        'operations',
        'scopes',
        'identifier',
        'expires_at',
      ];
      const value = fc.oneof(
        fc.jsonValue({ maxDepth: 4 }),
        fc.constantFrom(...names),
        fc.constantFrom(things.agent.id, things.team.id, things.resource.id),
      );
      const body = fc.oneof(
        fc.jsonValue({ maxDepth: 4 }),
        fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), value),
      );
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...paths), body, async ([method, path], json) => {
          const reply = await operator.call(method, path, JSON.stringify(json));
          assert.ok(reply.status < 500, `${method} ${path} ${JSON.stringify(json)}: ${reply.text}`);
          if (reply.status >= 400) isProblem(reply);
        }),
        { numRuns: 200 },
      );
    });
  });
}

/** @see RFC 9457 §3 */
function isProblem(reply: Reply): void {
  assert.match(reply.headers.get('content-type') ?? '', /^application\/problem\+json\b/);
  assert.equal(reply.body.status, reply.status);
  assert.match(reply.body.type, /^urn:bailiwick:problem:[a-z-]+$/);
  assert.ok(reply.body.title.length > 0 && reply.body.detail.length > 0);
  for (const { field, message } of reply.body.errors ?? []) assert.ok(field.length > 0 && message.length > 0);
  assert.equal(reply.headers.get('cache-control'), 'no-store');
}
