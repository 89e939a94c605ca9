import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { mayReach } from './special-use.ts';

const publicAlone = mayReach({ loopback: false, networks: [] });
const onLoopback = mayReach({ loopback: true, networks: [] });

describe('refuses', () => {
  const special = [
    ...['0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '100.64.0.1', '100.127.255.255', '127.0.0.1', '127.9.9.9'],
    ...['169.254.169.254', '172.16.0.1', '172.31.255.255', '192.0.0.8', '192.0.2.1', '192.88.99.1', '192.168.1.1'],
    ...['198.18.0.1', '198.19.255.255', '198.51.100.7', '203.0.113.9', '224.0.0.1', '239.1.1.1', '240.0.0.1'],
    ...['255.255.255.255', '192.31.196.1', '192.52.193.1', '192.175.48.1'],
    ...['::', '::1', '::2', '::ffff:127.0.0.1', '::ffff:7f00:1', '0:0:0:0:0:ffff:10.0.0.1', '::FFFF:A00:1'],
    ...['::127.0.0.1', '::ffff:0:127.0.0.1', '64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::8.8.8.8'],
    ...['100::1', '2001::1', '2001:2::1', '2001:10::1', '2001:20::1', '2001:1ff::1', '2001:db8::1', '2002:7f00:1::1'],
    ...['2002:808:808::1', '2620:4f:8000::1', '3fff::1', '5f00::1', 'fc00::1', 'fd12:3456::1', 'fe80::1', 'fe80::1%lo'],
    ...['fec0::1', 'ff02::1', '4000::1', 'e000::1', '2606:4700::1111%eth0'],
    ...['', 'localhost', '1.2.3', '0x7f.1', '127.1', '1.2.3.4.5', '::ffff:127.0.0.1:80', '[::1]'],
  ];
  for (const address of special)
    test(address || 'nothing at all', () => assert.equal(publicAlone(address), false, address));
});

describe('lets through', () => {
  const open = [
    ...[
      '1.1.1.1',
      '8.8.8.8',
      '9.255.255.255',
      '11.0.0.1',
      '100.63.255.255',
      '100.128.0.1',
      '172.15.255.255',
      '172.32.0.1',
    ],
    ...['169.253.0.1', '192.0.1.1', '198.17.255.255', '198.20.0.1', '223.255.255.255'],
    ...['2606:4700::1111', '2001:200::1', '2001:4860:4860::8888', '2a00:1450::1', '3ffe::1'],
    ...['::ffff:8.8.8.8', '64:ff9b::8.8.8.8'],
  ];
  for (const address of open) test(address, () => assert.equal(publicAlone(address), true, address));
});

test('loopback is open to a server that is on loopback itself, and nothing else of this machine is', () => {
  for (const address of ['127.0.0.1', '127.3.2.1', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'])
    assert.equal(onLoopback(address), true, address);
  for (const address of ['0.0.0.0', '::', '10.0.0.1', '169.254.1.1', 'fe80::1', '::2'])
    assert.equal(onLoopback(address), false, address);
});

test('networks that were named are open, and their neighbours are not', () => {
  const named = mayReach({ loopback: false, networks: ['10.1.0.0/16', '192.168.7.7', 'fd00:1::/32', '::1'] });
  for (const address of ['10.1.0.1', '10.1.255.255', '192.168.7.7', 'fd00:1:2::3', '::1', '::ffff:10.1.2.3'])
    assert.equal(named(address), true, address);
  for (const address of ['10.2.0.1', '10.0.255.255', '192.168.7.8', 'fd00:2::1', '127.0.0.1', '::2'])
    assert.equal(named(address), false, address);
});
