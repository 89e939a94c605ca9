/** What a guard knows of where its callers are. */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  clientAddress,
  countryFileTail,
  countryReader,
  forwardedHeaders,
  isCountryFileTail,
  type MmdbReader,
  networks,
  type Zones,
  zonesOf,
} from '@bailiwick/protocol';
import { GuardConfigError, type GuardOptions } from './options.ts';
import type { GuardRequest } from './request.ts';

export interface Places {
  /** From where a request came, through trusted proxies; undefined where that can't be known. */
  addressOf(request: GuardRequest): string | undefined;
  /** ISO 3166-1 alpha-2; undefined where it isn't known. */
  countryOf(address: string | undefined): string | undefined;
  /** By configured networks; of zones that have none, what the token says of its instance. */
  zoneOf(address: string | undefined, claimed: string | undefined): string | undefined;
}

const usualFile = '@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb';

/**
 * The file of countries (8 MB) is read when the first token comes that is limited to countries.
 * @throws GuardConfigError saying what to write instead
 */
export function placesFrom(
  options: Pick<GuardOptions, 'trustedProxies' | 'forwardedHeader' | 'countryFile' | 'zones'>,
): Places {
  const { forwardedHeader: header = 'x-forwarded-for', countryFile } = options;
  if (!forwardedHeaders.includes(header)) {
    throw new GuardConfigError(`forwardedHeader must be ${forwardedHeaders.map((each) => `"${each}"`).join(' or ')}.`);
  }
  const isProxy = proxiesFrom(options.trustedProxies);
  const zones = zonesFrom(options.zones);
  if (countryFile !== undefined) mustBeCountries(countryFile);
  let countryOf: ((address: string) => string | undefined) | undefined;
  return {
    addressOf: ({ remoteAddress, headers }) => clientAddress(remoteAddress, header, headers[header], isProxy),
    countryOf(address) {
      if (address === undefined) return undefined;
      countryOf ??= readCountries(countryFile);
      return countryOf(address);
    },
    zoneOf(address, claimed) {
      const observed = address === undefined ? undefined : zones.of(address);
      if (observed !== undefined) return observed;
      return claimed !== undefined && !zones.knows(claimed) ? claimed : undefined;
    },
  };
}

/** What reads the file is loaded with it: most guards need neither. */
function readCountries(file: string | undefined): (address: string) => string | undefined {
  const require = createRequire(import.meta.url);
  const { Reader } = require('mmdb-lib') as { Reader: MmdbReader };
  return countryReader(readFileSync(file ?? require.resolve(usualFile)), Reader);
}

function proxiesFrom(list: GuardOptions['trustedProxies'] = []) {
  if (list.some((entry) => /\/0+$/.test(entry))) {
    throw new GuardConfigError('trustedProxies: a network of everybody would let everybody name an address.');
  }
  try {
    return networks(list);
  } catch (error) {
    throw new GuardConfigError(`trustedProxies: ${(error as Error).message}.`);
  }
}

function zonesFrom(named: GuardOptions['zones'] = {}): Zones {
  try {
    return zonesOf(named);
  } catch (error) {
    throw new GuardConfigError(`zones: ${(error as Error).message}.`);
  }
}

/** A wrong name is known when the guard is made, not when the first token of its kind comes. */
function mustBeCountries(file: string): void {
  try {
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
    throw new GuardConfigError(`countryFile can't be used: ${(error as Error).message}.`);
  }
}
