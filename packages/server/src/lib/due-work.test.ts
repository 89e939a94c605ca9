import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { until } from '../testing/until.ts';
import { fakeClock } from './clock.ts';
import { type DueWork, pauseAfter, startDueWork } from './due-work.ts';

/** Things that are due at a time, in one place as a database has them; whoever works on one takes it off first. */
function place(more: Partial<DueWork> = {}) {
  const clock = fakeClock(1_000_000);
  const dueAt = new Map<string, number>();
  const begun: string[] = [];
  const open = new Map<string, { end: () => void; fail: (error: Error) => void; ending: AbortSignal }>();
  const faults: string[] = [];
  let looks = 0;
  let notice = () => {};
  const { stop } = startDueWork({
    clock,
    atOnce: 2,
    async due(now, limit) {
      looks += 1;
      const ids = [...dueAt].filter(([, at]) => at <= now).toSorted(([, a], [, b]) => a - b);
      return ids.slice(0, limit).map(([id]) => id);
    },
    next: async () => (dueAt.size === 0 ? undefined : Math.min(...dueAt.values())),
    work(id, ending) {
      begun.push(id);
      dueAt.delete(id);
      return new Promise((end, fail) => open.set(id, { end, fail, ending }));
    },
    listen(look) {
      notice = look;
      return () => (notice = () => {});
    },
    failed: (error, id) => faults.push(`${id ?? 'looking'}: ${(error as Error).message}`),
    ...more,
  });
  return {
    clock,
    dueAt,
    begun,
    open,
    faults,
    stop,
    looks: () => looks,
    notice: () => notice(),
    /** Waits until these were begun, in this order, and no others. */
    async begins(...ids: string[]) {
      await until(
        () => [...begun],
        (seen) => seen.length >= ids.length,
      );
      assert.deepEqual(begun, ids);
    },
    /** Waits until a look that begins now is over. */
    async looked() {
      const before = looks;
      notice();
      await until(
        () => looks,
        (seen) => seen > before,
      );
      await setImmediate(); // nothing here takes longer than a turn
    },
  };
}

test('what is due is worked on, so many at once: one that hangs holds up no other', async () => {
  const { dueAt, begins, looked, begun, open, notice, clock, stop } = place();
  ['a', 'b', 'c', 'd'].forEach((id, i) => void dueAt.set(id, clock.now() - 10 + i));
  notice();
  await begins('a', 'b');
  await looked();
  assert.deepEqual(begun, ['a', 'b']);
  open.get('b')?.end();
  await begins('a', 'b', 'c'); // a hangs
  open.get('c')?.end();
  await begins('a', 'b', 'c', 'd');
  for (const { end } of open.values()) end();
  await stop();
});

test('one is never worked on twice at a time, though it says that it is due', async () => {
  const { dueAt, begins, looked, begun, open, notice, clock, stop } = place();
  dueAt.set('a', clock.now());
  notice();
  await begins('a');
  dueAt.set('a', clock.now());
  await looked();
  assert.deepEqual(begun, ['a']);
  open.get('a')?.end();
  await begins('a', 'a');
  open.get('a')?.end();
  await stop();
});

test('it is looked again when the next is due, at the latest after half a minute, and on a notice', async () => {
  const { dueAt, begins, looked, begun, open, clock, looks, stop } = place();
  dueAt.set('soon', clock.now() + 5_000);
  await looked();
  clock.advance(4_999);
  assert.deepEqual(begun, []);
  clock.advance(1);
  await begins('soon');
  open.get('soon')?.end();
  await looked();
  dueAt.set('unheard', clock.now() + 1);
  const before = looks();
  clock.advance(30_000);
  await begins('soon', 'unheard');
  assert.ok(looks() > before);
  open.get('unheard')?.end();
  await stop();
});

test('what becomes due while it is looked is looked at', async () => {
  const moved: string[] = [];
  const { dueAt, clock, looked, notice, begins, open, stop } = place({
    async next() {
      if (moved.length === 0 && dueAt.has('between')) {
        moved.push('once');
        clock.advance(10);
      }
      return dueAt.get('between');
    },
  });
  await looked();
  dueAt.set('between', clock.now() + 10);
  notice();
  await begins('between');
  open.get('between')?.end();
  await stop();
});

test('work that fails is told, and begun again a second later though it stayed due; others go on', async () => {
  const { dueAt, begins, looked, begun, open, faults, notice, clock, stop } = place();
  dueAt.set('bad', clock.now());
  notice();
  await begins('bad');
  dueAt.set('bad', clock.now()); // it could not even say when it is to be tried again
  open.get('bad')?.fail(new Error('the disk is full'));
  await until(
    () => faults,
    (seen) => seen.length > 0,
  );
  await looked();
  dueAt.set('good', clock.now());
  notice();
  await begins('bad', 'good');
  clock.advance(999);
  await looked();
  assert.deepEqual(begun, ['bad', 'good']);
  clock.advance(1);
  await begins('bad', 'good', 'bad');
  assert.deepEqual(faults, ['bad: the disk is full']);
  for (const { end } of open.values()) end();
  await stop();
});

test('a look that fails is told, and there is another a second later', async () => {
  let away = true;
  const { clock, faults, begun, open, begins, stop } = place({
    async due() {
      if (away) throw new Error('the database is away');
      return begun.length === 0 ? ['a'] : [];
    },
  });
  await until(
    () => faults,
    (seen) => seen.length > 0,
  );
  away = false;
  // the timer is set in the same turn in which it is told
  await until(
    () => begun,
    (seen) => seen.length > 0,
    () => clock.advance(250),
  );
  await begins('a');
  assert.deepEqual(faults, ['looking: the database is away']);
  open.get('a')?.end();
  await stop();
});

test('stopped, it says so to what is under way, waits for that, and begins nothing', async () => {
  const { dueAt, begins, begun, open, notice, clock, stop } = place();
  dueAt.set('a', clock.now());
  notice();
  await begins('a');
  dueAt.set('b', clock.now());
  let over = false;
  const stopping = stop().then(() => {
    over = true;
  });
  assert.ok(open.get('a')?.ending.aborted);
  notice();
  clock.advance(60_000);
  await setImmediate();
  assert.equal(over, false);
  open.get('a')?.end();
  await stopping;
  assert.deepEqual(begun, ['a']);
});

test('pauses after failures double, up to the longest', () => {
  const pauses = [0, 1, 2, 8, 9, 5000].map((failures) => pauseAfter(failures, { first: 1_000, longest: 300_000 }));
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 256_000, 300_000, 300_000]);
});
