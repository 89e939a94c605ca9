import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { type AuthorizationDetail, areWithin, type CompareRule, type DetailsType, isWithin } from './index.ts';

const transfer: DetailsType = {
  type: 'transfer',
  description: 'Move money',
  schema: {},
  compare: { amount: 'at_most', priority: 'at_least', actions: 'subset', folder: 'prefix', account: 'equal' },
};
const types = [transfer, { ...transfer, type: 'other', compare: {} }];

const detail = (members: Record<string, unknown>, type = 'transfer'): AuthorizationDetail => ({ type, ...members });

suite('one detail within another', () => {
  const cases: [what: string, narrower: Record<string, unknown>, wider: Record<string, unknown>, is: boolean][] = [
    ['anything within the bare type', { account: 'a', amount: 5 }, {}, true],
    ['a member that the wider one has and it lacks', {}, { account: 'a' }, false],
    ['the same account', { account: 'a' }, { account: 'a' }, true],
    ['another account', { account: 'b' }, { account: 'a' }, false],
    ['a number that looks like the text', { account: 1 }, { account: '1' }, false],
    ['less money', { amount: 5 }, { amount: 10 }, true],
    ['as much money', { amount: 10 }, { amount: 10 }, true],
    ['more money', { amount: 10.01 }, { amount: 10 }, false],
    ['money as text', { amount: '5' }, { amount: 10 }, false],
    ['money within a bound that is text', { amount: 5 }, { amount: '10' }, false],
    ['no number', { amount: Number.NaN }, { amount: 10 }, false],
    ['nothing at all', { amount: null }, { amount: 10 }, false],
    ['less than everything', { amount: Number.NEGATIVE_INFINITY }, { amount: 10 }, false],
    ['zero, written in two ways', { amount: -0 }, { amount: 0 }, true],
    ['a greater one where the least is bounded', { priority: 5 }, { priority: 3 }, true],
    ['a smaller one where the least is bounded', { priority: 2 }, { priority: 3 }, false],
    ['fewer actions', { actions: ['read'] }, { actions: ['write', 'read'] }, true],
    ['the same actions in another order', { actions: ['read', 'write'] }, { actions: ['write', 'read'] }, true],
    ['an action more', { actions: ['read', 'admin'] }, { actions: ['write', 'read'] }, false],
    ['a text instead of a list', { actions: 'read' }, { actions: ['read'] }, false],
    ['a list that is like one', { actions: { 0: 'read', length: 1 } }, { actions: ['read'] }, false],
    ['objects in a list', { actions: [{ a: 1, b: 2 }] }, { actions: [{ b: 2, a: 1 }, 'x'] }, true],
    ['no object of the list', { actions: [{ a: 1 }] }, { actions: [{ b: 2, a: 1 }, 'x'] }, false],
    ['no number in a list', { actions: [Number.NaN] }, { actions: [Number.NaN, 1] }, false],
    ['a folder below', { folder: '/a/b/c' }, { folder: '/a/b' }, true],
    ['a folder below one that ends in a slash', { folder: '/a/b/c' }, { folder: '/a/b/' }, true],
    ['the folder itself, with a slash', { folder: '/a/b/' }, { folder: '/a/b' }, true],
    ['the folder above', { folder: '/a' }, { folder: '/a/b' }, false],
    ['a folder whose name begins alike', { folder: '/a/bc' }, { folder: '/a/b' }, false],
    ['a way out', { folder: '/a/b/../c' }, { folder: '/a/b' }, false],
    ['a way out at the end', { folder: '/a/b/..' }, { folder: '/a/b' }, false],
    ['a way out with a parameter', { folder: '/a/b/..;x/c' }, { folder: '/a/b' }, false],
    ['a way out, encoded', { folder: '/a/b/%2e%2E/c' }, { folder: '/a/b' }, false],
    ['a slash, encoded', { folder: '/a/b/x%2f..%2f..' }, { folder: '/a/b' }, false],
    ['encoded twice', { folder: '/a/b/%252e%252e/c' }, { folder: '/a/b' }, false],
    ['a backslash', { folder: '/a/b/..\\c' }, { folder: '/a/b' }, false],
    ['a NUL', { folder: '/a/b/c\0' }, { folder: '/a/b' }, false],
    ['an empty segment', { folder: '/a/b//c' }, { folder: '/a/b' }, false],
    ['another host', { folder: 'https://evil' }, { folder: 'https:' }, false],
    ['a folder that is a list', { folder: ['/a/b/c'] }, { folder: '/a/b' }, false],
    ['the same object', { unnamed: { a: [1, { b: null }] } }, { unnamed: { a: [1, { b: null }] } }, true],
    ['an object with a member more', { unnamed: { a: 1, b: 2 } }, { unnamed: { a: 1 } }, false],
    ['an inherited member', Object.create({ account: 'a' }), { account: 'a' }, false],
    ['an own __proto__', JSON.parse('{"__proto__":1}'), JSON.parse('{"__proto__":2}'), false],
    ['a member named as what objects inherit', { toString: 'x' }, { toString: 'y' }, false],
  ];
  for (const [what, narrower, wider, is] of cases) {
    test(`${what}: ${is ? 'within' : 'not within'}`, () => {
      assert.equal(isWithin(types, detail(narrower), detail(wider)), is);
    });
  }

  test('another type, and one that nobody registered, are within nothing', () => {
    assert.equal(isWithin(types, detail({}, 'other'), detail({})), false);
    assert.equal(isWithin(types, detail({}, 'unknown'), detail({}, 'unknown')), false);
    assert.equal(isWithin(types, {} as AuthorizationDetail, {} as AuthorizationDetail), false);
    assert.equal(isWithin([], detail({}), detail({})), false);
    assert.equal(
      isWithin([{ type: 'constructor', compare: {} }], detail({}, 'constructor'), detail({}, 'constructor')),
      true,
    );
  });

  test('a rule that this version does not know is taken as the strictest', () => {
    const newer = [{ type: 'transfer', compare: { amount: 'within_days' as CompareRule } }];
    assert.equal(isWithin(newer, detail({ amount: 5 }), detail({ amount: 10 })), false);
    assert.equal(isWithin(newer, detail({ amount: 5 }), detail({ amount: 5 })), true);
  });

  test('operations: the built-in type compares names and values', () => {
    const operation = (members: Record<string, unknown>) => detail(members, 'operation');
    const wide = operation({ actions: ['read', 'close'], parameters: { id: ['1', '2'] } });
    assert.equal(isWithin([], operation({ actions: ['read'], parameters: { id: ['2'] } }), wide), true);
    assert.equal(isWithin([], operation({ actions: ['read'], parameters: { id: ['2'], x: ['y'] } }), wide), true);
    assert.equal(isWithin([], operation({ actions: ['read'], parameters: { id: ['3'] } }), wide), false);
    assert.equal(isWithin([], operation({ actions: ['read'] }), wide), false);
    assert.equal(isWithin([], operation({ actions: ['delete'], parameters: { id: ['2'] } }), wide), false);
    assert.equal(isWithin([], operation({ actions: ['read'], extra: 1 }), operation({ extra: 2 })), false);
    assert.equal(isWithin([], operation({ actions: ['read'] }), operation({})), true);
    const own = [{ type: 'operation', compare: { actions: 'prefix' as const } }];
    assert.equal(isWithin(own, operation({ actions: 'a/b' }), operation({ actions: 'a' })), false);
  });

  test('lists: each is within one of the others', () => {
    const wide = [detail({ account: 'a' }), detail({ account: 'b', amount: 5 })];
    assert.equal(areWithin(types, [detail({ account: 'b', amount: 1 }), detail({ account: 'a' })], wide), true);
    assert.equal(areWithin(types, [detail({ account: 'b', amount: 6 }), detail({ account: 'a' })], wide), false);
    assert.equal(areWithin(types, [], []), true);
    assert.equal(areWithin(types, [detail({})], []), false);
  });
});

const members = ['account', 'amount', 'priority', 'actions', 'folder', 'unnamed'] as const;
const small = fc.oneof(
  fc.constantFrom<unknown>(
    'a',
    'b',
    'a/b',
    'a/b/',
    '/',
    '',
    'a/../b',
    null,
    true,
    -0,
    0,
    1,
    2.5,
    [],
    ['a'],
    ['a', 'b'],
    [['a']],
  ),
  fc.jsonValue({ maxDepth: 2 }),
);
const generated = fc
  .dictionary(fc.constantFrom(...members, '__proto__', 'constructor'), small, { maxKeys: 4, noNullPrototype: true })
  .map((value) => detail(value));
/** A detail with another that says less, or as much, or something else: near enough that both answers come up. */
const near = fc.tuple(generated, fc.array(fc.tuple(fc.constantFrom(...members), small), { maxLength: 2 }));

suite('the order of details', () => {
  test('is reflexive', () => {
    fc.assert(fc.property(generated, (one) => isWithin(types, one, structuredClone(one))));
  });

  test('is transitive', () => {
    let held = 0;
    fc.assert(
      fc.property(near, near, ([c, more], [, evenMore]) => {
        const b = { ...c, ...Object.fromEntries(more) };
        const a = { ...b, ...Object.fromEntries(evenMore) };
        if (!isWithin(types, a, b) || !isWithin(types, b, c)) return;
        held += 1;
        assert.ok(isWithin(types, a, c));
      }),
      { numRuns: 3000 },
    );
    assert.ok(held > 100, `only ${held} chains were looked at`);
  });

  test('is transitive for paths', () => {
    const path = fc
      .array(fc.constantFrom('a', 'b', '..', '.', '', 'ab'), { maxLength: 5 })
      .map((parts) => parts.join('/'));
    fc.assert(
      fc.property(path, path, path, (c, b, a) => {
        const [wide, middle, narrow] = [c, c + b, c + b + a].map((folder) => detail({ folder }));
        if (!wide || !middle || !narrow) return;
        if (isWithin(types, narrow, middle) && isWithin(types, middle, wide)) assert.ok(isWithin(types, narrow, wide));
      }),
      { numRuns: 3000 },
    );
  });

  test('a member more only narrows, and a bound more only widens', () => {
    fc.assert(
      fc.property(near, generated, fc.constantFrom(...members), small, ([wide, more], other, member, value) => {
        const narrow = { ...wide, ...Object.fromEntries(more) };
        if (!Object.hasOwn(wide, member)) {
          const bounded = { ...wide, [member]: value };
          assert.ok(isWithin(types, bounded, wide));
          if (isWithin(types, narrow, bounded)) assert.ok(isWithin(types, narrow, wide));
        }
        if (areWithin(types, [narrow], [wide])) assert.ok(areWithin(types, [narrow], [other, wide]));
      }),
    );
  });

  test('never holds between types', () => {
    fc.assert(fc.property(generated, (one) => !isWithin(types, { ...one, type: 'other' }, one)));
  });

  test('hostile values get an answer, and soon', () => {
    const throwing = Object.defineProperty(detail({}), 'account', {
      enumerable: true,
      get() {
        throw new Error('no');
      },
    });
    const circular: Record<string, unknown> = {};
    for (const name of 'abcdef') circular[name] = circular;
    const again: Record<string, unknown> = {};
    for (const name of 'abcdef') again[name] = again;
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    const many = Array.from({ length: 8000 }, (_, i) => i);
    const objects = many.map((i) => ({ i }));
    const hostile: [AuthorizationDetail, AuthorizationDetail, boolean][] = [
      [throwing, detail({ account: 'a' }), false],
      [detail({ account: 'a' }), throwing, false],
      [detail({ unnamed: circular }), detail({ unnamed: again }), false],
      [detail({ unnamed: deep }), detail({ unnamed: [deep] }), false],
      [detail({ actions: many }), detail({ actions: [...many].reverse() }), true],
      [detail({ actions: objects }), detail({ actions: [...objects.map((each) => ({ ...each }))].reverse() }), false],
      [detail({ actions: 10n }), detail({ actions: Symbol('x') }), false],
      [null as unknown as AuthorizationDetail, detail({}), false],
      [detail({}), undefined as unknown as AuthorizationDetail, false],
      [
        new Proxy(detail({}), {
          get: () => {
            throw new Error('no');
          },
        }),
        detail({}),
        false,
      ],
    ];
    const before = process.cpuUsage().user;
    for (const [narrower, wider, is] of hostile) assert.equal(isWithin(types, narrower, wider), is);
    assert.ok(process.cpuUsage().user - before < 1_000_000);
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withSparseArray: true, withDate: true, withMap: true }),
        fc.anything(),
        (a, b) => {
          assert.equal(
            typeof isWithin(types, detail({ unnamed: a, actions: b }), detail({ unnamed: b, actions: a })),
            'boolean',
          );
          assert.equal(typeof isWithin(types, a as AuthorizationDetail, b as AuthorizationDetail), 'boolean');
        },
      ),
    );
  });
});
