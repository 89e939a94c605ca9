import { type Networks, clientAddress as throughProxies } from '@bailiwick/protocol';

/** The address that a request came from, through trusted proxies that write `X-Forwarded-For`. */
export function clientAddress(
  remoteAddress: string | undefined,
  forwardedFor: readonly string[] | undefined,
  isTrusted: Networks,
): string | undefined {
  return throughProxies(remoteAddress, 'x-forwarded-for', forwardedFor, isTrusted);
}
