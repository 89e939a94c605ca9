/** What an address tells of where somebody is: the country, by a file of countries, and the compute zone, by configured networks. */
import { accessSync, closeSync, constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { countryFileTail, countryReader, isCountryFileTail, type MmdbReader, zonesOf } from '@bailiwick/protocol';

export interface Places {
  /** ISO 3166-1 alpha-2. Undefined where it isn't known: a private address has no country. */
  countryOf(address: string): string | undefined;
  /** By the configured networks of zones. */
  zoneOf(address: string): string | undefined;
  /** Whether the networks of this zone are configured: who is in none of them is not in it, whatever else is said. */
  knowsZone(zone: string): boolean;
}

const usualFile = '@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb';

/**
 * The file of countries (8 MB) is read when the first country is asked for, and kept until the process ends. A configured one is
 * looked at before, so that a wrong name is known at the start.
 * @throws Error with a sentence that says what to do, where the configured file can't be it
 */
export function openPlaces(config: {
  context: { country_file?: string | undefined; zones: Readonly<Record<string, readonly string[]>> };
}): Places {
  const { country_file, zones } = config.context;
  if (country_file !== undefined) mustBeReadable(country_file);
  const known = zonesOf(zones);
  let countryOf: Places['countryOf'] | undefined;
  return {
    countryOf(address) {
      countryOf ??= readCountries(country_file);
      return countryOf(address);
    },
    zoneOf: known.of,
    knowsZone: known.knows,
  };
}

/** What reads the file is loaded with it: a start needs neither. */
function readCountries(file: string | undefined): Places['countryOf'] {
  const require = createRequire(import.meta.url);
  const { Reader } = require('mmdb-lib') as { Reader: MmdbReader };
  return countryReader(readFileSync(file ?? require.resolve(usualFile)), Reader);
}

function mustBeReadable(file: string): void {
  try {
    accessSync(file, constants.R_OK);
    const opened = openSync(file, 'r');
    try {
      const { size } = fstatSync(opened);
      const tail = Buffer.alloc(Math.min(size, countryFileTail));
      readSync(opened, tail, 0, tail.length, size - tail.length);
      if (!isCountryFileTail(tail)) throw new Error('it is no MMDB file');
    } finally {
      closeSync(opened);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(
      `context.country_file (${file}) can't be used: ${code ?? message}. Name an MMDB file with countries, or leave it out for the one that comes along.`,
    );
  }
}
