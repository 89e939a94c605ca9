import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asItHappened, happenedAt, toldLater } from './event-lines.ts';
import type { Event } from './registry.ts';

const event = (id: string, at: string, usedAt?: string) =>
  ({ id, at, ...(usedAt && { decided_on: { used_at: Date.parse(usedAt) } }) }) as unknown as Event;

test('a use that was reported after a revocation, and happened before it, stands before it', () => {
  const revoked = event('revoked', '2026-11-01T09:00:05.000Z');
  const used = event('used', '2026-11-01T09:00:06.000Z', '2026-11-01T09:00:04.900Z');
  const resumed = event('resumed', '2026-11-01T09:00:05.000Z');
  assert.deepEqual(
    asItHappened([revoked, resumed, used]).map(({ id }) => id),
    ['used', 'revoked', 'resumed'],
  );
  assert.equal(happenedAt(used), '2026-11-01T09:00:04.900Z');
  assert.deepEqual([toldLater(used), toldLater(revoked)], ['reported 09:00:06Z', '']);
});
