import { isIPv4 } from 'node:net';

/**
 * Is this host name, as a URL parser gives it, this machine, so that plain http to it crosses no network? `localhost`, 127.0.0.0/8 and `[::1]`.
 * Not `x.localhost`: some resolvers ask the network about it.
 * @see RFC 8252 §8.3, RFC 6761 §6.3
 */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (hostname.startsWith('127.') && isIPv4(hostname));
}
