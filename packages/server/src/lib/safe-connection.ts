/**
 * Where a fetch connects to, and to whom: the very addresses that were looked at, so that a name which changes its mind in between gains nothing,
 * and a server that is who it should be. For `safe-fetch.ts` and `safe-connect.ts`.
 */
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { isIP, type LookupFunction } from 'node:net';
import {
  type ConnectionOptions,
  connect,
  type DetailedPeerCertificate,
  getCACertificates,
  type TLSSocket,
} from 'node:tls';

/** What `code` says: `refused` without asking anyone; `unreachable`, `untrusted`, `timeout`: no answer; `unusable`: a bad one. */
export type FetchFault = 'refused' | 'unreachable' | 'untrusted' | 'timeout' | 'unusable';

/** Why there is no document. `message` is for people, and repeats nothing that the other side wrote. */
export class FetchError extends Error {
  readonly code: FetchFault;
  constructor(code: FetchFault, message: string) {
    super(message);
    this.name = 'FetchError';
    this.code = code;
  }
}

interface Address {
  address: string;
  family: number;
}

/** What tests own: whom names lead to. */
export type Resolve = (host: string) => Promise<readonly Address[]>;

export const systemResolve: Resolve = (host) => lookup(host, { all: true, order: 'verbatim' });

const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, '$1');

/** Those of its addresses that may be reached. @throws FetchError */
export async function checkedAddresses(url: URL, resolve: Resolve, allowed: (address: string) => boolean) {
  const host = hostOf(url);
  const literal = isIP(host);
  let found: readonly Address[];
  try {
    found = literal === 0 ? await resolve(host) : [{ address: host, family: literal }];
  } catch {
    throw new FetchError('unreachable', `the name ${host} leads nowhere`);
  }
  if (found.length === 0) throw new FetchError('unreachable', `the name ${host} leads nowhere`);
  const open = found.filter(({ address }) => allowed(address));
  if (open.length > 0) return open;
  throw new FetchError(
    'refused',
    `${literal === 0 ? `${host} leads to an address that` : host} is not public: this server fetches from public addresses ` +
      'alone, and from those in outbound.dangerously_private_networks',
  );
}

/**
 * Who the server must be, instead of what the Web's authorities say: gets the certificates that it presented (DER, leaf first)
 * and throws unless they will do. Nothing is sent before that.
 */
export type Verify = (chain: Buffer[]) => void | Promise<void>;

/** By whom the other end is known, and what is shown to it. */
export interface Trust {
  ca: string[] | undefined;
  verify: Verify | undefined;
  /** A certificate of ours and its key, PEM. */
  client?: { cert: string; key: string } | undefined;
  /** What is spoken there, where that is not HTTP. */
  protocols?: string[];
}

/** A connection to one of these addresses, whose other end is who it should be. */
export async function connected(
  url: URL,
  addresses: readonly Address[],
  trust: Trust,
  signal: AbortSignal,
): Promise<TLSSocket> {
  signal.throwIfAborted();
  const host = hostOf(url);
  const named = isIP(host) === 0;
  const options: ConnectionOptions = {
    host,
    port: Number(url.port || 443),
    // no second look at the name: it may lead elsewhere by now
    lookup: answering(addresses),
    minVersion: 'TLSv1.2',
    ALPNProtocols: trust.protocols ?? ['http/1.1'],
    ...trust.client,
    ...(named && { servername: host }),
    ...(trust.ca && { ca: trust.ca }),
    rejectUnauthorized: trust.verify === undefined, // said, so that no variable of the environment says otherwise
    ...(trust.verify && { checkServerIdentity: () => undefined }),
  };
  const socket = connect(options);
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      socket.once('secureConnect', resolve).once('error', (error) => reject(connectionFault(url, error)));
      socket.once('close', () => reject(new FetchError('unreachable', `${url.host} closed the connection`)));
    });
    await trust.verify?.(presented(socket));
    return socket;
  } catch (error) {
    socket.on('error', () => {}); // whatever comes after the verdict changes nothing
    socket.destroy();
    if (error instanceof FetchError) throw error;
    // a verifier's own sentence
    throw new FetchError('untrusted', `${url.host} is not who it should be: ${(error as Error).message}`);
  }
}

/** Answers the addresses that were looked at, whatever it is asked. */
const answering =
  (addresses: readonly Address[]): LookupFunction =>
  (_host, { all }, done) => {
    const [first] = addresses as [Address];
    if (all) done(null, [...addresses]);
    else done(null, first.address, first.family);
  };

function connectionFault(url: URL, error: NodeJS.ErrnoException): FetchError {
  const code = error.code ?? '';
  if (/^CERT_|^UNABLE_TO_|^ERR_TLS_CERT|SELF_SIGNED|^HOSTNAME_MISMATCH|^INVALID_CA|^PATH_LENGTH/.test(code)) {
    return new FetchError('untrusted', `the certificate of ${url.host} is not to be trusted (${code})`);
  }
  return new FetchError(
    'unreachable',
    `${url.host} can't be connected to${/^[A-Z_]{3,60}$/.test(code) ? ` (${code})` : ''}`,
  );
}

/** What the other side presented, as far as it chains: leaf first, a root at most at the end. */
function presented(socket: TLSSocket): Buffer[] {
  const chain: Buffer[] = [];
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (next?.raw && chain.length < 10 && !chain.some((known) => known.equals(next?.raw as Buffer))) {
    chain.push(next.raw);
    next = next.issuerCertificate;
  }
  return chain;
}

/** The Web's authorities and those of the file; undefined means the Web's alone. Read at each use: files change. */
export function authorities(file: string | undefined): string[] | undefined {
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new FetchError(
      'refused',
      `outbound.ca_file: ${file} can't be read (${(error as NodeJS.ErrnoException).code})`,
    );
  }
  const own = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (own.length === 0) throw new FetchError('refused', `outbound.ca_file: ${file} has no certificate in PEM`);
  return [...getCACertificates('default'), ...own];
}
