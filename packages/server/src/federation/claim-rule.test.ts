import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { claimsFit, fitsGlob } from './claim-rule.ts';

/** What a pattern means, said as a regular expression. */
const expected = (pattern: string, text: string): boolean =>
  new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*')}$`, 's').test(text);

describe('claims and rules', () => {
  test('a glob means what it says, for every short pattern and text', () => {
    const words = (letters: string[], length: number): string[] =>
      length === 0 ? [''] : words(letters, length - 1).flatMap((word) => [word, ...letters.map((one) => word + one)]);
    const patterns = new Set(words(['a', '*', '/'], 5));
    const texts = new Set(words(['a', 'b', '/'], 4));
    for (const pattern of patterns) {
      for (const text of texts) {
        assert.equal(fitsGlob(pattern, text), expected(pattern, text), `${pattern} and ${text}`);
      }
    }
  });

  test('pieces don’t share letters', () => {
    assert.equal(fitsGlob('ab*ba', 'aba'), false);
    assert.equal(fitsGlob('a*a*a', 'aa'), false);
    assert.equal(fitsGlob('.*', 'x'), false);
  });

  test('nobody makes it slow', () => {
    const began = process.cpuUsage();
    assert.equal(fitsGlob('a*'.repeat(300), `${'a'.repeat(15_000)}b/`), false);
    assert.equal(fitsGlob(`${'*a'.repeat(300)}b`, 'a'.repeat(15_000)), false);
    assert.ok(process.cpuUsage(began).user < 1_000_000);
  });

  test('all claims have to fit, exactly as they are', () => {
    const claims = { text: 'one', list: ['x', 'a/b'], yes: true, number: 1, nothing: null, object: { a: 1 } };
    for (const [rules, fits] of [
      [{}, true],
      [{ text: { exact: 'one' }, yes: { exact: true }, number: { exact: 1 } }, true],
      [{ list: { glob: 'a/*' } }, true],
      [{ list: { prefix: 'a/' } }, true],
      [{ list: { exact: 'x' }, text: { prefix: 'on' } }, true],
      [{ text: { exact: 'One' } }, false],
      [{ yes: { exact: 'true' } }, false],
      [{ number: { exact: '1' } }, false],
      [{ number: { prefix: '1' } }, false],
      [{ missing: { glob: '*' } }, false],
      [{ nothing: { glob: '*' } }, false],
      [{ object: { glob: '*' } }, false],
      [{ constructor: { glob: '*' } }, false],
      [{ text: { exact: 'one' }, list: { exact: 'y' } }, false],
    ] as const) {
      assert.equal(claimsFit(rules, claims), fits, JSON.stringify(rules));
    }
  });
});
