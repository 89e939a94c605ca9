import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refreshed } from './refreshed.ts';
import { fakeClock } from './testing/fake-issuer.ts';

function source() {
  const clock = fakeClock();
  const state = { loads: 0, fail: false, takes: 0 };
  const value = refreshed({
    runtime: { now: clock.now, random: () => 'gAAAAA', report: () => {} }, // half way: no jitter
    load: async () => {
      state.loads += 1;
      clock.advance(state.takes);
      if (state.fail) throw new Error('away');
      return state.loads;
    },
    freshMs: 60_000,
    floorMs: 10_000,
    staleMs: 3_600_000,
  });
  return { clock, state, value };
}

test('an answer is as old as its question', async () => {
  const { clock, state, value } = source();
  state.takes = 2000;
  await value.get();
  state.takes = 0;
  state.fail = true;
  clock.advance(3_597_999);
  assert.equal(value.peek(), 1);
  clock.advance(1);
  assert.equal(value.peek(), undefined);
});

test('many who ask at once cause one load', async () => {
  const { state, value } = source();
  assert.deepEqual(await Promise.all([value.get(), value.get(), value.get()]), [1, 1, 1]);
  assert.equal(state.loads, 1);
});

test('a value that is due is used while it is refreshed', async () => {
  const { clock, state, value } = source();
  await value.get();
  clock.advance(61_000);
  assert.equal(value.peek(), 1);
  await value.renew();
  assert.equal(value.peek(), 2);
  assert.equal(state.loads, 2);
});

test('between two tries lies the floor, whether they succeed or not', async () => {
  const { clock, state, value } = source();
  await value.get();
  clock.advance(9_999);
  await value.renew();
  assert.equal(state.loads, 1);
  clock.advance(1);
  state.fail = true;
  assert.equal(await value.renew(), false);
  assert.equal(await value.renew(), false);
  assert.equal(state.loads, 2);
});

test('an outage is outlived for a bounded time, then nothing is known', async () => {
  const { clock, state, value } = source();
  await value.get();
  state.fail = true;
  clock.advance(3_599_999);
  assert.equal(value.peek(), 1);
  await value.renew();
  clock.advance(1);
  assert.equal(value.peek(), undefined);
  await assert.rejects(value.get(), { name: 'Unavailable', message: 'away' });
  state.fail = false;
  clock.advance(10_000);
  assert.equal(await value.get(), state.loads);
});

test('a first load that failed is tried again after a second', async () => {
  const { clock, state, value } = source();
  state.fail = true;
  await assert.rejects(value.get());
  state.fail = false;
  await assert.rejects(value.get(), 'at once would be a stampede');
  clock.advance(1000);
  assert.equal(await value.get(), 2);
});

test('a clock that was set back makes it look again instead of waiting for that hour to return', async () => {
  const { clock, state, value } = source();
  await value.get();
  clock.advance(-3_600_000);
  value.peek();
  await value.renew();
  assert.equal(state.loads, 2);
});
