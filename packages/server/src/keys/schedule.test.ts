import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { longestTokenMs, schedule } from './schedule.ts';

const minute = 60_000;
const skew = 30_000;

test('the first key signs at once, and for ever while there is no other', () => {
  for (const now of [0, minute, 365 * 24 * 60 * minute]) {
    assert.equal(schedule([{ kid: 'a', signsFrom: 0 }], now, skew)[0]?.state, 'signing');
  }
});

test('a successor is published, signs, and its predecessor goes when its last token has died', () => {
  const keys = [
    { kid: 'a', signsFrom: 0 },
    { kid: 'b', signsFrom: 10 * minute },
  ];
  const at = (now: number) => schedule(keys, now, skew).map(({ state }) => state);
  assert.deepEqual(at(minute), ['signing', 'published']);
  assert.deepEqual(at(10 * minute - 1), ['signing', 'published']);
  assert.deepEqual(at(10 * minute), ['retiring', 'signing']);
  assert.deepEqual(at(10 * minute + longestTokenMs + skew - 1), ['retiring', 'signing']);
  assert.deepEqual(at(10 * minute + longestTokenMs + skew), ['gone', 'signing']);
});

test('property: at every moment exactly one key signs, and whatever signed within a token’s life is published', () => {
  const gaps = fc.array(fc.integer({ min: 1, max: 40 * minute }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(
      gaps,
      fc.integer({ min: 0, max: 200 * minute }),
      fc.integer({ min: 0, max: longestTokenMs }),
      (each, now, age) => {
        const begins = [0];
        for (const gap of each.slice(1)) begins.push((begins.at(-1) as number) + gap);
        const keys = begins.map((signsFrom, i) => ({ kid: String(i), signsFrom }));
        const signing = (time: number) => schedule(keys, time, skew).filter(({ state }) => state === 'signing');
        assert.equal(signing(now).length, 1);
        const signedThen = signing(now)[0]?.kid;
        const later = schedule(keys, now + age, skew).find(({ kid }) => kid === signedThen);
        assert.notEqual(later?.state, 'gone');
      },
    ),
  );
});
