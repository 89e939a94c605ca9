import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson } from './index.ts';
import { code } from './testing.ts';

suite('canonical JSON', () => {
  test('the sample of RFC 8785 §3.2.2', () => {
    const sample = String.raw`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`;
    const expected = String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`;
    assert.equal(canonicalJson(JSON.parse(sample)), expected);
  });

  test('the order of RFC 8785 §3.2.3', () => {
    const sample = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 };
    const values = Object.values(
      JSON.parse(
        `[${canonicalJson(sample)
          .replace(/[^0-9:,]|\d(?=")/g, '')
          .match(/\d/g)}]`,
      ),
    );
    assert.deepEqual(values, [2, 4, 6, 7, 1, 5, 3]);
  });

  const numbers: [hex: string, text: string][] = [
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['8000000000000001', '-5e-324'],
    ['7fefffffffffffff', '1.7976931348623157e+308'],
    ['4340000000000000', '9007199254740992'],
    ['c340000000000000', '-9007199254740992'],
    ['4430000000000000', '295147905179352830000'],
    ['44b52d02c7e14af5', '9.999999999999997e+22'],
    ['44b52d02c7e14af6', '1e+23'],
    ['44b52d02c7e14af7', '1.0000000000000001e+23'],
    ['444b1ae4d6e2ef4e', '999999999999999700000'],
    ['444b1ae4d6e2ef4f', '999999999999999900000'],
    ['444b1ae4d6e2ef50', '1e+21'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['41b3de4355555553', '333333333.3333332'],
    ['41b3de4355555557', '333333333.33333343'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
    ['43143ff3c1cb0959', '1424953923781206.2'],
  ];
  for (const [hex, text] of numbers) {
    test(`RFC 8785 appendix B: ${hex} is ${text}`, () => {
      assert.equal(canonicalJson(Buffer.from(hex, 'hex').readDoubleBE()), text);
    });
  }

  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  const refused: [name: string, value: unknown][] = [
    ['NaN', Number.NaN],
    ['infinity', [Number.POSITIVE_INFINITY]],
    ['a bigint', 1n],
    ['undefined', undefined],
    ['undefined in a list', [undefined]],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a lone surrogate', 'a\ud800'],
    ['a lone surrogate in a name', { '\udc00': 1 }],
    ['a date', new Date(0)],
    ['a map', new Map()],
    ['bytes', new Uint8Array(2)],
    ['200 levels', deep(200)],
    ['a cycle', cycle],
  ];
  for (const [name, value] of refused) {
    test(`refuses ${name}`, () =>
      assert.equal(
        code(() => canonicalJson(value)),
        'not_canonical',
      ));
  }

  test('members that are undefined are left out', () =>
    assert.equal(canonicalJson({ b: undefined, a: 1, c: 2 }), '{"a":1,"c":2}'));

  test('__proto__ is a name like any other', () => {
    assert.equal(canonicalJson(JSON.parse('{"b":1,"__proto__":{"a":2}}')), '{"__proto__":{"a":2},"b":1}');
  });

  test('property: reads back as the same value, twice is once, and order of members does not matter', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        const json = canonicalJson(value);
        assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify(value)));
        assert.equal(canonicalJson(JSON.parse(json)), json);
        assert.equal(canonicalJson(reversed(value)), json);
      }),
    );
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, member]) => [name, reversed(member)]),
  );
}
