import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zonesOf } from './zones.ts';

test('the smallest network tells the zone', () => {
  const zones = zonesOf({
    'eu-1': ['10.1.0.0/16', '2001:db8:1::/48'],
    lab: ['10.1.7.0/24', '10.1.7.0/24', '10.9.9.9'],
    rest: ['10.0.0.0/8', '10.1.7.8/32'],
  });
  const table: [string, string | undefined][] = [
    ['10.1.0.1', 'eu-1'],
    ['::ffff:10.1.0.1', 'eu-1'],
    ['10.1.7.1', 'lab'],
    ['10.1.7.8', 'rest'],
    ['10.9.9.9', 'lab'],
    ['10.200.0.1', 'rest'],
    ['2001:db8:1::1', 'eu-1'],
    ['2001:db8:2::1', undefined],
    ['192.0.2.1', undefined],
    ['unknown', undefined],
  ];
  for (const [address, zone] of table) assert.equal(zones.of(address), zone, address);
  assert.equal(zonesOf({}).of('10.0.0.1'), undefined);
  assert.deepEqual(['eu-1', 'eu-2', 'rest'].map(zones.knows), [true, false, true]);
});

test('what can not be a zone is named', () => {
  const table: [Record<string, string[]>, RegExp][] = [
    [{ 'eu 1': ['10.0.0.0/8'] }, /"eu 1" is no name of a zone/],
    [{ '': ['10.0.0.0/8'] }, /"" is no name of a zone/],
    [{ a: ['10.0.0.0/33'] }, /"10\.0\.0\.0\/33" of zone a/],
    [{ a: ['host.example'] }, /"host\.example" of zone a/],
    [{ a: ['10.0.0.0/8'], b: ['::ffff:10.0.0.0/104'] }, /can't be in both a and b/],
    [{ a: ['10.1.2.3/8'], b: ['10.0.0.0/8'] }, /can't be in both a and b/],
  ];
  for (const [zones, message] of table) assert.throws(() => zonesOf(zones), message);
});
