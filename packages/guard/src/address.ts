import { isIP } from 'node:net';
import { type Networks, plainAddress } from '@bailiwick/protocol';

/**
 * The address that a request came from: the other end of the connection, or, as far back as trusted proxies vouch, whom they name
 * in `X-Forwarded-For`. What is written left of the first address that we don't trust was written by that one: it is not read.
 */
export function clientAddress(
  remoteAddress: string | undefined,
  forwardedFor: readonly string[] | undefined,
  isTrusted: Networks,
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
