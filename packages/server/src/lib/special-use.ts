/** Which addresses this server may connect to when it fetches something. */
import { isIP } from 'node:net';
import { isPublicAddress, networks } from '@bailiwick/protocol';

const isLoopback4 = networks(['127.0.0.0/8']);

/** ::ffff:0:0/96 and 64:ff9b::/96: whoever connects there reaches the IPv4 address in the last 32 bits. */
const carriesIpv4 = /^(?:0000:){5}ffff:|^0064:ff9b:(?:0000:){4}/;

/** Which addresses may be connected to. */
export interface Reach {
  /** 127.0.0.0/8 and ::1. */
  loopback: boolean;
  /** Addresses or networks in CIDR notation that may be reached though they are not public. */
  networks: readonly string[];
}

/**
 * A test for single addresses: true for public ones, and for what `reach` adds. IPv4 addresses that are mapped or embedded
 * in IPv6 (`::ffff:…`, NAT64) are judged as what they lead to; anything that is no plain address is refused.
 */
export function mayReach(reach: Reach): (address: string) => boolean {
  const isAdded = networks(reach.networks);
  return (given) => {
    const address = unwrapped(given);
    const family = isIP(address);
    if (family === 0 || address.includes('%')) return false;
    if (isAdded(address)) return true;
    if (family === 4) return isLoopback4(address) ? reach.loopback : isPublicAddress(address);
    if (groupsOf(address) === groupsOf('::1')) return reach.loopback;
    return isPublicAddress(address);
  };
}

/** The IPv4 address that an IPv6 address leads to, or the address itself. */
function unwrapped(address: string): string {
  if (isIP(address) !== 6 || address.includes('%')) return address;
  const groups = groupsOf(address);
  if (!carriesIpv4.test(groups)) return address;
  const bytes = groups.replaceAll(':', '').slice(-8).match(/../g) ?? [];
  return bytes.map((byte) => Number.parseInt(byte, 16)).join('.');
}

/** An IPv6 address written out: eight groups of four digits. */
function groupsOf(address: string): string {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (high: string, low: string) => ((Number(high) << 8) | Number(low)).toString(16);
  const [, head = '', a = '', b = '', c = '', d = ''] = dotted ?? [];
  const text = dotted ? `${head}${hex(a, b)}:${hex(c, d)}` : address;
  const [left = '', right] = text.split('::');
  const before = left === '' ? [] : left.split(':');
  const behind = right === undefined || right === '' ? [] : right.split(':');
  const zeros = Array.from({ length: 8 - before.length - behind.length }, () => '0');
  return [...before, ...zeros, ...behind].map((group) => group.toLowerCase().padStart(4, '0')).join(':');
}
