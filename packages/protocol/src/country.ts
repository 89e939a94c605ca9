import { isCountry } from './context.ts';
import { canonicalAddress } from './networks.ts';
import { isPublicAddress } from './public-address.ts';

/** What reads the format, as the package `mmdb-lib` does. Whoever needs countries brings it: an agent doesn't. */
export type MmdbReader = new (bytes: Buffer) => { get(address: string): unknown };

/**
 * Reads a database of countries (MMDB) and answers in which one an address is, as ISO 3166-1 alpha-2 in capitals. Undefined for what
 * the database doesn't know, and for what is no address of the public Internet: registries write a country beside private ones too.
 * @param bytes the whole file, with countries as `country_code` or, as MaxMind has them, `country.iso_code`
 * @throws Error when it is no such file
 */
export function countryReader(bytes: Buffer, Reader: MmdbReader): (address: string) => string | undefined {
  let reader: InstanceType<MmdbReader>;
  try {
    reader = new Reader(bytes);
  } catch (error) {
    throw new Error(`it is no MMDB file: ${(error as Error).message}`);
  }
  return (address) => {
    const plain = canonicalAddress(address);
    return plain === undefined || !isPublicAddress(plain) ? undefined : countryIn(reader.get(plain));
  };
}

function countryIn(record: unknown): string | undefined {
  const { country_code, country } = (record ?? {}) as { country_code?: unknown; country?: { iso_code?: unknown } };
  const code = country_code ?? country?.iso_code;
  return isCountry(code) ? code : undefined;
}

/** Such a file ends with a description of itself, which begins with this. */
const marker = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1');

/** How much of the end of a file has that description in it. */
export const countryFileTail = 128 * 1024;

/** Whether this can be the end of such a file: looked at before there is a reason to read all of it. */
export const isCountryFileTail = (tail: Buffer): boolean => tail.includes(marker);
