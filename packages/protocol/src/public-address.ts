/**
 * Which addresses are the public Internet, and which lead somewhere that only a machine or its neighbours can reach.
 * @see RFC 6890 and the IANA registries of special-purpose addresses that it began, as of October 2025
 */
import { canonicalAddress, networks } from './networks.ts';

const isSpecial4 = networks([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4', // multicast
  '240.0.0.0/4',
]);

/** Whatever lies outside of it is not the public Internet. */
const isGlobal6 = networks(['2000::/3']);
const isSpecial6 = networks([
  '2001::/23', // Teredo, benchmarking, ORCHID and their kin
  '2001:db8::/32',
  '2002::/16', // 6to4: an IPv4 address in disguise
  '2620:4f:8000::/48',
  '3fff::/20',
]);

/** Whether an address is of the public Internet. What is no address is not. */
export function isPublicAddress(address: string): boolean {
  const plain = canonicalAddress(address);
  if (plain === undefined) return false;
  return plain.includes(':') ? isGlobal6(plain) && !isSpecial6(plain) : !isSpecial4(plain);
}
