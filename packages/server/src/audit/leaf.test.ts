import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { testEpoch } from '../testing/harness.ts';
import type { AuditEvent } from './event.ts';
import { blindIndex, commitment, leafOf, seal, unseal } from './leaf.ts';

const random = { bytes: (length: number) => Buffer.alloc(length, 7) };
const salt = random.bytes(16).toString('base64url');
const event: AuditEvent = {
  type: 'token.issued',
  outcome: 'allowed',
  org: 'org_1',
  agent: 'agt_1',
  resource: 'https://tickets.example',
  jti: '01',
  reason: 'role reader',
  decided_on: { rev: 3, scope: ['tickets:read'] },
  personal: { owner: 'per_1', address: '192.0.2.7' },
};

test('the bytes of a leaf are these, for ever', () => {
  const hashed = (field: string, value: string) =>
    createHash('sha256').update(`["${field}","${salt}","${value}"]`).digest('base64url');
  const { leaf } = leafOf({ random }, event, { id: 'evt_01', at: testEpoch });
  assert.equal(
    leaf,
    '{"agent":"agt_1","at":"2026-11-01T09:00:00.000Z",' +
      `"commitments":{"address":"${hashed('address', '192.0.2.7')}","owner":"${hashed('owner', 'per_1')}"},` +
      '"decided_on":{"rev":3,"scope":["tickets:read"]},"id":"evt_01","jti":"01","org":"org_1","outcome":"allowed",' +
      '"reason":"role reader","resource":"https://tickets.example","type":"token.issued","v":1}',
  );
});

test('nothing personal stands in a leaf, and its opening proves it', () => {
  const { leaf, openings } = leafOf({ random }, event, { id: 'evt_01', at: testEpoch });
  assert.ok(!leaf.includes('192.0.2.7') && !leaf.includes('per_1'));
  const { commitments } = JSON.parse(leaf) as { commitments: Record<string, string> };
  assert.deepEqual(Object.keys(openings).sort(), Object.keys(commitments).sort());
  for (const [field, [salted, value]] of Object.entries(openings)) {
    assert.equal(commitment(field, salted, value), commitments[field]);
    assert.notEqual(commitment(field, salted, 'another'), commitments[field]);
  }
});

test('what is sealed opens with its key, for its event, unaltered, and not otherwise', () => {
  const key = Buffer.alloc(32, 1);
  const openings = { owner: ['salt', 'per_1'] as [string, unknown] };
  const sealed = seal({ random }, key, 'evt_01', openings);
  assert.deepEqual(unseal(key, 'evt_01', sealed), openings);
  assert.throws(() => unseal(Buffer.alloc(32, 2), 'evt_01', sealed));
  assert.throws(() => unseal(key, 'evt_02', sealed));
  assert.throws(() => unseal(key, 'evt_01', `${sealed.slice(0, -4)}AAAA`));
});

test('a blind index finds equal values of one field under one key', () => {
  const key = Buffer.alloc(32, 1);
  assert.equal(blindIndex(key, 'owner', 'per_1'), blindIndex(key, 'owner', 'per_1'));
  assert.notEqual(blindIndex(key, 'owner', 'per_1'), blindIndex(key, 'person', 'per_1'));
  assert.notEqual(blindIndex(key, 'owner', 'per_1'), blindIndex(Buffer.alloc(32, 2), 'owner', 'per_1'));
});
