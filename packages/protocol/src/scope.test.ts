import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { formatScope, intersect, isSubset, parseScope, union } from './index.ts';
import { code } from './testing.ts';

suite('scope', () => {
  test('is a list of distinct tokens in their order', () => {
    assert.deepEqual(parseScope('b a b tickets:read'), ['b', 'a', 'tickets:read']);
    assert.equal(formatScope(['b', 'a', 'b']), 'b a');
    assert.equal(formatScope([]), '');
  });

  for (const bad of [
    '',
    ' ',
    'a ',
    ' a',
    'a  b',
    'a\tb',
    'a\nb',
    'a"b',
    'a\\b',
    'ä',
    'a\u007f',
    'a\0',
    'x'.repeat(8193),
  ]) {
    test(`refuses ${JSON.stringify(bad.slice(0, 12))}`, () =>
      assert.equal(
        code(() => parseScope(bad)),
        'invalid_scope',
      ));
  }

  test('refuses to write what it could not read', () => {
    for (const bad of ['', 'a b', 'a"'])
      assert.equal(
        code(() => formatScope([bad])),
        'invalid_scope',
      );
  });

  const token = fc.stringMatching(/^[!#-[\]-~]{1,12}$/);
  const scopes = fc.uniqueArray(token, { maxLength: 8 });

  test('property: what is written reads back', () => {
    fc.assert(
      fc.property(fc.uniqueArray(token, { minLength: 1 }), (list) =>
        assert.deepEqual(parseScope(formatScope(list)), list),
      ),
    );
  });

  test('property: intersection is in both, union holds both, and subset agrees with them', () => {
    fc.assert(
      fc.property(scopes, scopes, (a, b) => {
        const both = intersect(a, b);
        assert.ok(isSubset(both, a) && isSubset(both, b));
        assert.ok(isSubset(a, union(a, b)) && isSubset(b, union(a, b)));
        assert.equal(isSubset(a, b), both.length === a.length);
        assert.deepEqual(new Set(both), new Set(intersect(b, a)));
        assert.equal(union(a, b).length, a.length + b.length - both.length);
      }),
    );
  });
});
