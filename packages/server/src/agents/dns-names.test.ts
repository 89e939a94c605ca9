import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coversName, ownHosts, whyReserved } from './dns-names.ts';

const config = { issuer: 'https://ID.bailiwick.example.:8443/x', mtls: { url: 'https://[::1]:8456' } };

test('the hosts of a server are those of its issuer and of its mutual TLS', () => {
  assert.deepEqual(ownHosts(config), ['id.bailiwick.example.', '::1']);
  assert.deepEqual(ownHosts({ issuer: 'http://localhost:1', mtls: { url: undefined } }), ['localhost']);
});

test('a star stands for one label', () => {
  assert.ok(coversName('*.example.com', 'a.example.com'));
  for (const name of ['example.com', 'a.b.example.com', '.example.com', 'aexample.com', '*.com']) {
    assert.ok(!coversName('*.example.com', name), name);
  }
});

test('what stands for the issuer, for every machine or for an address is reserved', () => {
  const reserved = [
    'id.bailiwick.example',
    '*.bailiwick.example',
    'localhost',
    '*.localhost',
    '127.0.0.1',
    '*.1',
    '0x7f',
  ];
  for (const name of reserved) assert.ok(whyReserved(config, name), name);
  for (const name of [
    'bailiwick.example',
    'a.id.bailiwick.example',
    '*.id.bailiwick.example',
    'a1',
    '1.a',
    'notlocalhost',
  ]) {
    assert.equal(whyReserved(config, name), undefined, name);
  }
});
