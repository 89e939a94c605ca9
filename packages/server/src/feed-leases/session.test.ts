import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { append, entriesAfter, FeedHole, messagesOf, newFollowed } from './followed.ts';
import {
  heldUntil,
  newSession,
  newSessionId,
  noteLease,
  readSessionId,
  report,
  safeUpTo,
  takeCount,
} from './session.ts';

const session = () =>
  newSession({
    guard: 'grd_1',
    openedAt: 0,
    rev: 0,
    tags: [],
    id: 'x',
    key: Buffer.alloc(32),
    agent: 'agt_1',
    resource: 'res_1',
  });

describe('a session', () => {
  test('takes each count once, in whatever order it comes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 80 }), (counts) => {
        const one = session();
        const taken = counts.filter((count) => takeCount(one, count));
        assert.equal(new Set(taken).size, taken.length);
      }),
    );
    const one = session();
    assert.deepEqual(
      [5, 3, 4, 3, 36, 5, 4, 6].map((count) => takeCount(one, count)),
      [true, true, true, false, true, false, false, true],
    );
  });

  test('is never said to be safe while it can accept: what is noted of leases says at least what all of them say', () => {
    const step = fc.oneof(
      fc.record({ grant: fc.nat(3), lease: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ apply: fc.nat(3) }),
      fc.record({ wait: fc.integer({ min: 1, max: 20 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const one = session();
        const all: { rev: number; end: number }[] = [];
        let [now, head] = [0, 0];
        for (const each of steps) {
          if ('grant' in each) {
            head += each.grant;
            noteLease(one, head, now, now + each.lease);
            all.push({ rev: head, end: now + each.lease });
          } else if ('apply' in each) report(one, Math.min(head, one.applied + each.apply), now);
          else now += each.wait;
          for (let rev = 1; rev <= head + 1; rev++) {
            // a lease lets its holder accept what was revoked after it was given, and isn't applied
            const accepting = all.filter((lease) => lease.rev < rev && one.applied < rev && lease.end > now);
            if (accepting.length === 0) continue;
            assert.ok(safeUpTo(one, now) < rev, 'it is waited for');
            assert.ok(
              heldUntil(one, rev) >= Math.max(...accepting.map(({ end }) => end)),
              'for as long as it can accept',
            );
          }
          if (all.every(({ end }) => end <= now)) assert.equal(safeUpTo(one, now), Number.POSITIVE_INFINITY);
        }
      }),
    );
  });

  test('is no name that somebody made up', () => {
    const secret = Buffer.alloc(32, 1);
    const said = { guard: `grd_${'0'.repeat(26)}`, openedAt: 1, rev: 10, tags: ['abcdefgh', 'abcdefgh'] };
    const name = newSessionId({ bytes: (size) => Buffer.alloc(size) }, secret, said);
    assert.deepEqual(readSessionId(secret, name), said);
    for (const id of [
      '',
      'a.b.c.d.e',
      'grd_0.1.1..AAAAAAAAAAAAAAAA',
      `grd_${'0'.repeat(26)}.1.1.abc.${'A'.repeat(32)}`,
      `grd_${'0'.repeat(26)}.1.a.${'abcdefgh'.repeat(2)}.${'A'.repeat(32)}`,
      name.replace('.1.', '.2.'),
      `${name.slice(0, -1)}${name.endsWith('A') ? 'B' : 'A'}`,
      name.slice(0, -16),
    ]) {
      assert.equal(readSessionId(secret, id), undefined, id);
    }
    assert.equal(readSessionId(Buffer.alloc(32, 2), name), undefined, 'of another deployment');
  });
});

describe('a chain', () => {
  const row = (rev: number, prev: number, until = 10_000) => ({ rev, prev, tag: `tag${rev}`, until });
  const terms = { lease_seconds: 2, when_lost: 'introspect' } as const;
  const from = { resource: 'res_1', after: null, head: 9, tidied: 0, whole: true, now: 0 };

  test('grows by what follows, and by nothing else', () => {
    const followed = newFollowed('res_1', terms, 3);
    assert.equal(append(followed, row(7, 3)), true);
    assert.equal(append(followed, row(7, 3)), false, 'what is known is passed over');
    assert.throws(() => append(followed, row(12, 9)), FeedHole);
    assert.equal(append(followed, row(9, 7, 100)), true);
    const numbers = (after: number, now = 0) => entriesAfter(followed, after, now)?.map(([rev]) => rev);
    assert.deepEqual([numbers(3), numbers(7), numbers(9)], [[7, 9], [9], []]);
    const dayMs = 24 * 60 * 60_000;
    assert.deepEqual(numbers(3, 100 + dayMs), [7], 'what expired long ago is left out');
    assert.deepEqual(numbers(3, dayMs), [7, 9], 'by a clock that may be wrong');
    assert.deepEqual(
      [numbers(2), numbers(5), numbers(8)],
      [undefined, undefined, undefined],
      'no number of this chain',
    );
  });

  test('keeps as much as a message holds', () => {
    const followed = newFollowed('res_1', terms, 0);
    for (let rev = 1; rev <= 5_000; rev++) append(followed, row(rev, rev - 1));
    assert.ok(followed.entries.length <= 2_000);
    assert.equal(entriesAfter(followed, followed.base, 0)?.length, followed.entries.length);
    assert.equal(entriesAfter(followed, followed.base - 1, 0), undefined);
  });

  const holes: [what: string, rows: ReturnType<typeof row>[], more: object][] = [
    ['a row in between', [row(4, 0), row(9, 7)], {}],
    ['the first row', [row(9, 4)], {}],
    ['the last row', [row(4, 0)], {}],
    ['all rows', [], {}],
    ['the first row after the guard’s number', [row(7, 5), row(9, 7)], { after: 3 }],
    ['more than was tidied', [row(9, 7)], { tidied: 5 }],
    ['all rows but what was tidied', [], { tidied: 5 }],
  ];
  for (const [what, rows, more] of holes) {
    test(`without ${what} is an error`, () => assert.throws(() => messagesOf(rows, { ...from, ...more }), FeedHole));
  }

  test('is told whole, from the guard’s number, and without what was tidied', () => {
    const told = (rows: ReturnType<typeof row>[], more = {}) =>
      messagesOf(rows, { ...from, ...more }).map(({ after, rev, floor, entries }) => [
        after,
        rev,
        floor,
        entries.length,
      ]);
    assert.deepEqual(told([row(4, 0), row(9, 4)]), [[null, 9, undefined, 2]]);
    assert.deepEqual(told([row(9, 4)], { after: 4 }), [[4, 9, undefined, 1]]);
    assert.deepEqual(told([row(9, 7)], { tidied: 7 }), [[null, 9, undefined, 1]]);
    assert.deepEqual(told([row(9, 7)], { tidied: 7, after: 2 }), [[2, 9, undefined, 1]]);
    assert.deepEqual(told([], { tidied: 9 }), [[null, 9, undefined, 0]]);
    assert.deepEqual(told([row(9, 7)], { whole: false }), [[null, 9, 7, 1]], 'what was too much has a floor');
    assert.deepEqual(told([row(9, 7)], { whole: false, after: 2 }), [[null, 9, 7, 1]], 'and begins anew');
    const many = Array.from({ length: 4_500 }, (_, i) => row(i + 1, i));
    assert.deepEqual(told(many, { head: 4_500 }), [
      [null, 2_000, undefined, 2_000],
      [2_000, 4_000, undefined, 2_000],
      [4_000, 4_500, undefined, 500],
    ]);
  });
});
