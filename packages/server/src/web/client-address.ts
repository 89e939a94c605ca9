/** From where a request came. This decides it for all of the server: Fastify's own `request.ip` is not used. */
import type { IncomingMessage } from 'node:http';
import { clientAddress, type Networks, networks } from '@bailiwick/protocol';
import type { Config } from '../config.ts';

/** What stands for an address that nobody knows: a trusted proxy names none, or one that can't be read. It is in no network. */
export const unknownAddress = 'unknown';

/**
 * The address of the client in its canonical form, through the proxies of the configuration alone and by the one header that they write;
 * else `unknown`.
 */
export function addressOf(
  { config }: { config: Pick<Config, 'trusted_proxies' | 'forwarded_header'> },
  { raw }: { raw: IncomingMessage },
): string {
  const { trusted_proxies: proxies, forwarded_header: header } = config;
  const remote = raw.socket.remoteAddress;
  const lines = proxies.length === 0 ? undefined : raw.headersDistinct[header];
  return clientAddress(remote, header, lines, proxiesOf(proxies)) ?? unknownAddress;
}

const read = new WeakMap<readonly string[], Networks>();

function proxiesOf(list: readonly string[]): Networks {
  let isProxy = read.get(list);
  if (isProxy === undefined) {
    isProxy = networks(list);
    read.set(list, isProxy);
  }
  return isProxy;
}
