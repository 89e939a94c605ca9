import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeClock } from './clock.ts';
import { idPrefixes, isId, issueEventId, jtiOf, newId } from './ids.ts';
import { systemRandom } from './random.ts';

test('ids are ordered by creation, within a millisecond too, and when the clock goes back', () => {
  const clock = fakeClock(1_795_000_000_000);
  const deps = { clock, random: systemRandom() };
  const ids: string[] = [];
  for (const step of [0, 0, 1, 0, -5000, 0, 5000, 1]) {
    clock.advance(step);
    for (let i = 0; i < 500; i++) ids.push(newId(deps, 'event'));
  }
  assert.deepEqual(ids, ids.toSorted());
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.ok(isId('event', id), id);
});

test('a step carries from one half to the other, and into the next millisecond at the very end', () => {
  const clock = fakeClock(1_795_000_000_000);
  const random = { bytes: (length: number) => Buffer.alloc(length, 255) };
  const [first, second] = [newId({ clock, random }, 'agent'), newId({ clock, random }, 'agent')];
  assert.ok(first < second && isId('agent', second));
});

test('two processes do not meet: the same moment gives them different ids', () => {
  const clock = fakeClock(1_795_000_000_000);
  assert.notEqual(newId({ clock, random: systemRandom() }, 'agent'), newId({ clock, random: systemRandom() }, 'agent'));
});

test('every kind has a prefix of its own, and is told from the others', () => {
  assert.equal(new Set(Object.values(idPrefixes)).size, Object.keys(idPrefixes).length);
  const deps = { clock: fakeClock(1), random: systemRandom() };
  assert.ok(isId('agent', newId(deps, 'agent')));
  for (const wrong of [
    newId(deps, 'team'),
    'agt_',
    'agt_01',
    `${newId(deps, 'agent')}0`,
    newId(deps, 'agent').toUpperCase(),
  ]) {
    assert.equal(isId('agent', wrong), false, wrong);
  }
});

test('a jti leads to the event of its issue and back', () => {
  const event = newId({ clock: fakeClock(1), random: systemRandom() }, 'event');
  assert.equal(issueEventId(jtiOf(event)), event);
});
