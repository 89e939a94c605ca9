import assert from 'node:assert/strict';
import { test } from 'node:test';
import { areNetworks, canonicalAddress, networks } from './networks.ts';

test('who is in a list of networks', () => {
  const isIn = networks(['10.0.0.0/8', '::1', '192.0.2.7/24', '::ffff:172.16.0.0/108', '2001:DB8::/32']);
  const table: [string, boolean][] = [
    ['10.255.0.1', true],
    ['::ffff:10.0.0.1', true],
    ['::FFFF:a00:1', true],
    ['0:0:0:0:0:ffff:10.0.0.1', true],
    ['11.0.0.1', false],
    ['::1', true],
    ['0:0:0:0:0:0:0:1', true],
    ['::2', false],
    ['192.0.2.200', true],
    ['172.31.0.1', true],
    ['172.32.0.1', false],
    ['2001:db8:ffff::1', true],
    ['::10.0.0.1', false],
    ['unknown', false],
    ['10.0.0.1:80', false],
    ['', false],
  ];
  for (const [address, expected] of table) assert.equal(isIn(address), expected, address);
  assert.equal(networks([])('10.0.0.1'), false);
});

test('a wrong entry is named', () => {
  for (const entry of ['10.0.0.0/33', 'proxy.example', '10.0.0.0/x', '10.0.0.0/', '::/129', '10.0.0.0/8/9', '']) {
    assert.throws(() => networks([entry]), { message: new RegExp(`"${entry.replace(/[/.]/g, '\\$&')}"`) });
    assert.equal(areNetworks([entry]), false);
  }
});

test('an address has one spelling', () => {
  const table: [string, string | undefined][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.256', undefined],
    ['::ffff:0c00:0201', '12.0.2.1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['fe80::1%eth0', undefined],
    ['unknown', undefined],
  ];
  for (const [text, expected] of table) assert.equal(canonicalAddress(text), expected, text);
});
