/** A lease is never taken to be longer than it is, whatever is done to clocks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { elapsedClock, feedLease } from './lease.ts';

function clocks() {
  let wall = 1_000_000;
  let steady = 50;
  return {
    now: () => Math.floor(wall),
    monotonic: () => steady,
    pass(ms: number) {
      wall += ms;
      steady += ms;
    },
    /** The machine sleeps: one clock stands still. */
    sleep(ms: number) {
      wall += ms;
    },
    setWall(ms: number) {
      wall += ms;
    },
  };
}

function leased(ms = 2000) {
  const time = clocks();
  const lease = feedLease(time);
  lease.renew(lease.elapsed(), ms);
  return { time, lease };
}

test('it counts from when it was asked for, and is used up to nine tenths', () => {
  const { time, lease } = leased();
  const askedAt = lease.elapsed();
  time.pass(1799);
  assert.ok(lease.holds());
  time.pass(1);
  assert.ok(!lease.holds());
  lease.renew(askedAt + 500, 2000);
  assert.ok(lease.holds());
  assert.equal(Math.round(lease.leftMs()), 500);
});

test('one that nobody granted, and one that was given back, hold nothing', () => {
  assert.ok(!feedLease(clocks()).holds());
  const { lease } = leased();
  lease.drop();
  assert.deepEqual([lease.holds(), lease.leftMs()], [false, 0]);
});

for (const [what, change, holds] of [
  ['the machine sleeps', (time: ReturnType<typeof clocks>) => time.sleep(1800), false],
  ['the wall clock is set forward', (time) => time.setWall(3_600_000), false],
  [
    'the wall clock is set back, and the rest of it passes',
    (time) => {
      time.setWall(-3_600_000);
      time.pass(1800);
    },
    false,
  ],
  ['the wall clock is set back', (time) => time.setWall(-3_600_000), true],
] as [string, (time: ReturnType<typeof clocks>) => void, boolean][]) {
  test(`${what}: it ${holds ? 'still holds' : 'has run out'}`, () => {
    const { time, lease } = leased();
    change(time);
    assert.equal(lease.holds(), holds);
  });
}

test('the wall clock is set back, then the machine sleeps: that is noticed, if somebody looked between', () => {
  const { time, lease } = leased();
  time.setWall(-3_600_000);
  time.pass(10);
  assert.ok(lease.holds());
  time.sleep(1_800);
  assert.ok(!lease.holds());
});

test('its clock is never slow, and hardly fast, however often it is read', () => {
  const move = fc.oneof(
    fc.record({ kind: fc.constant('pass' as const), ms: fc.double({ min: 0, max: 400, noNaN: true }) }),
    fc.record({ kind: fc.constant('sleep' as const), ms: fc.double({ min: 0, max: 400, noNaN: true }) }),
    fc.record({ kind: fc.constant('back' as const), ms: fc.double({ min: 0, max: 5000, noNaN: true }) }),
  );
  fc.assert(
    fc.property(fc.array(move, { maxLength: 200 }), (moves) => {
      const time = clocks();
      const elapsed = elapsedClock(time);
      const start = elapsed();
      let truth = 0;
      for (const { kind, ms } of moves) {
        if (kind === 'back') time.setWall(-ms);
        else {
          time[kind](ms);
          truth += ms;
        }
        // read after each change, as a guard does many times a second; whole milliseconds are lost by the wall clock
        assert.ok(elapsed() - start >= truth - moves.length, `${elapsed() - start} of ${truth}`);
      }
    }),
    { numRuns: 200 },
  );
  const time = clocks();
  const elapsed = elapsedClock(time);
  const start = elapsed();
  for (let turn = 0; turn < 100_000; turn++) {
    time.pass(0.02);
    elapsed();
  }
  assert.ok(Math.abs(elapsed() - start - 2000) < 40, `${elapsed() - start}`);
});
