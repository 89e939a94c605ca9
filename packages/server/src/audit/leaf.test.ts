import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { testEpoch } from '../testing/harness.ts';
import type { AuditEvent } from './event.ts';
import { blindIndex, commitment, leafOf, openingsOf, seal, unseal } from './leaf.ts';

const key = Buffer.alloc(32, 1);
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

const stamp = { id: 'evt_01', at: testEpoch };

test('the bytes of a leaf are these, for ever', () => {
  const salts = createHash('sha3-512')
    .update(`${key.toString('base64url')} 0 evt_01`)
    .digest('base64url');
  const hashed = (field: string, n: number, value: string) => {
    const salt = salts.slice(22 * n, 22 * (n + 1));
    return createHash('sha256').update(`["${field}","${salt}","${value}"]`).digest('base64url');
  };
  assert.equal(
    leafOf(key, event, stamp),
    '{"agent":"agt_1","at":"2026-11-01T09:00:00.000Z",' +
      `"commitments":{"address":"${hashed('address', 0, '192.0.2.7')}","owner":"${hashed('owner', 1, 'per_1')}"},` +
      '"decided_on":{"rev":3,"scope":["tickets:read"]},"id":"evt_01","jti":"01","org":"org_1","outcome":"allowed",' +
      '"reason":"role reader","resource":"https://tickets.example","type":"token.issued","v":1}',
  );
});

test('nothing personal stands in a leaf, and its openings prove it', () => {
  const leaf = leafOf(key, event, stamp);
  assert.ok(!leaf.includes('192.0.2.7') && !leaf.includes('per_1'));
  const { commitments } = JSON.parse(leaf) as { commitments: Record<string, string> };
  const openings = openingsOf(key, stamp.id, event.personal);
  assert.deepEqual(Object.keys(openings).sort(), Object.keys(commitments).sort());
  for (const [field, [salt, value]] of Object.entries(openings)) {
    assert.equal(commitment(field, salt, value), commitments[field]);
    assert.notEqual(commitment(field, salt, 'another'), commitments[field]);
  }
});

test('no salt comes twice: not in an event, not for another event, not under another key', () => {
  const personal = { address: 'x', details: 'x', owner: 'x', person: 'x', purpose: 'x' };
  const salts = [
    openingsOf(key, 'evt_01', personal),
    openingsOf(key, 'evt_02', personal),
    openingsOf(Buffer.alloc(32, 2), 'evt_01', personal),
  ].flatMap((openings) => Object.values(openings).map(([salt]) => salt));
  assert.equal(new Set(salts).size, 15);
  for (const salt of salts) assert.match(salt, /^[\w-]{22}$/);
});

test('what is sealed opens with its key, under its id, unaltered, and not otherwise', () => {
  const random = { bytes: (length: number) => Buffer.alloc(length, 7) };
  const sealed = seal({ random }, key, 'id-1', event.personal);
  assert.deepEqual(unseal(key, 'id-1', sealed), event.personal);
  assert.throws(() => unseal(Buffer.alloc(32, 2), 'id-1', sealed));
  assert.throws(() => unseal(key, 'id-2', sealed));
  assert.throws(() => unseal(key, 'id-1', `${sealed.slice(0, -4)}AAAA`));
});

test('a blind index finds equal values of one field under one key', () => {
  assert.equal(blindIndex(key, 'owner', 'per_1'), blindIndex(key, 'owner', 'per_1'));
  assert.notEqual(blindIndex(key, 'owner', 'per_1'), blindIndex(key, 'person', 'per_1'));
  assert.notEqual(blindIndex(key, 'owner', 'per_1'), blindIndex(Buffer.alloc(32, 2), 'owner', 'per_1'));
});
