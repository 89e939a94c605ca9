import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Reader } from 'mmdb-lib';
import { countryReader } from './country.ts';

const file = createRequire(import.meta.url).resolve(
  '@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb',
);

test('the country of an address, and of what has none', () => {
  const countryOf = countryReader(readFileSync(file), Reader);
  const table: [string, string | undefined][] = [
    ['5.9.0.1', 'DE'],
    ['::ffff:5.9.0.1', 'DE'],
    ['::ffff:509:1', 'DE'],
    ['193.171.0.1', 'AT'],
    ['2a02:2e0:3fe:1001:302::', 'DE'],
    ['10.0.0.1', undefined],
    ['127.0.0.1', undefined],
    ['192.168.1.1', undefined],
    ['100.64.0.1', undefined],
    ['::1', undefined],
    ['fe80::1', undefined],
    ['fd00::1', undefined],
    ['fe80::1%eth0', undefined],
    ['unknown', undefined],
    ['', undefined],
    ['5.9.0.1:80', undefined],
  ];
  for (const [address, country] of table) assert.equal(countryOf(address), country, address);
});

test('what is no such file is said to be none', () => {
  for (const bytes of [Buffer.alloc(0), Buffer.from('countries'), Buffer.alloc(200_000, 7)]) {
    assert.throws(() => countryReader(bytes, Reader), /no MMDB file/);
  }
});
