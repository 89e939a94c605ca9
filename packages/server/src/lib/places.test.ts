import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openPlaces } from './places.ts';

const file = createRequire(import.meta.url).resolve(
  '@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb',
);

test('countries by the file that comes along or by another, zones by their networks', () => {
  for (const country_file of [undefined, file]) {
    const places = openPlaces({ context: { country_file, zones: { 'eu-1': ['10.1.0.0/16'] } } });
    assert.equal(places.countryOf('5.9.0.1'), 'DE');
    assert.equal(places.countryOf('10.1.0.1'), undefined);
    assert.equal(places.zoneOf('10.1.0.1'), 'eu-1');
    assert.equal(places.zoneOf('10.2.0.1'), undefined);
    assert.deepEqual([places.knowsZone('eu-1'), places.knowsZone('eu-2')], [true, false]);
  }
});

test('a file that can not be it is known at the start, and one that is gone later is an error, not a country', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-places-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, bytes: string | Buffer) => {
    writeFileSync(path.join(folder, name), bytes);
    return path.join(folder, name);
  };
  for (const wrong of [folder, path.join(folder, 'missing'), write('empty', ''), write('text', 'DE')]) {
    assert.throws(
      () => openPlaces({ context: { country_file: wrong, zones: {} } }),
      /context\.country_file .* can't be used/,
    );
  }
  const marked = write('marked', Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'));
  const places = openPlaces({ context: { country_file: marked, zones: {} } });
  assert.throws(() => places.countryOf('5.9.0.1'), /no MMDB file/);
});
