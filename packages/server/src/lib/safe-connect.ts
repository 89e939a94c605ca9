/** A TLS connection for what isn't HTTP, by the rules of `safe-fetch.ts`: public addresses alone, and a server that is who it should be. */
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { isLoopback } from '@bailiwick/protocol';
import {
  authorities,
  checkedAddresses,
  connected,
  FetchError,
  type Resolve,
  systemResolve,
} from './safe-connection.ts';
import type { FetchSettings } from './safe-fetch.ts';
import { mayReach } from './special-use.ts';

export interface Peer {
  host: string;
  port: number;
  /** PEM: who may vouch for it, instead of the Web's authorities and those of the configuration. */
  ca?: string | undefined;
  /** PEM: what we show, and its key. */
  certificate?: string | undefined;
  key?: string | undefined;
  /** Gives up when it is aborted. */
  signal: AbortSignal;
}

/** @throws FetchError with a sentence that names what was wrong */
export type SafeConnect = (peer: Peer) => Promise<TLSSocket>;

/** A `SafeConnect` for these settings. The caller closes what it answers. */
export function safeConnect({ issuer, outbound }: FetchSettings, resolve: Resolve = systemResolve): SafeConnect {
  const loopback = isLoopback(new URL(issuer).hostname);
  const allowed = mayReach({ loopback, networks: outbound.dangerously_private_networks });
  return async ({ host, port, ca, certificate, key, signal }) => {
    const url = new URL(`https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`);
    const cut = new AbortController();
    const late = new FetchError('timeout', `${host}:${port} did not answer in time`);
    const giveUp = () => cut.abort(late);
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    try {
      const addresses = await checkedAddresses(url, resolve, allowed);
      const socket = await connected(
        url,
        addresses,
        {
          ca: ca === undefined ? authorities(outbound.ca_file) : [ca],
          verify: undefined,
          protocols: [],
          client: certificate !== undefined && key !== undefined ? { cert: certificate, key } : undefined,
        },
        cut.signal,
      );
      if (allowed(socket.remoteAddress ?? '')) return socket;
      socket.destroy();
      throw new FetchError('refused', `${host} was reached at another address than the one that was looked at`);
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  };
}
