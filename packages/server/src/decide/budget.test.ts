import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newBudgets, take } from './budget.ts';

test('a budget is what a minute holds, and flows back steadily', () => {
  const budgets = newBudgets();
  for (let i = 0; i < 60; i++) assert.equal(take(budgets, 'a', 60, 0), undefined);
  assert.equal(take(budgets, 'a', 60, 0), 1);
  assert.equal(take(budgets, 'b', 60, 0), undefined, 'another agent has its own');
  assert.equal(take(budgets, 'a', 60, 1000), undefined);
  assert.equal(take(budgets, 'a', 60, 1000), 1);
});

test('who waits as long as it was told is served', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 0, max: 120_000 }), (perMinute, pause) => {
      const budgets = newBudgets();
      let wait: number | undefined;
      for (let i = 0; i <= perMinute; i++) wait = take(budgets, 'a', perMinute, pause);
      assert.ok(wait !== undefined && wait >= 1);
      assert.equal(take(budgets, 'a', perMinute, pause + wait * 1000), undefined);
    }),
  );
});

test('a clock that goes back gives nothing', () => {
  const budgets = newBudgets();
  take(budgets, 'a', 1, 60_000);
  assert.notEqual(take(budgets, 'a', 1, 0), undefined);
});
