import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce, pauses, withPauses } from './pauses.ts';

/** Pieces of work, each of so many milliseconds, and how many others were let in after each. */
async function turns(pieces: readonly number[]): Promise<number[]> {
  let now = 0;
  let others = 0;
  const after: number[] = [];
  const pause = pauses(
    () => now,
    async () => {
      others += 1;
      now += 1000;
    },
  );
  for (const piece of pieces) {
    now += piece;
    await pause();
    after.push(others);
  }
  return after;
}

test('others get their turn by time, however many pieces it took', async () => {
  assert.deepEqual(await turns([1, 1, 1, 1]), [0, 0, 0, 0]);
  assert.deepEqual(await turns([7, 1, 7, 1]), [0, 1, 1, 2]);
  assert.deepEqual(await turns([20, 20, 1, 20]), [1, 2, 2, 3], 'the pause itself is not work');
});

test('work in pieces comes to the same with pauses and without', async () => {
  function* work(): Generator<void, string> {
    yield;
    yield;
    return 'done';
  }
  let asked = 0;
  const pause = async () => {
    asked += 1;
  };
  assert.equal(await withPauses(work(), pause), 'done');
  assert.equal(asked, 2);
  assert.equal(atOnce(work()), 'done');
});
