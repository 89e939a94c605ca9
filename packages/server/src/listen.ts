/**
 * Sockets: every address of the configuration, on one port for everybody, with TLS where it says so, and on a port of
 * its own for mutual TLS.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Config } from './config.ts';
import { pem } from './lib/pem.ts';
import { type CertificateSource, mutualTlsServer } from './mutual-tls.ts';

export interface Listeners {
  port: number;
  /** As URLs. */
  addresses: string[];
  /** The listener for mutual TLS, where there is one. */
  mtls: { port: number; addresses: string[] } | undefined;
  /** Stops accepting; requests under way may finish within `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** One port on every address. */
interface Bound {
  servers: Server[];
  /** Every open connection, in the middle of a TLS handshake too: of those an HTTP server doesn't know yet. */
  sockets: Set<Socket>;
  port: number;
  addresses: string[];
}

/** How long whoever connects may take. Milliseconds. */
const limits = { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 65_000, noDelay: true };

/**
 * Listens on every address, for everybody and for mutual TLS. Of several, one that this machine doesn't have (no IPv6,
 * say) is passed over.
 * @param certificate what the listener for mutual TLS shows; asked for at the first connection, so that it costs nothing until then
 * @throws Error with a sentence when a port is taken or the TLS files can't be read
 */
export async function listen(
  config: Config,
  handle: RequestListener,
  certificate: CertificateSource,
): Promise<Listeners> {
  const everybody = await bindAll(config.host, config.port, {
    make: () => newServer(config, handle),
    scheme: config.tls ? 'https' : 'http',
    setting: 'BAILIWICK_PORT',
  });
  if (!config.mtls.enabled) {
    const { port, addresses } = everybody;
    return { port, addresses, mtls: undefined, close: (graceMs) => closeAll([everybody], graceMs) };
  }
  try {
    const mutual = await bindAll(config.host, config.mtls.port, {
      make: () => mutualTlsServer(limits, certificate, handle),
      scheme: 'https',
      setting: 'BAILIWICK_MTLS_PORT',
    });
    return {
      port: everybody.port,
      addresses: everybody.addresses,
      mtls: { port: mutual.port, addresses: mutual.addresses },
      close: (graceMs) => closeAll([everybody, mutual], graceMs),
    };
  } catch (error) {
    await closeAll([everybody], 0);
    throw error;
  }
}

async function bindAll(
  hosts: readonly string[],
  wanted: number,
  { make, scheme, setting }: { make: () => Server; scheme: string; setting: string },
): Promise<Bound> {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  let port = wanted;
  try {
    for (const host of hosts) {
      const server = make();
      const missing = await bind(server, host, port, setting);
      if (missing && hosts.length > 1) continue;
      if (missing) throw missing;
      server.on('connection', (socket: Socket) => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
      });
      servers.push(server);
      port = (server.address() as AddressInfo).port;
    }
    if (servers.length === 0) throw new Error(`none of ${hosts.join(', ')} is an address of this machine`);
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  const addresses = servers.map((server) => {
    const { address, family } = server.address() as AddressInfo;
    return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  });
  return { servers, sockets, port, addresses };
}

function newServer(config: Config, handle: RequestListener): Server {
  if (!config.tls) return createServer(limits, handle);
  const { cert, key } = config.tls;
  return createTlsServer(
    { ...limits, cert: pem('tls.cert', cert), key: pem('tls.key', key), minVersion: 'TLSv1.2' },
    handle,
  );
}

/**
 * How many connections wait to be accepted, as far as the system lets them: all guards come back at one moment after a network has failed, and who
 * finds no place is not refused but tries again after seconds, longer than a lease.
 */
const backlog = 4096;

/** Answers the error if the address is not one of this machine's. */
function bind(server: Server, host: string, port: number, setting: string): Promise<Error | undefined> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT') {
        resolve(new Error(`${host} is not an address of this machine`));
      } else if (error.code === 'EADDRINUSE') {
        reject(new Error(`port ${port} is in use: stop what uses it, or set ${setting} to another one`));
      } else if (error.code === 'EACCES') {
        reject(new Error(`port ${port} may not be opened by this user: set ${setting} to one above 1023`));
      } else reject(error);
    });
    server.listen({ host, port, backlog, ipv6Only: host.includes(':') }, () => resolve(undefined));
  });
}

/** How soon a connection is closed whose last request has been answered meanwhile. Milliseconds. */
const idleLooksEvery = 50;

async function closeAll(bound: readonly Bound[], graceMs: number): Promise<void> {
  const servers = bound.flatMap((each) => each.servers);
  const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
  const closeIdle = () => {
    for (const server of servers) server.closeIdleConnections();
  };
  closeIdle();
  const looks = setInterval(() => {
    closeIdle();
    // a spare connection, which a client opened to have one: to Node.js 24 it isn't idle. What was sent before we closed has been read by now
    for (const { sockets } of bound) for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  }, idleLooksEvery);
  const cut = setTimeout(() => {
    for (const server of servers) server.closeAllConnections();
    for (const { sockets } of bound) for (const socket of sockets) socket.destroy();
  }, graceMs);
  await Promise.all(closed);
  clearInterval(looks);
  clearTimeout(cut);
}
