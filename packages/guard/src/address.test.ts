import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networks } from '@bailiwick/protocol';
import { clientAddress } from './address.ts';

const trusted = networks(['10.0.0.0/8', '::1']);

for (const [what, remote, forwarded, expected] of [
  ['nobody is trusted by default', '192.0.2.1', ['198.51.100.1'], '192.0.2.1'],
  ['a trusted proxy names its caller', '10.0.0.1', ['198.51.100.1'], '198.51.100.1'],
  ['what the caller itself wrote is not read', '10.0.0.1', ['203.0.113.9, 198.51.100.1'], '198.51.100.1'],
  ['two trusted proxies in a row', '10.0.0.1', ['203.0.113.9, 198.51.100.1', '10.0.0.2'], '198.51.100.1'],
  ['an IPv4 address in IPv6 clothes', '::ffff:10.0.0.1', ['198.51.100.1'], '198.51.100.1'],
  ['a trusted proxy that names nobody', '10.0.0.1', undefined, '10.0.0.1'],
  ['a trusted proxy that names nonsense', '10.0.0.1', ['unknown'], undefined],
  ['no address at all', undefined, ['198.51.100.1'], undefined],
] as const) {
  test(what, () => assert.equal(clientAddress(remote, forwarded, trusted), expected));
}

test('a wrong entry is named', () => {
  for (const entry of ['10.0.0.0/33', 'proxy.example', '10.0.0.0/x', '10.0.0.0/', '::/129', '10.0.0.0/8/9']) {
    assert.throws(() => networks([entry]), { message: new RegExp(entry.replace(/[/.]/g, '\\$&')) });
  }
});
