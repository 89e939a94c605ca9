/** Types of details and what operations say of them: what the admin API accepts and what it refuses. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

const type = {
  type: 'transfer',
  description: 'Move money',
  schema: { type: 'object', properties: { account: { type: 'string' }, amount: { type: 'number' } } },
  compare: { amount: 'at_most' },
};
const move = {
  name: 'move',
  method: 'POST',
  path: '/accounts/{account}',
  scope: ['write'],
  details: { type: 'transfer', account: '{account}', amount: '{*}' },
};
const resource = { name: 'bank', scopes: [{ name: 'write' }], details_types: [type], operations: [move] };

for (const database of databases) {
  describe(`details in the admin API, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let bank: { id: string };
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      bank = await operator.ok('POST', '/resources', { ...resource, identifier: 'https://bank.example' });
    });
    after(() => server.close());

    test('are shown as they were written, and kept by a patch that is about something else', async () => {
      const { details_types, operations } = await operator.ok('PATCH', `/resources/${bank.id}`, { name: 'Bank' });
      assert.deepEqual(details_types, [type]);
      assert.deepEqual(operations[0].details, move.details);
    });

    const withType = (change: object) => ({ details_types: [{ ...type, ...change }] });
    const withOperation = (change: object) => ({ operations: [{ ...move, ...change }] });
    // as deep as the oldest Node.js can still write
    let deep: unknown = {};
    for (let i = 0; i < 1000; i++) deep = { not: deep };
    const refused: [what: string, change: Record<string, unknown>, status: number, field: RegExp][] = [
      ['the built-in type', withType({ type: 'operation' }), 400, /^details_types\[0\]\.type/],
      ['a type in capitals', withType({ type: 'Transfer' }), 400, /^details_types\[0\]\.type/],
      ['a type with a space', withType({ type: 'a b' }), 400, /^details_types\[0\]\.type/],
      ['the same type twice', { details_types: [type, type] }, 400, /^details_types/],
      [
        '21 types',
        { details_types: Array.from({ length: 21 }, (_, i) => ({ ...type, type: `t${i}` })) },
        400,
        /^details_types/,
      ],
      [
        'patterns that block whoever compiles them',
        withType({
          schema: {
            type: 'object',
            properties: Object.fromEntries(
              Array.from({ length: 50 }, (_, i) => [`p${i}`, { pattern: `(?i)${'[a-\\x{10fffe}]'.repeat(16)}` }]),
            ),
          },
        }),
        422,
        /^details_types\[0\]\.schema\.properties\.p0\.pattern/,
      ],
      [
        'more than 60 patterns in all its types',
        {
          details_types: Array.from({ length: 4 }, (_, n) => ({
            ...type,
            type: `t${n}`,
            compare: {},
            schema: {
              type: 'object',
              properties: Object.fromEntries(
                Array.from({ length: n === 3 ? 1 : 20 }, (_, i) => [`p${i}`, { pattern: 'a' }]),
              ),
            },
          })),
          operations: [],
        },
        422,
        /^details_types\[3\]\.schema/,
      ],
      ['a type without a schema', { details_types: [{ type: 'x' }] }, 400, /^details_types\[0\]\.schema/],
      ['an unknown rule', withType({ compare: { amount: 'below' } }), 400, /^details_types\[0\]\.compare/],
      [
        'a rule for no member',
        withType({ compare: { total: 'at_most' } }),
        422,
        /^details_types\[0\]\.compare\.total$/,
      ],
      [
        'a rule that does not fit',
        withType({ compare: { account: 'at_most' } }),
        422,
        /^details_types\[0\]\.compare\.account$/,
      ],
      [
        'a remote reference',
        withType({ schema: { type: 'object', properties: { account: { $ref: 'https://example.com/s' } } } }),
        422,
        /^details_types\[0\]\.schema\.properties\.account\.\$ref$/,
      ],
      [
        'a circle',
        withType({
          schema: {
            type: 'object',
            properties: { account: { $ref: '#/$defs/a' } },
            $defs: { a: { items: { $ref: '#/$defs/a' } } },
          },
        }),
        422,
        /\$defs\.a\.items\.\$ref$/,
      ],
      [
        'an expensive pattern',
        withType({ schema: { type: 'object', properties: { account: { pattern: '(?:(?:(?:a{9}){9}){9})' } } } }),
        422,
        /properties\.account\.pattern$/,
      ],
      [
        'look-ahead',
        withType({ schema: { type: 'object', properties: { account: { pattern: '^(?!x)' } } } }),
        422,
        /properties\.account\.pattern$/,
      ],
      [
        'an unknown keyword',
        withType({ schema: { type: 'object', unevaluatedProperties: false } }),
        422,
        /^details_types\[0\]\.schema\.unevaluatedProperties$/,
      ],
      ['a schema of a string', withType({ schema: { type: 'string' } }), 422, /^details_types\[0\]\.schema\.type$/],
      ['a schema nested without end', withType({ schema: deep }), 400, /^body$/],
      [
        'a schema of 17 KB',
        withType({ schema: { type: 'object', description: 'x'.repeat(17_000) } }),
        422,
        /^details_types\[0\]\.schema$/,
      ],
      [
        'half a letter in a schema',
        withType({ schema: { type: 'object', description: '\ud800' } }),
        400,
        /^details_types\[0\]\.schema\.description$/,
      ],
      [
        'details of an unknown type',
        withOperation({ details: { type: 'payment' } }),
        422,
        /^operations\[0\]\.details\.type$/,
      ],
      [
        'details of the built-in type',
        withOperation({ details: { type: 'operation' } }),
        422,
        /^operations\[0\]\.details\.type$/,
      ],
      ['details without a type', withOperation({ details: {} }), 422, /^operations\[0\]\.details\.type$/],
      ['details that are no object', withOperation({ details: 'transfer' }), 400, /^operations\[0\]\.details$/],
      [
        'a parameter that the path lacks',
        withOperation({ details: { type: 'transfer', account: '{id}' } }),
        422,
        /^operations\[0\]\.details$/,
      ],
      [
        'text for a number',
        withOperation({ details: { type: 'transfer', amount: '{account}' } }),
        422,
        /^operations\[0\]\.details\.amount$/,
      ],
      [
        'a member that the type lacks',
        withOperation({ details: { type: 'transfer', x: 1 } }),
        422,
        /^operations\[0\]\.details\.x$/,
      ],
      [
        '{*} for what the type lacks',
        withOperation({ details: { type: 'transfer', x: '{*}' } }),
        422,
        /^operations\[0\]\.details\.x$/,
      ],
      ['a type that an operation still takes', { details_types: [] }, 422, /^operations\[0\]\.details\.type$/],
    ];
    for (const [what, change, status, field] of refused) {
      test(`refused: ${what}`, async () => {
        const reply = await operator.call('PATCH', `/resources/${bank.id}`, change);
        assert.equal(reply.status, status, reply.text);
        assert.match(reply.body.errors[0].field, field);
        assert.equal(
          (await operator.call('POST', '/resources', { ...resource, identifier: 'https://other.example', ...change }))
            .status,
          status,
        );
      });
    }

    const bounds: [what: string, details: unknown, status: number, field: RegExp][] = [
      ['no list', { type: 'transfer' }, 400, /^permissions\[0\]\.details$/],
      ['no object', ['transfer'], 400, /^permissions\[0\]\.details\[0\]$/],
      ['no type', [{}], 422, /^permissions\[0\]\.details\[0\]\.type$/],
      ['an unknown type', [{ type: 'transfer' }, { type: 'x' }], 422, /^permissions\[0\]\.details\[1\]\.type$/],
      ['the same twice', [{ type: 'transfer' }, { type: 'transfer' }], 400, /^permissions\[0\]\.details$/],
      ['a member that the type lacks', [{ type: 'transfer', x: 1 }], 422, /^permissions\[0\]\.details\[0\]\.x$/],
      [
        'a member of another kind',
        [{ type: 'transfer', amount: '5' }],
        422,
        /^permissions\[0\]\.details\[0\]\.amount$/,
      ],
      [
        'an operation that there is not',
        [{ type: 'operation', actions: ['nope'] }],
        422,
        /^permissions\[0\]\.details\[0\]\.actions$/,
      ],
      [
        'an operation detail out of shape',
        [{ type: 'operation', parameters: [] }],
        422,
        /^permissions\[0\]\.details\[0\]\.parameters$/,
      ],
      [
        '51 of them',
        Array.from({ length: 51 }, (_, amount) => ({ type: 'transfer', amount })),
        400,
        /^permissions\[0\]\.details$/,
      ],
    ];
    for (const [what, details, status, field] of bounds) {
      test(`refused in a role: ${what}`, async () => {
        const body = { name: 'odd', permissions: [{ resource: bank.id, details }] };
        const reply = await operator.call('POST', '/roles', body);
        assert.equal(reply.status, status, reply.text);
        assert.match(reply.body.errors[0].field, field);
      });
    }

    test('the server’s own APIs know scopes alone', async () => {
      for (const api of [`${server.issuer}/admin`, server.issuer]) {
        const permissions = [{ resource: api, details: [{ type: 'operation' }] }];
        const reply = await operator.call('POST', '/roles', { name: 'odd', permissions });
        assert.equal(reply.status, 422, reply.text);
        assert.equal(reply.body.errors[0].field, 'permissions[0].details[0]');
      }
    });

    test('a bound stays, as other things do, when its type is gone', async () => {
      const other = await operator.ok('POST', '/resources', {
        ...resource,
        identifier: `https://${database}.example`,
        operations: [],
      });
      const permissions = [{ resource: other.id, scopes: [], details: [{ type: 'transfer', amount: 5 }] }];
      const role = await operator.ok('POST', '/roles', { name: 'small', permissions });
      assert.deepEqual(role.permissions, permissions);
      await operator.ok('PATCH', `/resources/${other.id}`, { details_types: [] });
      const after = await operator.ok('PATCH', `/roles/${role.id}`, { permissions, description: 'still there' });
      assert.deepEqual(after.permissions, permissions);
      const wider = [{ ...permissions[0], details: [{ type: 'transfer' }] }];
      assert.equal((await operator.call('PATCH', `/roles/${role.id}`, { permissions: wider })).status, 422);
    });
  });
}
