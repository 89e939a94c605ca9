import { BlockList, isIP } from 'node:net';

/** Which proxies may say for whom they speak. */
export type TrustedProxies = (address: string) => boolean;

/**
 * Reads a list of addresses and networks: `10.0.0.0/8`, `::1`.
 * @throws Error naming the entry that is neither
 */
export function networks(list: readonly string[]): TrustedProxies {
  if (list.length === 0) return () => false;
  const blocks = new BlockList();
  for (const entry of list) {
    const [address = '', prefix] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    const bits = family === 'ipv6' ? 128 : 32;
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
    if (isIP(address) === 0 || !(length <= bits))
      throw new Error(`"${entry}" is no address and no network like 10.0.0.0/8`);
    blocks.addSubnet(address, length, family);
  }
  return (address) => {
    const plain = plainAddress(address);
    const version = isIP(plain);
    return version !== 0 && blocks.check(plain, version === 6 ? 'ipv6' : 'ipv4');
  };
}

/**
 * The address that a request came from: the other end of the connection, or, as far back as trusted proxies vouch, whom they name
 * in `X-Forwarded-For`. What is written left of the first address that we don't trust was written by that one: it is not read.
 */
export function clientAddress(
  remoteAddress: string | undefined,
  forwardedFor: readonly string[] | undefined,
  isTrusted: TrustedProxies,
): string | undefined {
  let address = remoteAddress;
  const hops = forwardedFor === undefined ? [] : forwardedFor.join(',').split(',');
  while (address !== undefined && isTrusted(address)) {
    const hop = hops.pop()?.trim();
    if (hop === undefined || hop === '') break;
    if (isIP(plainAddress(hop)) === 0) return undefined; // a proxy that we trust names something else: don't guess
    address = hop;
  }
  return address === undefined ? undefined : plainAddress(address);
}

/** An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is that IPv4 address. */
function plainAddress(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}
