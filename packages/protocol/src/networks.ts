import { BlockList, isIP } from 'node:net';

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
    const [address = '', prefix, ...rest] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    const bits = family === 'ipv6' ? 128 : 32;
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
    if (isIP(address) === 0 || !(length <= bits) || rest.length > 0)
      throw new Error(`"${entry}" is no address and no network like 10.0.0.0/8`);
    blocks.addSubnet(address, length, family);
  }
  return (address) => {
    const plain = plainAddress(address);
    const version = isIP(plain);
    return version !== 0 && blocks.check(plain, version === 6 ? 'ipv6' : 'ipv4');
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

/** An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is that IPv4 address. */
export function plainAddress(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}
