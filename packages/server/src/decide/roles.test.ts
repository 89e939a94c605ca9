import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { AuthorizationDetail, Operation } from '@bailiwick/protocol';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Resource } from '../resources/resource.ts';
import type { HeldRole, Permission } from '../resources/role.ts';
import type { TokenPlan } from './plan.ts';
import { detailsWithinInstance, givenByRoles } from './roles.ts';

const operation = (name: string, more: Partial<Operation>): Operation => ({
  name,
  method: 'POST',
  path: `/${name}/{account}`,
  scope: [],
  sensitivity: 'low',
  ...more,
});

const bank = {
  id: 'res_bank',
  scopes: ['read', 'transfer', 'admin', 'unused'].map((name) => ({ name, description: '' })),
  operations: [
    operation('look', { scope: ['read'] }),
    operation('move', {
      scope: ['transfer', 'read'],
      details: { type: 'transfer', account: '{account}', amount: '{amount}' },
      sensitivity: 'high',
    }),
    operation('close', { scope: ['admin'], sensitivity: 'medium' }),
    { name: 'tool', tool: 'tool', scope: ['read'], sensitivity: 'medium' },
  ],
  detailsTypes: [{ type: 'transfer', description: '', schema: {}, compare: { amount: 'at_most' } }],
} as unknown as Resource;

let grants = 0;
const role = (name: string, permission: Partial<Permission>, more: Partial<HeldRole> = {}): HeldRole => ({
  grant: `gra_${++grants}`,
  role: `rol_${name}`,
  roleName: name,
  permissions: [{ resource: 'res_bank', scopes: [], ...permission }],
  ...more,
});

const reader = role('reader', { scopes: ['read'] });
const writer = role('writer', { scopes: ['transfer'], details: [{ type: 'transfer', account: '17' }] });
const small = role('small', { details: [{ type: 'transfer', amount: 100 }] });
const closer = role('closer', { details: [{ type: 'operation', actions: ['close'], parameters: { account: ['1'] } }] });
const elsewhere = role('elsewhere', {
  resource: 'res_other',
  scopes: ['read', 'transfer', 'admin'],
  details: [{ type: 'transfer' }, { type: 'operation' }],
});

function asked(scope: string[], details: Record<string, unknown>[], held: HeldRole[]) {
  const plan = { resource: bank, scope, details: details as AuthorizationDetail[] };
  try {
    const { giving, links, sensitivity } = givenByRoles(plan, held);
    return { by: giving.map(({ roleName }) => roleName).join(' '), links, sensitivity };
  } catch (error) {
    assert.ok(error instanceof OAuthError, String(error));
    return { refused: error.code, message: error.message };
  }
}

const move = { type: 'operation', actions: ['move'] };

suite('what roles give', () => {
  const given: [what: string, scope: string[], details: Record<string, unknown>[], held: HeldRole[], by: string][] = [
    ['a scope', ['read'], [], [writer, reader], 'reader'],
    ['two scopes of two roles', ['read', 'transfer'], [], [writer, reader], 'reader writer'],
    ['a detail within a bound', [], [{ type: 'transfer', account: '17', amount: 1e9 }], [reader, writer], 'writer'],
    ['the bound itself', [], [{ type: 'transfer', account: '17' }], [writer], 'writer'],
    [
      'details of two roles',
      [],
      [
        { type: 'transfer', account: '17' },
        { type: 'transfer', amount: 50 },
      ],
      [writer, small],
      'writer small',
    ],
    ['an operation by its scope', [], [{ type: 'operation', actions: ['look'] }], [reader], 'reader'],
    [
      'an operation by a bound',
      [],
      [{ type: 'operation', actions: ['close'], parameters: { account: ['1'] } }],
      [closer],
      'closer',
    ],
    [
      'an operation by scopes and details',
      [],
      [{ ...move, parameters: { account: ['17'] } }],
      [reader, writer],
      'writer reader',
    ],
    [
      'several operations',
      [],
      [{ type: 'operation', actions: ['look', 'close'], parameters: { account: ['1'] } }],
      [reader, closer],
      'reader closer',
    ],
    [
      'a tool with any arguments',
      [],
      [{ type: 'operation', actions: ['tool'], parameters: { x: ['1'] } }],
      [reader],
      'reader',
    ],
  ];
  for (const [what, scope, details, held, by] of given) {
    test(what, () => assert.equal(asked(scope, details, held).by, by));
  }

  const [noScope, noDetail] = ['invalid_scope', 'invalid_authorization_details'];
  const refused: [what: string, scope: string[], details: Record<string, unknown>[], held: HeldRole[], code: string][] =
    [
      ['a scope of no role', ['admin'], [], [reader, writer, elsewhere], noScope],
      ['a scope that the resource has no more', ['gone'], [], [role('old', { scopes: ['gone'] })], noScope],
      ['any scope without a role', ['read'], [], [], noScope],
      ['a detail beyond the bound', [], [{ type: 'transfer', account: '18' }], [writer, elsewhere], noDetail],
      ['a detail that does not say what the bound says', [], [{ type: 'transfer' }], [writer, elsewhere], noDetail],
      [
        'a detail that two bounds cover by halves',
        [],
        [{ type: 'transfer', account: '18', amount: 101 }],
        [writer, small],
        noDetail,
      ],
      [
        'a type that is no more, and its bound',
        [],
        [{ type: 'gone' }],
        [role('old', { details: [{ type: 'gone' }] })],
        noDetail,
      ],
      ['the second of two', [], [{ type: 'transfer', account: '17' }, { type: 'transfer' }], [writer], noDetail],
      ['an operation that there is not', [], [{ type: 'operation', actions: ['nope'] }], [reader, writer], noDetail],
      [
        'an operation one of whose scopes is missing',
        [],
        [{ ...move, parameters: { account: ['17'] } }],
        [writer],
        noDetail,
      ],
      ['an operation with any account', [], [move], [reader, writer], noDetail],
      [
        'an operation with another account',
        [],
        [{ ...move, parameters: { account: ['17', '18'] } }],
        [reader, writer],
        noDetail,
      ],
      ['an operation beyond its bound', [], [{ type: 'operation', actions: ['close'] }], [closer], noDetail],
      [
        'a parameter that the path lacks',
        [],
        [{ type: 'operation', actions: ['look'], parameters: { other: ['1'] } }],
        [reader],
        noDetail,
      ],
      [
        'too many combinations',
        [],
        [{ ...move, parameters: { account: Array(1000).fill('17'), amount: ['1', '2'] } }],
        [reader, writer],
        noDetail,
      ],
      [
        'values where the bound is a number',
        [],
        [{ ...move, parameters: { account: ['17'], amount: ['5'] } }],
        [reader, role('t', { scopes: ['transfer'] }), small],
        noDetail,
      ],
    ];
  for (const [what, scope, details, held, code] of refused) {
    test(`not ${what}`, () => assert.equal(asked(scope, details, held).refused, code));
  }

  test('what there isn’t and what isn’t given are refused in the same words', () => {
    const named = (action: string) => asked([], [{ type: 'operation', actions: [action] }], [reader]).message;
    assert.equal(named('nope'), named('close'));
  });

  test('a token is linked to grant and role, and to the role that inherits it', () => {
    const inherited = role('base', { scopes: ['admin'] }, { via: 'rol_heir' });
    assert.deepEqual(asked(['read', 'admin'], [], [reader, inherited]).links, [
      reader.role,
      reader.grant,
      'rol_base',
      'rol_heir',
      inherited.grant,
    ]);
  });

  test('the most sensitive operation that is reached counts', () => {
    const every = role('all', { scopes: ['read', 'transfer', 'admin', 'unused'], details: [{ type: 'transfer' }] });
    const sensitivity = (scope: string[], details: Record<string, unknown>[] = []) =>
      asked(scope, details, [every]).sensitivity;
    assert.equal(sensitivity(['transfer']), 'low', 'reaches nothing without the scope and the detail beside it');
    assert.equal(sensitivity(['unused']), 'medium', 'nobody knows what for');
    assert.equal(sensitivity([], [{ type: 'operation', actions: ['look'] }, { type: 'transfer' }]), 'low');
    assert.equal(sensitivity(['admin']), 'medium');
    assert.equal(sensitivity(['transfer', 'read']), 'medium', 'a tool; moving money takes a detail besides');
    assert.equal(sensitivity(['transfer', 'read'], [{ type: 'transfer' }]), 'high');
    assert.equal(sensitivity([], [move]), 'high');
    assert.equal(sensitivity([], [{ type: 'operation', actions: ['look'] }]), 'low');
    assert.equal(sensitivity(['read'], [{ type: 'operation', actions: ['look'] }]), 'medium');
  });
});

suite('a child of an instance', () => {
  const within = (details: Record<string, unknown>[], allowed: { resource: string; scope: string[] }[] | undefined) => {
    const plan = { client: { instance: { allowed } }, resource: bank, details } as unknown as TokenPlan;
    try {
      detailsWithinInstance(plan);
      return 'allowed';
    } catch (error) {
      return (error as OAuthError).code;
    }
  };
  const read = [{ resource: 'res_bank', scope: ['read', 'transfer'] }];
  const no = 'invalid_authorization_details';
  const cases: [string, Record<string, unknown>[], typeof read | undefined, string][] = [
    ['whose parent set no limit', [{ type: 'transfer' }], undefined, 'allowed'],
    ['without details', [], [], 'allowed'],
    ['an operation of its scopes', [{ type: 'operation', actions: ['look'] }], read, 'allowed'],
    ['an operation of other scopes', [{ type: 'operation', actions: ['look', 'close'] }], read, no],
    ['an operation that takes details', [move], read, no],
    ['an operation that there is not', [{ type: 'operation', actions: ['nope'] }], read, no],
    ['other details', [{ type: 'transfer' }], read, no],
    [
      'on another resource',
      [{ type: 'operation', actions: ['look'] }],
      [{ resource: 'res_other', scope: ['read'] }],
      no,
    ],
  ];
  for (const [what, details, allowed, is] of cases)
    test(`${what}: ${is}`, () => assert.equal(within(details, allowed), is));
});
