/**
 * Which addresses are the public Internet, and which lead somewhere that only this machine or its neighbours can reach.
 * @see RFC 6890 and the IANA registries of special-purpose addresses that it began, as of October 2025
 */
import { BlockList, isIP } from 'node:net';
import { networks } from '@bailiwick/protocol';

type Network = readonly [address: string, bits: number];

const special4: readonly Network[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4],
];

/** Within 2000::/3; whatever lies outside of it is not the public Internet. */
const special6: readonly Network[] = [
  ['2001::', 23], // Teredo, benchmarking, ORCHID and their kin
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4: an IPv4 address in disguise
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
];

const notPublic4 = listOf(special4, 'ipv4');
const notPublic6 = listOf(special6, 'ipv6');
const global6 = listOf([['2000::', 3]], 'ipv6');
const loopback = listOf([['127.0.0.0', 8]], 'ipv4');

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
    if (family === 4) {
      if (loopback.check(address, 'ipv4')) return reach.loopback;
      return !notPublic4.check(address, 'ipv4');
    }
    if (groupsOf(address) === groupsOf('::1')) return reach.loopback;
    return global6.check(address, 'ipv6') && !notPublic6.check(address, 'ipv6');
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

function listOf(networks: readonly Network[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  for (const [address, bits] of networks) list.addSubnet(address, bits, family);
  return list;
}
