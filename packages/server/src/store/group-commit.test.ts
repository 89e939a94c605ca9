/** Settlements that lose a deadlock: they come again, each time later, and not for ever. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tx } from './database.ts';
import { groupCommit, type Writer } from './group-commit.ts';

/** A writer that writes down what becomes of it. */
function writer(): Writer & { done: string[] } {
  const done: string[] = [];
  return {
    done,
    tx: {} as Tx,
    afterCommit: [],
    begin: ['begin'],
    exec: async (sql) => void done.push(sql),
    retriable: (error) => error === 'deadlock',
    rest: async (attempt) => void done.push(`rest ${attempt}`),
  };
}

test('who loses a deadlock leaves the others time, longer each time', async () => {
  const own = writer();
  let lost = 0;
  const value = await groupCommit([own]).settle(async () => {
    if (lost++ < 3) throw 'deadlock';
    return 'through';
  });
  assert.equal(value, 'through');
  assert.deepEqual(
    own.done.filter((each) => /^(rest|begin|commit)/.test(each)),
    ['begin', 'rest 0', 'begin', 'commit', 'rest 1', 'begin', 'rest 0', 'begin', 'commit'],
  );
});

test('who always loses hears of it, and takes nobody along', async () => {
  const own = writer();
  const { settle } = groupCommit([own]);
  const both = await Promise.allSettled([
    settle(async () => {
      throw 'deadlock';
    }),
    settle(async () => 'through'),
  ]);
  assert.deepEqual(both, [
    { status: 'rejected', reason: 'deadlock' },
    { status: 'fulfilled', value: 'through' },
  ]);
});

test('what fails for another reason is not tried again', async () => {
  const own = writer();
  const failed = groupCommit([own]).settle(async () => {
    throw 'a check';
  });
  await assert.rejects(failed, (error) => error === 'a check');
  assert.ok(!own.done.some((each) => each.startsWith('rest')));
});
