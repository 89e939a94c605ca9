/** What a guard knows: whatever comes in whatever order, nothing that was revoked is alive. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FeedEntry, FeedMessage } from '@bailiwick/protocol';
import fc from 'fast-check';
import { type FeedView, feedView } from './view.ts';

const nonce = 'mine';
const lease = { nonces: [nonce], lease: 2000 };
const message = (after: number | null, rev: number, entries: FeedEntry[] = [], more: Partial<FeedMessage> = {}) =>
  ({ iss: 'i', aud: 'r', iat: 1000, after, rev, entries, ...more }) satisfies FeedMessage;

/** At number 5: `a` was revoked as 3, `b` as 5. */
function known(capacity = 100): FeedView {
  const view = feedView(capacity);
  const entries: FeedEntry[] = [
    [3, 'a', 2000],
    [5, 'b', 2000],
  ];
  assert.equal(view.answer([message(null, 5, entries, lease)], nonce, 0), undefined);
  return view;
}

test('a token is dead if something of it was revoked under a greater number than its own', () => {
  const view = known();
  assert.equal(view.check(['x', 'a'], 2), 'ended');
  assert.equal(view.check(['x', 'a'], 3), 'alive', 'it was planned after that');
  assert.equal(view.check(['x', 'b'], 4), 'ended');
  assert.equal(view.check(['x'], 0), 'alive');
});

for (const [what, given, outcome, rev] of [
  ['what follows', message(5, 7, [[7, 'c', 2000]]), 'applied', 7],
  [
    'what overlaps',
    message(3, 7, [
      [5, 'b', 2000],
      [7, 'c', 2000],
    ]),
    'applied',
    7,
  ],
  ['what was told before', message(3, 5, [[5, 'b', 2000]]), 'known', 5],
  ['what was told long before', message(0, 3, [[3, 'a', 2000]]), 'known', 5],
  ['what leaves something out', message(6, 7, [[7, 'c', 2000]]), 'gap', 5],
  ['what begins anew, and isn’t asked for', message(null, 9, []), 'anew', 5],
] as [string, FeedMessage, string, number][]) {
  test(`a stream brings ${what}: ${outcome}`, () => {
    const view = known();
    assert.equal(view.follow(given, 0), outcome);
    assert.equal(view.rev, rev);
    assert.equal(view.check(['b'], 4), 'ended', 'nothing is forgotten');
    assert.equal(view.check(['c'], 6), rev === 7 ? 'ended' : 'alive');
  });
}

test('what nothing is known of yet follows nothing', () => {
  assert.equal(feedView(10).follow(message(0, 1, [[1, 'a', 2000]]), 0), 'gap');
});

for (const [what, messages] of [
  ['nothing', []],
  ['no nonce', [message(5, 7)]],
  ['somebody else’s nonce', [message(5, 7, [], { nonces: ['yours'], lease: 2000 })]],
  ['no lease', [message(5, 7, [], { nonces: [nonce] })]],
  ['something left out before it', [message(6, 7, [], lease)]],
  ['something left out within', [message(5, 6, [], { more: true }), message(7, 8, [], lease)]],
  ['two parts the other way around', [message(6, 8, [], { more: true }), message(5, 6, [], lease)]],
  ['more to come that isn’t there', [message(5, 7, [], { ...lease, more: true })]],
  ['a part that says nothing of more', [message(5, 6), message(6, 7, [], lease)]],
  ['a second beginning within', [message(5, 6, [], { more: true }), message(null, 8, [], lease)]],
  ['its end cut off', [message(null, 6, [], { more: true })]],
] as [string, FeedMessage[]][]) {
  test(`an answer with ${what} changes nothing`, () => {
    const view = known();
    const { version } = view;
    assert.match(view.answer(messages, nonce, 0) ?? '', /./);
    assert.deepEqual([view.rev, view.version, view.check(['b'], 4)], [5, version, 'ended']);
  });
}

test('an answer that begins anew replaces everything, in however many parts', () => {
  const view = known();
  const parts = [
    message(null, 8, [[8, 'c', 2000]], { floor: 4, more: true }),
    message(8, 9, [[9, 'd', 2000]], { more: true }),
    message(9, 9, [], lease),
  ];
  assert.equal(view.answer(parts, nonce, 0), undefined);
  assert.deepEqual([view.rev, view.floor, view.size], [9, 4, 2]);
  assert.deepEqual([view.check(['d'], 8), view.check(['a'], 4), view.check(['a'], 3)], ['ended', 'alive', 'unknown']);
});

test('an answer without news says that everything is known', () => {
  const view = known();
  const { version } = view;
  assert.equal(view.answer([message(5, 5, [], lease)], nonce, 0), undefined);
  assert.equal(view.version, version, 'and what was checked needn’t be checked again');
  assert.equal(view.answer([message(2, 4, [[3, 'a', 2000]], lease)], nonce, 0), undefined, 'overtaken by the stream');
  assert.equal(view.rev, 5);
});

test('beyond the bound the oldest are forgotten, and tokens of before have to be asked about', () => {
  const view = feedView(3);
  const entries = Array.from({ length: 5 }, (_, index): FeedEntry => [index + 1, `t${index + 1}`, 2000]);
  view.answer([message(null, 5, entries, lease)], nonce, 0);
  assert.deepEqual([view.size, view.floor], [3, 2]);
  assert.equal(view.check(['t1'], 0), 'unknown');
  assert.equal(view.check(['t9'], 1), 'unknown');
  assert.equal(view.check(['t1'], 2), 'alive', 'number 1 was before it');
  assert.equal(view.check(['t3'], 0), 'ended', 'what is known is known');
  view.follow(message(5, 6, [[6, 't3', 2000]]), 0);
  view.follow(message(6, 7, [[7, 't7', 2000]]), 0);
  assert.equal(view.check(['t3'], 5), 'ended', 'revoked again, it is among the newest');
  assert.deepEqual([view.size, view.floor], [3, 4]);
});

for (const [what, now, at, size] of [
  ['both clocks say so', 2000_000, 1000_000, 1],
  ['the wall clock alone was set forward', 9000_000, 10_000, 3],
  ['the wall clock was set back', 0, 1000_000, 3],
] as const) {
  test(`what has expired is forgotten when ${what}: ${size} left`, () => {
    const view = known();
    view.follow(message(5, 6, [[6, 'c', 5000]]), 0);
    view.forget(now, at);
    view.forget(now, at);
    assert.equal(view.size, size);
    assert.equal(view.check(['c'], 5), 'ended');
  });
}

/** The truth: numbers in order, each with a tag. */
const history = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { minLength: 1, maxLength: 30 });
/** What happens: the stream brings some part of the truth, or an answer does, whole or spoilt. */
const step = fc.record({
  kind: fc.constantFrom('stream', 'stream', 'anew', 'answer', 'replay', 'truncated', 'swapped'),
  from: fc.nat(30),
  to: fc.nat(30),
  parts: fc.integer({ min: 1, max: 3 }),
});

test('in whatever order messages come, twice, not at all, in parts, replayed or cut off: what is known is the truth up to its number', () => {
  fc.assert(
    fc.property(history, fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 8 }), (tags, steps, capacity) => {
      const truth = tags.map((tag, index): FeedEntry => [index + 1, tag, 2000]);
      const between = (after: number, rev: number) => truth.filter(([number]) => number > after && number <= rev);
      const view = feedView(capacity);
      const sent: FeedMessage[][] = [];
      let asked = 0;
      for (const { kind, from, to, parts } of steps) {
        const low = Math.min(from, to, truth.length);
        const high = Math.min(Math.max(from, to), truth.length);
        const before = view.rev;
        if (kind === 'stream') view.follow(message(low, high, between(low, high)), 0);
        else if (kind === 'anew') view.follow(message(null, high, between(0, high)), 0);
        else {
          const own = `n${++asked}`;
          const start = kind === 'answer' && low % 2 === 0 ? null : low;
          const floor = start === null && low > 0 ? low : undefined;
          const answer = chain(start, floor, high, parts, own, between);
          sent.push(answer);
          const given =
            kind === 'replay'
              ? (sent[from % sent.length] as FeedMessage[])
              : kind === 'truncated'
                ? answer.slice(0, -1)
                : kind === 'swapped'
                  ? answer.toReversed()
                  : answer;
          const isMine = given.at(-1)?.nonces?.includes(own) === true;
          const wrong = view.answer(given, own, 0);
          if (!isMine) assert.notEqual(wrong, undefined, 'what isn’t the answer to this question is none');
        }
        if (view.rev === undefined) continue;
        if (kind !== 'answer' && kind !== 'swapped')
          assert.ok(before === undefined || view.rev >= before, 'never back');
        assert.ok(view.size <= capacity);
        for (const tag of ['a', 'b', 'c', 'd', 'e', 'z']) {
          for (let rev = 0; rev <= view.rev; rev++) {
            const dead = truth.some(([number, of]) => of === tag && number > rev && number <= (view.rev as number));
            const said = view.check([tag], rev);
            if (dead) assert.notEqual(said, 'alive', `${tag} of ${rev} at ${view.rev}`);
            else assert.notEqual(said, 'ended', `${tag} of ${rev} at ${view.rev}`);
            if (said === 'unknown') assert.ok(rev < view.floor);
          }
        }
      }
    }),
    { numRuns: 400 },
  );
});

function chain(
  start: number | null,
  floor: number | undefined,
  high: number,
  parts: number,
  own: string,
  between: (after: number, rev: number) => FeedEntry[],
): FeedMessage[] {
  const low = start ?? floor ?? 0;
  const messages: FeedMessage[] = [];
  let at = low;
  for (let part = 1; part <= parts; part++) {
    const rev = part === parts ? high : Math.min(high, at + Math.floor((high - low) / parts));
    const isLast = part === parts;
    messages.push(
      message(part === 1 ? start : at, rev, between(at, rev), {
        ...(part === 1 && floor !== undefined ? { floor } : {}),
        ...(isLast ? { nonces: [own], lease: 2000 } : { more: true }),
      }),
    );
    at = rev;
  }
  return messages;
}
