/** Details at the token endpoint (RFC 9396): what is refused, what is granted, and that what is taken away ends. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { tokenEndpoint } from '../oauth/token-endpoint.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient, type TestInstance } from '../testing/instance-client.ts';
import { type Answer, type TokenClient, tokenClient } from '../testing/token-client.ts';

const transferType = {
  type: 'transfer',
  description: 'Move money',
  schema: {
    type: 'object',
    required: ['account', 'amount'],
    properties: {
      account: { type: 'string', pattern: '^[0-9]{1,4}$' },
      amount: { type: 'number', minimum: 0 },
      tags: { type: 'array', items: { type: 'string' } },
    },
  },
  compare: { amount: 'at_most', tags: 'subset' },
};
const bound = { type: 'transfer', amount: 100 };

/** A client whose resource has a type of details, and whose role gives transfers up to 100. */
async function banker(server: TestServer): Promise<TokenClient> {
  const client = await tokenClient(server);
  await server.admin('PATCH', `/resources/${client.resource}`, {
    details_types: [transferType, { type: 'urn:example:other', schema: { type: 'object' } }],
    operations: [
      { name: 'read', method: 'GET', path: '/{id}', scope: ['tickets:read'] },
      { name: 'close', method: 'POST', path: '/{id}/close', scope: ['tickets:close'] },
      {
        name: 'move',
        method: 'POST',
        path: '/accounts/{account}/transfers',
        scope: ['tickets:write'],
        details: { type: 'transfer', account: '{account}' },
        sensitivity: 'high',
      },
    ],
    scopes: ['tickets:read', 'tickets:write', 'tickets:close'].map((name) => ({ name })),
  });
  await server.admin('PATCH', `/roles/${client.role}`, {
    permissions: [{ resource: client.resource, scopes: ['tickets:read', 'tickets:write'], details: [bound] }],
  });
  return client;
}

const asked = (...details: unknown[]) => ({ authorization_details: JSON.stringify(details) });
const transfer = { type: 'transfer', account: '17', amount: 50 };

const claimsIn = ({ body }: Answer) =>
  JSON.parse(Buffer.from(String(body.access_token).split('.')[1] as string, 'base64url').toString());

for (const database of databases) {
  describe(`authorization_details at the token endpoint, on ${database}`, () => {
    let server: TestServer;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      client = await banker(server);
    });
    after(() => server.close());

    const invalid = 'invalid_authorization_details';
    const refused: [what: string, parameters: Record<string, string>, error: string, says: RegExp][] = [
      ['no JSON', { authorization_details: '[{' }, invalid, /must be JSON$/],
      ['no list', { authorization_details: JSON.stringify(transfer) }, invalid, /must be a list$/],
      ['an empty list', { authorization_details: '[]' }, invalid, /at least one/],
      ['a list of text', asked('transfer'), invalid, /^authorization_details\[0\] must be an object/],
      ['no type', asked({ account: '17' }), invalid, /^authorization_details\[0\]\.type/],
      [
        'a type that the resource lacks',
        asked(transfer, { type: 'payment' }),
        invalid,
        /^authorization_details\[1\]\.type is no type/,
      ],
      ['a type that no role gives', asked({ type: 'urn:example:other' }), invalid, /\[0\] is given by no role/],
      ['a member missing', asked({ type: 'transfer', account: '17' }), invalid, /\[0\]\.amount must be there/],
      [
        'a member of another kind',
        asked({ ...transfer, amount: '50' }),
        invalid,
        /\[0\]\.amount must be of type number/,
      ],
      ['a member that breaks its pattern', asked({ ...transfer, account: 'x' }), invalid, /\[0\]\.account must match/],
      ['a member that nobody named', asked({ ...transfer, currency: 'EUR' }), invalid, /\[0\]\.currency is no member/],
      [
        '__proto__',
        { authorization_details: '[{"type":"transfer","account":"17","amount":5,"__proto__":{}}]' },
        invalid,
        /\[0\] has a member/,
      ],
      ['more than the role’s bound', asked({ ...transfer, amount: 100.5 }), invalid, /\[0\] is given by no role/],
      [
        'the second beyond the bound',
        asked(transfer, { ...transfer, amount: 101 }),
        invalid,
        /\[1\] is given by no role/,
      ],
      [
        'the same twice',
        asked(transfer, { amount: 50, account: '17', type: 'transfer' }),
        invalid,
        /\[1\] is there already/,
      ],
      [
        'an operation that there is not',
        asked({ type: 'operation', actions: ['nope'] }),
        invalid,
        /\[0\] is given by no role/,
      ],
      [
        'an operation whose scope no role gives',
        asked({ type: 'operation', actions: ['close'] }),
        invalid,
        /\[0\] is given by no role/,
      ],
      [
        'an operation whose details no role gives',
        asked({ type: 'operation', actions: ['move'] }),
        invalid,
        /\[0\] is given by no role/,
      ],
      [
        'a parameter that the path lacks',
        asked({ type: 'operation', actions: ['read'], parameters: { x: ['1'] } }),
        invalid,
        /\[0\]\.parameters must be parameters/,
      ],
      [
        'an operation detail out of shape',
        asked({ type: 'operation', actions: 'read' }),
        invalid,
        /\[0\]\.actions must be a list/,
      ],
      [
        '51 of them',
        asked(...Array.from({ length: 51 }, (_, amount) => ({ ...transfer, amount }))),
        invalid,
        /at most 50/,
      ],
      ['20 KB', asked({ ...transfer, tags: ['x'.repeat(20_000)] }), invalid, /at most 16384 bytes/],
      [
        'nested deeply',
        { authorization_details: `[{"type":"transfer","tags":${'['.repeat(5000)}${']'.repeat(5000)}}]` },
        invalid,
        /nested at most/,
      ],
      [
        'good ones beside a scope that no role gives',
        { ...asked(transfer), scope: 'tickets:close' },
        'invalid_scope',
        /tickets:close/,
      ],
    ];
    for (const [what, parameters, error, says] of refused) {
      test(`${what}: refused`, async () => {
        const { status, body } = await client.send(parameters);
        assert.deepEqual([status, body.error], [400, error], JSON.stringify(body));
        assert.match(String(body.error_description), says);
      });
    }

    test('a megabyte is not read', async () => {
      const { status } = await client.send({ authorization_details: `[${'1,'.repeat(500_000)}1]` });
      assert.equal(status, 413);
    });

    test('at another resource it is another resource’s types that count', async () => {
      const other = await tokenClient(server);
      const { body } = await other.send(asked(transfer));
      assert.equal(body.error, invalid);
      const { body: target } = await client.send({ ...asked(transfer), resource: other.identifier });
      assert.equal(target.error, 'invalid_target');
    });

    test('granted: exactly what was named, in the answer, the token and introspection', async () => {
      const named = [transfer, { type: 'operation', actions: ['read'], parameters: { id: ['17'] } }];
      const answer = await client.send(asked(...named));
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.deepEqual(answer.body.authorization_details, named);
      assert.equal(answer.body.scope, '', 'no scope was named, so none is granted: not the registered one either');
      const claims = claimsIn(answer);
      assert.deepEqual(claims.authorization_details, named);
      assert.equal(claims.scope, '');
      const told = await introspected(client, answer);
      assert.equal(told.active, true);
      assert.deepEqual(told.authorization_details, named);
    });

    test('granted beside scopes', async () => {
      const { body } = await client.send({ ...asked(transfer), scope: 'tickets:write' });
      assert.equal(body.scope, 'tickets:write');
      assert.deepEqual(body.authorization_details, [transfer]);
      const plain = await client.send({ scope: 'tickets:write' });
      assert.equal('authorization_details' in plain.body, false);
      const empty = await client.send({ authorization_details: '' });
      assert.equal(empty.body.scope, 'tickets:read', 'an empty parameter is an omitted one');
    });

    test('the log has the types in its leaf and the rest sealed', async () => {
      const answer = await client.send(asked({ ...transfer, account: '4711' }));
      const { jti } = claimsIn(answer);
      const row = await server.deps.db.get<{ leaf: string }>('select leaf from events where leaf like ?', [`%${jti}%`]);
      const leaf = JSON.parse(row?.leaf ?? '{}');
      assert.deepEqual(leaf.decided_on.details, ['transfer']);
      assert.doesNotMatch(row?.leaf ?? '', /4711/);
      const { items } = await server.admin<{ items: { jti: string; personal: Record<string, unknown> }[] }>(
        'GET',
        `/events?agent=${client.clientId}&type=token.issued&limit=1`,
      );
      const details = items[0]?.personal.details as { authorization_details?: unknown } | undefined;
      assert.deepEqual(details?.authorization_details, [{ ...transfer, account: '4711' }]);
    });

    async function introspected(of: TokenClient, { body }: Answer): Promise<Record<string, unknown>> {
      const { client_assertion, client_assertion_type } = await of.form();
      const response = await fetch(`${server.issuer}/oauth2/introspect`, {
        method: 'POST',
        body: new URLSearchParams({
          client_assertion: client_assertion as string,
          client_assertion_type: client_assertion_type as string,
          token: String(body.access_token),
        }),
      });
      return (await response.json()) as Record<string, unknown>;
    }

    test('a child that was allowed scopes gets operations of these scopes, and no other details', async () => {
      const one = await banker(server);
      await server.admin('PATCH', `/agents/${one.clientId}`, { instances: { depth: 1 } });
      const at = instanceClient(server, one);
      const parent = await at.instance();
      const child = await at.child(parent, { allowed: [{ resource: one.identifier, scope: 'tickets:read' }] });
      assert.equal(child.status, 201, JSON.stringify(child.body));
      const error = async (of: Pick<TestInstance, 'id' | 'signer'>, ...details: unknown[]) =>
        (await at.tokenOf(of, asked(...details))).body.error;
      const [read, move] = [
        { type: 'operation', actions: ['read'] },
        { type: 'operation', actions: ['move'], parameters: { account: ['17'] } },
      ];
      assert.equal(await error(parent, transfer), undefined);
      assert.equal(await error(child, read), undefined);
      assert.equal(await error(child, transfer), invalid);
      assert.equal(await error(child, read, move), invalid);
    });

    const ends: [what: string, path: (c: TokenClient) => string, body: (c: TokenClient) => unknown][] = [
      [
        'the bound is lowered',
        (c) => `/roles/${c.role}`,
        (c) => ({
          permissions: [
            { resource: c.resource, scopes: ['tickets:read', 'tickets:write'], details: [{ ...bound, amount: 99 }] },
          ],
        }),
      ],
      [
        'the bound says one thing more',
        (c) => `/roles/${c.role}`,
        (c) => ({
          permissions: [
            { resource: c.resource, scopes: ['tickets:read', 'tickets:write'], details: [{ ...bound, account: '17' }] },
          ],
        }),
      ],
      [
        'the bound is taken away',
        (c) => `/roles/${c.role}`,
        (c) => ({ permissions: [{ resource: c.resource, scopes: ['tickets:read', 'tickets:write'] }] }),
      ],
      [
        'the type compares otherwise',
        (c) => `/resources/${c.resource}`,
        () => ({ details_types: [{ ...transferType, compare: {} }] }),
      ],
      [
        'the operation takes another scope',
        (c) => `/resources/${c.resource}`,
        () => ({ operations: [{ name: 'read', method: 'GET', path: '/{id}', scope: ['tickets:close'] }] }),
      ],
    ];
    for (const [what, path, body] of ends) {
      test(`${what}: tokens end`, async () => {
        const one = await banker(server);
        const answer = await one.send(asked(transfer));
        assert.equal((await introspected(one, answer)).active, true);
        await server.admin('PATCH', path(one), body(one));
        assert.deepEqual(await introspected(one, answer), { active: false });
      });
    }

    const stays: [what: string, path: (c: TokenClient) => string, body: (c: TokenClient) => unknown][] = [
      [
        'the bound is raised',
        (c) => `/roles/${c.role}`,
        (c) => ({
          permissions: [
            { resource: c.resource, scopes: ['tickets:read', 'tickets:write'], details: [{ ...bound, amount: 101 }] },
          ],
        }),
      ],
      [
        'a bound is added',
        (c) => `/roles/${c.role}`,
        (c) => ({
          permissions: [
            {
              resource: c.resource,
              scopes: ['tickets:read', 'tickets:write'],
              details: [{ type: 'operation' }, bound],
            },
          ],
        }),
      ],
      [
        'people read something else of the type',
        (c) => `/resources/${c.resource}`,
        () => ({
          details_types: [
            { ...transferType, description: 'Pay' },
            { type: 'urn:example:other', schema: { type: 'object' } },
          ],
        }),
      ],
    ];
    for (const [what, path, body] of stays) {
      test(`${what}: tokens live on`, async () => {
        const one = await banker(server);
        const answer = await one.send(asked(transfer));
        await server.admin('PATCH', path(one), body(one));
        assert.equal((await introspected(one, answer)).active, true);
      });
    }

    test('an inherited role gives, and what it loses bites on every node with the next decision', async () => {
      const node = await startServer({ joins: server, config: { limits: { tokens_per_minute: 100_000 } } });
      try {
        const heir = await banker(server);
        const base = await server.admin<{ id: string }>('POST', '/roles', {
          name: `base-${heir.role.slice(-8)}`,
          permissions: [
            {
              resource: heir.resource,
              scopes: ['tickets:close'],
              details: [{ type: 'operation', actions: ['close'] }],
            },
          ],
        });
        const close = asked({ type: 'operation', actions: ['close'], parameters: { id: ['1'] } });
        const there: TokenClient = { ...heir, send: (parameters) => sentTo(node, heir, parameters) };
        assert.equal((await there.send(close)).body.error, invalid);
        await server.admin('PATCH', `/roles/${heir.role}`, { inherits: [base.id] });
        const [here, elsewhere] = [await heir.send(close), await there.send(close)];
        assert.equal(here.status, 200, JSON.stringify(here.body));
        assert.equal(elsewhere.status, 200, JSON.stringify(elsewhere.body));

        await server.admin('PATCH', `/roles/${base.id}`, {
          permissions: [
            {
              resource: heir.resource,
              scopes: ['tickets:close'],
              details: [{ type: 'operation', actions: ['close'], parameters: { id: ['1'] } }],
            },
          ],
        });
        for (const answer of [here, elsewhere]) assert.deepEqual(await introspected(heir, answer), { active: false });
        const narrower = await there.send(close);
        assert.equal(narrower.status, 200, 'what is left is given still');
        await server.admin('PATCH', `/roles/${base.id}`, { permissions: [] });
        assert.equal((await there.send(close)).body.error, invalid);
        assert.deepEqual(await introspected(heir, narrower), { active: false });

        await server.admin('PATCH', `/roles/${base.id}`, {
          permissions: [{ resource: heir.resource, scopes: ['tickets:close'] }],
        });
        const byScope = await there.send({ scope: 'tickets:close' });
        assert.equal(byScope.status, 200);
        await server.admin('PATCH', `/roles/${heir.role}`, { inherits: [] });
        assert.equal((await there.send({ scope: 'tickets:close' })).body.error, 'invalid_scope');
        assert.deepEqual(await introspected(heir, byScope), { active: false });

        await server.admin('PATCH', `/roles/${heir.role}`, { inherits: [base.id] });
        const last = await there.send({ scope: 'tickets:close' });
        assert.equal(last.status, 200);
        await server.admin('POST', `/roles/${base.id}/retire`, {});
        assert.equal((await there.send({ scope: 'tickets:close' })).body.error, 'invalid_scope');
        assert.deepEqual(await introspected(heir, last), { active: false });
      } finally {
        await node.close();
      }
    });

    test('a role taken from the agent bites on every node, and its tokens are dead', async () => {
      const node = await startServer({ joins: server, config: { limits: { tokens_per_minute: 100_000 } } });
      try {
        const one = await banker(server);
        const answer = await sentTo(node, one, asked(transfer));
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        await server.admin('DELETE', `/agents/${one.clientId}/roles/${one.role}`);
        assert.equal((await sentTo(node, one, asked(transfer))).body.error, invalid);
        assert.deepEqual(await introspected(one, answer), { active: false });
      } finally {
        await node.close();
      }
    });
  });
}

/** The same request to another node. */
async function sentTo(node: TestServer, client: TokenClient, parameters?: Record<string, string>): Promise<Answer> {
  try {
    const body = await tokenEndpoint(node.deps, await client.request(parameters));
    return { status: 200, body: body as unknown as Record<string, unknown> };
  } catch (error) {
    const { status, code, message } = error as { status: number; code: string; message: string };
    return { status, body: { error: code, error_description: message } };
  }
}
