import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import {
  type AuthorizationDetail,
  asOperationDetail,
  compileOperations,
  detailOf,
  grantsOperation,
  type Operation,
  type OperationParameters,
  parameterNames,
  parametersIn,
  parametersOf,
  parseDetails,
  readByApi,
} from './index.ts';
import { code } from './testing.ts';

const types = [{ type: 'transfer', compare: { amount: 'at_most' as const, folder: 'prefix' as const } }];
const move: Operation = {
  name: 'move money',
  method: 'POST',
  path: '/accounts/{account}/transfers',
  scope: ['transfers'],
  details: { type: 'transfer', account: '{account}', amount: '{amount}' },
  sensitivity: 'high',
};
const read: Operation = {
  name: 'read',
  method: 'GET',
  path: '/accounts/{account}',
  scope: ['read'],
  sensitivity: 'low',
};

const grants = (
  operation: Operation,
  scope: string[],
  details: AuthorizationDetail[],
  parameters: OperationParameters = { account: '17', amount: 50 },
) => grantsOperation(operation, { scope: new Set(scope), details, types }, () => parameters);

suite('what a token may do', () => {
  const named = (members: Record<string, unknown> = {}) => ({ type: 'operation', actions: ['move money'], ...members });
  const cases: [what: string, scope: string[], details: AuthorizationDetail[], may: boolean][] = [
    ['nothing', [], [], false],
    ['the scope without a detail', ['transfers'], [], false],
    ['a detail without the scope', [], [{ type: 'transfer' }], false],
    ['scope and the bare type', ['transfers'], [{ type: 'transfer' }], true],
    ['scope and its account', ['transfers'], [{ type: 'transfer', account: '17' }], true],
    ['scope and another account', ['transfers'], [{ type: 'transfer', account: '18' }], false],
    ['scope and enough money', ['transfers'], [{ type: 'transfer', account: '17', amount: 50 }], true],
    ['scope and too little money', ['transfers'], [{ type: 'transfer', account: '17', amount: 49 }], false],
    [
      'the two halves of two details',
      ['transfers'],
      [
        { type: 'transfer', account: '17', amount: 1 },
        { type: 'transfer', account: '18', amount: 99 },
      ],
      false,
    ],
    ['a bound on what the request does not say', ['transfers'], [{ type: 'transfer', currency: 'EUR' }], false],
    ['a type that is not registered', ['transfers'], [{ type: 'move' }], false],
    ['the operation by name', [], [named()], true],
    ['the operation by name, its account too', [], [named({ parameters: { account: ['16', '17'] } })], true],
    ['a number among the arguments', [], [named({ parameters: { amount: ['50'] } })], true],
    ['the operation by name, another account', [], [named({ parameters: { account: ['16'] } })], false],
    ['the operation by name, a parameter that it lacks', [], [named({ parameters: { other: ['16'] } })], false],
    ['the operation by name, what objects inherit', [], [named({ parameters: { toString: ['16'] } })], false],
    ['another operation by name', [], [{ type: 'operation', actions: ['read'] }], false],
    ['an operation detail out of shape', [], [{ type: 'operation', actions: 'move money' }], false],
    ['parameters out of shape', [], [named({ parameters: ['17'] })], false],
    ['values out of shape', [], [named({ parameters: { account: '17' } })], false],
  ];
  for (const [what, scope, details, may] of cases) {
    test(`${what}: ${may ? 'may' : 'may not'}`, () => assert.equal(grants(move, scope, details), may));
  }

  test('what the API reads itself is left to it, and everything else is not', () => {
    const byApi = { ...move, details: { type: 'transfer', account: '{account}', amount: readByApi } };
    const bounded = { type: 'transfer', account: '17', amount: 1 };
    assert.equal(grants(byApi, ['transfers'], [bounded]), true);
    assert.equal(grants(byApi, ['transfers'], [{ ...bounded, account: '18' }]), false);
    assert.equal(grants(byApi, ['transfers'], [{ ...bounded, currency: 'EUR' }]), false, 'nobody said who reads it');
    assert.equal(grants(byApi, ['transfers'], []), false);
    assert.deepEqual(detailOf(byApi.details, { account: '17' }), { type: 'transfer', account: '17' });
  });

  test('parameters are not looked for where nothing depends on them', () => {
    const never = () => assert.fail('asked for parameters');
    assert.equal(
      grantsOperation(read, { scope: new Set(['read']), details: [{ type: 'transfer' }], types }, never),
      true,
    );
    assert.equal(grantsOperation(read, { scope: new Set(), details: [], types }, never), false);
    assert.equal(grantsOperation(move, { scope: new Set(['transfers']), details: [], types }, never), false);
    assert.equal(
      grantsOperation(read, { scope: new Set(), details: [{ type: 'operation', actions: ['read'] }], types }, never),
      true,
    );
  });

  test('parameters that throw, or are anything at all, get an answer', () => {
    const scope = new Set(['transfers']);
    const details: AuthorizationDetail[] = [{ type: 'transfer', account: 'x' }];
    const throwing = () => {
      throw new Error('no');
    };
    assert.equal(grantsOperation(move, { scope, details, types }, throwing), false);
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (account, parameters) => {
        for (const given of [{ account }, parameters as OperationParameters]) {
          const answer = grantsOperation(move, { scope, details, types }, () => given);
          assert.equal(answer, (given as { account?: unknown } | undefined | null)?.account === 'x');
        }
      }),
    );
  });
});

suite('what a request makes of a template', () => {
  test('whole values are replaced, with the type that they have', () => {
    const template = {
      type: 'transfer',
      to: ['{account}'],
      nested: { amount: '{amount}' },
      fixed: 'x{account}',
      gone: '{gone}',
    };
    assert.deepEqual(detailOf(template, { account: '17', amount: 5 }), {
      type: 'transfer',
      to: ['17'],
      nested: { amount: 5 },
      fixed: 'x{account}',
    });
    assert.deepEqual(parametersIn(template), ['account', 'amount', 'gone']);
  });

  test('a list that lacks one of its parameters is left out as a whole; null is a value', () => {
    assert.deepEqual(detailOf({ type: 't', to: ['{a}', '{b}'] }, { a: 'x' }), { type: 't' });
    assert.deepEqual(detailOf({ type: 't', to: '{a}' }, { a: null }), { type: 't', to: null });
    assert.deepEqual(detailOf({ type: 't', to: '{constructor}' }, {}), { type: 't' });
  });

  test('the type is never the request’s', () => {
    assert.equal(detailOf({ type: '{type}' }, { type: 'operation' }).type, '{type}');
  });
});

suite('parameters of a path', () => {
  const of = (path: string, request: string) => ({ ...parametersOf({ ...read, path }, request) });
  test('are decoded as the path was matched', () => {
    assert.deepEqual(of('/a/{id}/b/{other}', '/a/1%207/b/x'), { id: '1 7', other: 'x' });
    assert.deepEqual(of('/a/{rest*}', '/a/b/c/d'), { rest: 'b/c/d' });
    assert.deepEqual(of('/a', '/a'), {});
    assert.deepEqual(of('/{__proto__}', '/x'), JSON.parse('{"__proto__":"x"}'));
    assert.deepEqual({ ...parametersOf({ name: 't', tool: 't', scope: [], sensitivity: 'low' }, '/a') }, {});
  });
  test('a name that stands twice counts only with one value', () => {
    assert.deepEqual(of('/{id}/{id}', '/1/1'), { id: '1' });
    assert.deepEqual(of('/{id}/{id}', '/1/2'), {});
    assert.deepEqual(of('/{id}/{id}/{id}', '/1/2/1'), {});
  });
  test('have the names of the template', () => {
    assert.deepEqual(parameterNames({ path: '/a/{id}/{rest*}' }), ['id', 'rest']);
    assert.deepEqual(parameterNames({ path: '/a' }), []);
    assert.equal(parameterNames({}), undefined);
  });
  test('stand for every path that matches', () => {
    const segment = fc.string({ minLength: 1, maxLength: 8 }).map((text) => encodeURIComponent(text));
    const operation = { ...read, path: '/x/{one}/{rest*}' };
    const match = compileOperations([operation]);
    fc.assert(
      fc.property(segment, fc.array(segment, { minLength: 1, maxLength: 3 }), (one, rest) => {
        const path = `/x/${one}/${rest.join('/')}`;
        if (match('GET', path) === undefined) return;
        const found = parametersOf(operation, path);
        assert.deepEqual({ ...found }, { one: decodeURIComponent(one), rest: rest.map(decodeURIComponent).join('/') });
      }),
    );
  });
});

suite('authorization_details as it comes', () => {
  const refused: [what: string, text: string, says: RegExp][] = [
    ['no JSON', '[{', /^authorization_details must be JSON$/],
    ['nothing', '', /must be JSON/],
    ['an object', '{"type":"transfer"}', /must be a list/],
    ['null', 'null', /must be a list/],
    ['an empty list', '[]', /at least one/],
    ['a list in it', '[[]]', /^authorization_details\[0\] must be an object/],
    ['null in it', '[{"type":"a"},null]', /^authorization_details\[1\] must be an object/],
    ['no type', '[{}]', /^authorization_details\[0\]\.type must be a string/],
    ['a type that is no string', '[{"type":1}]', /\[0\]\.type/],
    ['an empty type', '[{"type":""}]', /\[0\]\.type/],
    ['a long type', `[{"type":"${'x'.repeat(201)}"}]`, /\[0\]\.type/],
    ['too many', `[${Array(51).fill('{"type":"a"}').join(',')}]`, /at most 50/],
    ['16 KB and a bit', `[{"type":"a","b":"${'x'.repeat(16_384)}"}]`, /at most 16384 bytes/],
    ['16 KB in letters of two bytes', `[{"type":"a","b":"${'ä'.repeat(8_200)}"}]`, /at most 16384 bytes/],
    ['a megabyte', `[{"type":"a","b":"${'x'.repeat(1_048_576)}"}]`, /at most 16384 bytes/],
    ['8,000 lists in one another', '['.repeat(8000) + ']'.repeat(8000), /must be an object/],
    ['nested deeply', `[{"type":"a","b":${'['.repeat(7000)}${']'.repeat(7000)}}]`, /nested at most 8 deep/],
    ['__proto__', '[{"type":"a","__proto__":{"x":1}}]', /\[0\] has a member/],
    ['__proto__ further in', '[{"type":"a","b":[{"__proto__":1}]}]', /\[0\]\.b\[0\] has a member/],
    ['a number beyond all', '[{"type":"a","b":1e999}]', /\[0\]\.b must be a number/],
    ['half a letter', '[{"type":"a","b":"\\ud800"}]', /\[0\]\.b must be valid Unicode/],
    ['half a letter as a name', '[{"type":"a","\\ud800":1}]', /\[0\] has a member/],
  ];
  for (const [what, text, says] of refused) {
    test(`${what} is refused`, () => {
      assert.equal(
        code(() => parseDetails(text)),
        'bad_details',
      );
      assert.throws(() => parseDetails(text), { message: says });
    });
  }

  test('what is good comes as it was sent', () => {
    const details: AuthorizationDetail[] = [
      { type: 'a', b: [1, { c: null }], 'ä ö': '😀' },
      { type: 'https://example.com/b', '@': 1 },
    ];
    assert.deepEqual(parseDetails(JSON.stringify(details)), details);
  });

  test('no message holds what was sent', () => {
    const text = JSON.stringify([{ type: 'a', 'se\ncret{}': { x: Number.MAX_VALUE } }]).replace(
      '1.7976931348623157e+308',
      '1e999',
    );
    assert.throws(() => parseDetails(text), {
      message: 'authorization_details[0].?.x must be a number of reasonable size',
    });
  });

  test('anything gets details or a refusal', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        try {
          for (const each of parseDetails(text)) assert.equal(typeof each.type, 'string');
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'bad_details');
        }
      }),
    );
  });

  test('operation details have the form of the built-in type', () => {
    const bad = (members: Record<string, unknown>, partial = false) =>
      code(() => asOperationDetail({ type: 'operation', ...members }, 'd', { partial }));
    for (const members of [
      {},
      { actions: [] },
      { actions: 'read' },
      { actions: [1] },
      { actions: ['read'], extra: 1 },
      { actions: ['read'], parameters: [] },
      { actions: ['read'], parameters: { id: 'x' } },
      { actions: ['read'], parameters: { id: [] } },
      { actions: ['read'], parameters: { id: [1] } },
    ]) {
      assert.equal(bad(members), 'bad_details');
    }
    assert.equal(bad({ actions: [] }, true), 'bad_details');
    asOperationDetail({ type: 'operation' }, 'd', { partial: true });
    asOperationDetail({ type: 'operation', actions: ['read'], parameters: { id: ['1'] } }, 'd');
  });
});
