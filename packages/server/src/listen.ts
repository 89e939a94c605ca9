/** Sockets: every address of the configuration, on one port, with TLS where it says so. */
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Config } from './config.ts';

export interface Listeners {
  port: number;
  /** As URLs. */
  addresses: string[];
  /** Stops accepting; requests under way may finish within `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/**
 * Listens on every address. Of several, one that this machine doesn't have (no IPv6, say) is passed over.
 * @throws Error with a sentence when the port is taken or the TLS files can't be read
 */
export async function listen(config: Config, handle: RequestListener): Promise<Listeners> {
  const servers: Server[] = [];
  let { port } = config;
  try {
    for (const host of config.host) {
      const server = newServer(config, handle);
      const missing = await bind(server, host, port);
      if (missing && config.host.length > 1) continue;
      if (missing) throw missing;
      servers.push(server);
      port = (server.address() as AddressInfo).port;
    }
    if (servers.length === 0) throw new Error(`none of ${config.host.join(', ')} is an address of this machine`);
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  const scheme = config.tls ? 'https' : 'http';
  const addresses = servers.map((server) => {
    const { address, family } = server.address() as AddressInfo;
    return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  });
  return { port, addresses, close: (graceMs) => closeAll(servers, graceMs) };
}

function newServer(config: Config, handle: RequestListener): Server {
  const limits = { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 65_000, noDelay: true };
  if (!config.tls) return createServer(limits, handle);
  const { cert, key } = config.tls;
  return createTlsServer(
    { ...limits, cert: pem('tls.cert', cert), key: pem('tls.key', key), minVersion: 'TLSv1.2' },
    handle,
  );
}

function pem(setting: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Error(`${setting}: ${file} can't be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Answers the error if the address is not one of this machine's. */
function bind(server: Server, host: string, port: number): Promise<Error | undefined> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT') {
        resolve(new Error(`${host} is not an address of this machine`));
      } else if (error.code === 'EADDRINUSE') {
        reject(new Error(`port ${port} is in use: stop what uses it, or set BAILIWICK_PORT to another one`));
      } else if (error.code === 'EACCES') {
        reject(new Error(`port ${port} may not be opened by this user: set BAILIWICK_PORT to one above 1023`));
      } else reject(error);
    });
    server.listen({ host, port, ipv6Only: host.includes(':') }, () => resolve(undefined));
  });
}

async function closeAll(servers: readonly Server[], graceMs: number): Promise<void> {
  const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
  for (const server of servers) server.closeIdleConnections();
  const cut = setTimeout(() => {
    for (const server of servers) server.closeAllConnections();
  }, graceMs);
  await Promise.all(closed);
  clearTimeout(cut);
}
