/** What a token takes of what mandates limit: exact, and refused where it can't be counted. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { AuthorizationDetail } from '@bailiwick/protocol';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Mandate, MandateLimits } from './mandate.ts';
import { takesOf } from './takes.ts';

const limited = (id: string, limits: MandateLimits) => ({ id, limits }) as Mandate;
const euros = limited('mdt_a', {
  amounts: [{ type: 'payment', amount: '/sum/value', unit: { at: '/sum/unit', is: 'EUR' }, total: 1 }],
});
const pay = (value: unknown, unit: unknown = 'EUR') => ({ type: 'payment', sum: { value, unit } });

const nothing = () => [];

suite('what a token takes of mandates', () => {
  test('a use of each that limits uses, and nothing of one that limits nothing', () => {
    const line = [limited('mdt_a', { uses: 3 }), limited('mdt_b', {}), limited('mdt_c', { uses: 1 })];
    assert.deepEqual(takesOf(line, [], nothing), [
      { mandate: 'mdt_a', counter: 'uses', take: 1 },
      { mandate: 'mdt_c', counter: 'uses', take: 1 },
    ]);
  });

  const counted: [what: string, details: AuthorizationDetail[], take: number | undefined][] = [
    ['a whole amount', [pay(7)], 7_000_000],
    ['decimals', [pay(0.1), pay(0.2)], 300_000],
    ['decimals as text', [pay('1234567.000001')], 1_234_567_000_001],
    ['several details', [pay(1), { type: 'other' }, pay('2.5')], 3_500_000],
    ['none', [pay(0)], undefined],
    ['more than can be counted', [pay('999999999999999')], Number.MAX_SAFE_INTEGER],
  ];
  for (const [what, details, take] of counted) {
    test(`${what}, in millionths`, () => {
      const takes = takesOf([euros], details, nothing);
      assert.deepEqual(takes, take === undefined ? [] : [{ mandate: 'mdt_a', counter: 'amount:0', take }]);
    });
  }

  const refused: [what: string, detail: AuthorizationDetail][] = [
    ['no amount', { type: 'payment' }],
    ['a negative one', pay(-1)],
    ['seven decimals', pay('0.0000001')],
    ['an exponent', pay(1e21)],
    ['a small exponent', pay(1e-7)],
    ['infinity', pay(Number.POSITIVE_INFINITY)],
    ['text that is no number', pay('1,5')],
    ['a blank', pay(' 1')],
    ['a list', pay([1])],
    ['another unit', pay(1, 'USD')],
    ['a unit in other letters', pay(1, 'eur')],
    ['no unit', { type: 'payment', sum: { value: 1 } }],
  ];
  for (const [what, detail] of refused) {
    test(`${what} can’t be counted`, () => {
      assert.throws(
        () => takesOf([euros], [detail], nothing),
        (error) =>
          error instanceof OAuthError && error.code === 'invalid_authorization_details' && /mdt_a/.test(error.message),
      );
    });
  }

  test('an inherited member is none, and a pointer may be escaped', () => {
    const by = (amount: string) => [limited('mdt_a', { amounts: [{ type: 'payment', amount, total: 1 }] })];
    assert.throws(() => takesOf(by('/constructor/length'), [pay(1)], nothing), OAuthError);
    assert.equal(takesOf(by('/a~1b~0'), [{ type: 'payment', 'a/b~': 2 }], nothing)[0]?.take, 2_000_000);
  });

  test('what spends without saying how much can’t be counted, where its type is', () => {
    const operation = { type: 'operation', actions: ['pay'] };
    const payment = () => ['payment'];
    assert.throws(() => takesOf([euros], [operation], payment), /names an operation that takes payment/);
    assert.deepEqual(
      takesOf([euros, limited('mdt_b', {})], [operation], () => ['other']),
      [],
    );
    assert.deepEqual(takesOf([limited('mdt_b', { uses: 1 })], [operation], payment).length, 1);
  });
});
