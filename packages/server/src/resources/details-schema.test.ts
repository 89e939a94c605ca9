import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { DetailsType, Operation } from '@bailiwick/protocol';
import { checkBound, checkDetails, checkDetailsType, checkTemplate } from './details-schema.ts';

const transfer: DetailsType = {
  type: 'transfer',
  description: 'Move money',
  schema: {
    type: 'object',
    required: ['account'],
    properties: {
      account: { type: 'string', minLength: 2 },
      amount: { type: 'number', maximum: 500 },
      actions: { type: 'array', items: { enum: ['read', 'write'] } },
      folder: { $ref: '#/$defs/folder' },
      count: { type: 'integer' },
      to: { type: 'object', properties: { account: { type: 'string' } } },
    },
    $defs: { folder: { type: 'string', pattern: '^/[a-z/]+$' } },
  },
  compare: { amount: 'at_most', actions: 'subset', folder: 'prefix', count: 'at_least', account: 'equal' },
};
const types = [transfer];

async function said(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'fine';
  } catch (error) {
    const { at, message } = error as Error & { at?: string };
    return at === undefined ? message : `${at}: ${message}`;
  }
}

suite('types of details', () => {
  const cases: [what: string, change: Partial<DetailsType>, says: RegExp][] = [
    ['a good one', {}, /^fine$/],
    [
      'a mistake in the schema',
      { schema: { type: 'object', properties: { a: { pattern: '(' } } } },
      /^schema\.properties\.a\.pattern: must be a pattern/,
    ],
    ['a schema of no object', { schema: { type: 'string' } }, /^schema\.type: must be object/],
    ['a schema of anything', { schema: {} }, /^schema\.type: must be object/],
    ['a rule for no member', { compare: { other: 'equal' } }, /^compare\.other: must be of a member in properties/],
    [
      'a rule for what objects inherit',
      { compare: { constructor: 'equal' } as never },
      /^compare\.constructor: must be of a member/,
    ],
    ['a rule for the type', { compare: { type: 'prefix' } }, /^compare\.type: must be of a member/],
    ['at most, of text', { compare: { account: 'at_most' } }, /^compare\.account: must be of a member of type number/],
    ['at least, of a list', { compare: { actions: 'at_least' } }, /^compare\.actions: .*number/],
    ['a subset of text', { compare: { account: 'subset' } }, /^compare\.account: .*array/],
    ['a prefix of a number', { compare: { amount: 'prefix' } }, /^compare\.amount: .*string/],
  ];
  for (const [what, change, says] of cases) {
    test(what, async () => assert.match(await said(checkDetailsType({ ...transfer, ...change })), says));
  }
});

suite('details of a request', () => {
  const cases: [what: string, details: Record<string, unknown>[], says: string][] = [
    [
      'valid ones',
      [
        { type: 'transfer', account: '17', amount: 5 },
        { type: 'operation', actions: ['read'] },
      ],
      'fine',
    ],
    [
      'an unknown type',
      [{ type: 'transfer', account: '17' }, { type: 'transfers' }],
      'd[1].type is no type of details that this resource has',
    ],
    [
      'a type that objects inherit',
      [{ type: 'constructor' }],
      'd[0].type is no type of details that this resource has',
    ],
    ['a member missing', [{ type: 'transfer' }], 'd[0].account must be there'],
    ['a member that the schema lacks', [{ type: 'transfer', account: '17', x: 1 }], 'd[0].x is no member of this type'],
    [
      'a wrong value further in',
      [{ type: 'transfer', account: '17', to: { account: 5 } }],
      'd[0].to.account must be of type string',
    ],
    [
      'an operation detail out of shape',
      [{ type: 'operation' }],
      'd[0].actions must be a list of names of operations, at least one',
    ],
  ];
  for (const [what, details, says] of cases) {
    test(what, async () => assert.equal(await said(checkDetails(types, details as never, 'd')), says));
  }
  test('a schema may say something of the type itself', async () => {
    const { schema } = transfer;
    const properties = { ...(schema.properties as object), type: { const: 'transfer' } };
    const own = [{ ...transfer, schema: { ...schema, properties, required: ['type'] } }];
    assert.equal(await said(checkDetails(own, [{ type: 'transfer' }], 'd')), 'fine');
  });
});

suite('bounds of roles', () => {
  const cases: [what: string, bound: unknown, says: string][] = [
    ['the bare type', { type: 'transfer' }, 'fine'],
    ['a part of it', { type: 'transfer', account: '17' }, 'fine'],
    ['wider than any detail may be', { type: 'transfer', amount: 1e6, folder: '/' }, 'fine'],
    ['any operation', { type: 'operation' }, 'fine'],
    ['an operation', { type: 'operation', actions: ['read'], parameters: { id: ['1'] } }, 'fine'],
    ['no object', 'transfer', 'b must be an object'],
    ['an unknown type', { type: 'x' }, 'b.type is no type of details that this resource has'],
    ['a member that the type lacks', { type: 'transfer', x: 1 }, 'b.x is no member of this type'],
    ['a number as text', { type: 'transfer', amount: '100' }, 'b.amount must be of type number'],
    ['a folder as a list', { type: 'transfer', folder: ['/'] }, 'b.folder must be of type string'],
    ['a value that no detail can have', { type: 'transfer', account: 'x' }, 'b.account must have at least 2 letters'],
    [
      'an operation detail out of shape',
      { type: 'operation', actions: 'read' },
      'b.actions must be a list of names of operations, at least one',
    ],
  ];
  for (const [what, bound, says] of cases) {
    test(what, async () => assert.equal(await said(checkBound(types, bound, 'b')), says));
  }
});

suite('templates of operations', () => {
  const path: Operation = { name: 'o', method: 'POST', path: '/a/{account}', scope: [], sensitivity: 'low' };
  const tool: Operation = { name: 'o', tool: 'o', scope: [], sensitivity: 'low' };
  const cases: [what: string, operation: Operation, details: Record<string, unknown> | undefined, says: string][] = [
    ['none', path, undefined, 'fine'],
    ['a parameter of the path', path, { type: 'transfer', account: '{account}' }, 'fine'],
    ['an argument of the tool', tool, { type: 'transfer', account: '{from}', count: '{count}' }, 'fine'],
    ['a parameter further in', tool, { type: 'transfer', to: { account: '{to}' } }, 'fine'],
    ['a fixed value', path, { type: 'transfer', actions: ['read'] }, 'fine'],
    ['an unknown type', path, { type: 'x' }, 'd.type is no type of details that this resource has'],
    [
      'the built-in type',
      path,
      { type: 'operation', actions: ['o'] },
      'd.type must not be operation: that names operations',
    ],
    [
      'a parameter that the path lacks',
      path,
      { type: 'transfer', account: '{id}' },
      'd must name parameters of the path: it has no {id}',
    ],
    [
      'a part of a value',
      path,
      { type: 'transfer', account: 'x-{account}' },
      'd.account may have {name} as a whole value only',
    ],
    [
      'the rest of a path, starred',
      path,
      { type: 'transfer', account: '{account*}' },
      'd.account may have {name} as a whole value only',
    ],
    [
      'text for a number',
      path,
      { type: 'transfer', amount: '{account}' },
      'd.amount is of type number, and a parameter of a path is text',
    ],
    ['a fixed value of another type', path, { type: 'transfer', amount: '5' }, 'd.amount must be of type number'],
    ['a member that the type lacks', path, { type: 'transfer', x: '{account}' }, 'd.x is no member of this type'],
  ];
  for (const [what, operation, details, says] of cases) {
    test(what, async () => {
      const template = details === undefined ? operation : { ...operation, details: details as never };
      assert.equal(await said(checkTemplate(types, template, 'd')), says);
    });
  }
});
