import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pause } from './pauses.ts';

test('a time that is over by now is not waited for, and no timer is asked for one', async () => {
  const asked: number[] = [];
  const rest = pause({
    later(ms, work) {
      asked.push(ms);
      work();
      return () => {};
    },
  });
  for (const ms of [-0.002, -5000, 0, 0.5, 20]) await rest.wait(ms);
  assert.deepEqual(asked, [0.5, 20]);
});
