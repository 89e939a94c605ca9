import { BlockList, isIP } from 'node:net';
import { formatPrefix, masked, readAddress, readNetwork } from './address.ts';
import { boundedCache } from './bounded-cache.ts';

/** Whether an address is one of these, or in one of these networks. */
export type Networks = (address: string) => boolean;

/**
 * Reads a list of addresses and networks: `10.0.0.0/8`, `::1`.
 * @throws Error naming the entry that is neither
 */
export function networks(list: readonly string[]): Networks {
  if (list.length === 0) return () => false;
  const blocks = new BlockList();
  for (const entry of list) {
    const network = readNetwork(entry);
    if (network === undefined) throw new Error(`"${entry}" is no address and no network like 10.0.0.0/8`);
    const [address = ''] = formatPrefix(masked(network)).split('/');
    blocks.addSubnet(address, network.length, network.bits === 32 ? 'ipv4' : 'ipv6');
  }
  return (address) => {
    const plain = canonicalAddress(address);
    return plain !== undefined && blocks.check(plain, plain.includes(':') ? 'ipv6' : 'ipv4');
  };
}

/** Whether every entry is an address or a network. */
export function areNetworks(list: readonly string[]): boolean {
  try {
    networks(list);
    return true;
  } catch {
    return false;
  }
}

/**
 * An address in its one canonical form (RFC 5952; IPv4 written as IPv6, `::ffff:192.0.2.1`, is that IPv4 address); undefined for what is
 * no address.
 */
export function canonicalAddress(text: string): string | undefined {
  if (isIP(text) === 4) return text; // has one spelling
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text) ?? [];
  if (mapped !== undefined && isIP(mapped) === 4) return mapped; // as a socket for both families names its callers
  const before = spelled.get(text);
  if (before !== undefined) return before;
  const one = readAddress(text);
  if (one === undefined) return undefined;
  const plain = formatPrefix(one);
  spelled.set(text, plain);
  return plain;
}

/** Every request asks for the spelling of an address, mostly of one that was here before. */
const spelled = boundedCache<string>(4_096);
