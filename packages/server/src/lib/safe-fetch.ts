/**
 * The one way by which this server fetches something from an address that somebody else chose: https alone, no redirects,
 * the public Internet alone, and bounds on everything. What is connected to is the very address that was looked at, so that a name
 * which changes its mind in between gains nothing.
 */
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import {
  type ConnectionOptions,
  connect,
  type DetailedPeerCertificate,
  getCACertificates,
  type TLSSocket,
} from 'node:tls';
import { isLoopback } from '@bailiwick/protocol';
import { mayReach } from './special-use.ts';

/** Gets a document. @throws FetchError with a sentence that names what was wrong, and nothing of what was received */
export type SafeFetch = (url: string, wanted: Wanted) => Promise<Fetched>;

export interface Wanted {
  /** Media types that are taken, such as `application/json`; the first is asked for. */
  types: readonly string[];
  maxBytes: number;
  /**
   * Who the server must be, instead of what the Web's authorities say: gets the certificates that it presented (DER, leaf first)
   * and throws unless they will do. Nothing is sent before that.
   */
  verify?: (chain: Buffer[]) => void | Promise<void>;
  /** What is sent, where that is more than a question. It goes nowhere before the other side is known. */
  send?: {
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
    headers?: Readonly<Record<string, string>>;
    body?: string | Buffer;
  };
  /** Headers beside ours. */
  headers?: Readonly<Record<string, string>>;
  /** Every answer but a redirect is one, whatever its status and type: the caller looks at them. Without: 200 alone. */
  anyStatus?: true;
  /** Longer than configured (seconds), for whoever waits for news. */
  timeoutSeconds?: number;
  /** Gives up when it is aborted. */
  signal?: AbortSignal;
}

export interface Fetched {
  status: number;
  headers: IncomingHttpHeaders;
  /** The media type, without parameters. */
  type: string;
  body: Buffer;
}

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

export interface FetchSettings {
  issuer: string;
  outbound: { ca_file?: string | undefined; timeout_seconds: number; dangerously_private_networks: readonly string[] };
}

interface Address {
  address: string;
  family: number;
}

/** What tests own: whom names lead to. */
export type Resolve = (host: string) => Promise<readonly Address[]>;

export const systemResolve: Resolve = (host) => lookup(host, { all: true, order: 'verbatim' });

const maxUrlLength = 2048;
const maxHeaderBytes = 16 * 1024;

/**
 * A `SafeFetch` for these settings.
 * @throws FetchError when `outbound.ca_file` can't be used: at the start, rather than in the night
 */
export function safeFetch({ issuer, outbound }: FetchSettings, resolve: Resolve = systemResolve): SafeFetch {
  const loopback = isLoopback(new URL(issuer).hostname);
  const allowed = mayReach({ loopback, networks: outbound.dangerously_private_networks });
  authorities(outbound.ca_file);
  return async (text, wanted) => {
    const url = checkedUrl(text);
    const seconds = wanted.timeoutSeconds ?? outbound.timeout_seconds;
    const timeoutMs = seconds * 1000;
    const cut = new AbortController();
    const late = new FetchError('timeout', `${url.host} did not answer in full within ${seconds} s`);
    const given = new FetchError('timeout', `${url.host} was not waited for any longer`);
    let timer: NodeJS.Timeout | undefined;
    let giveUp = () => {};
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(late);
        cut.abort(late);
      }, timeoutMs);
      giveUp = () => {
        reject(given);
        cut.abort(given);
      };
      wanted.signal?.addEventListener('abort', giveUp, { once: true });
      if (wanted.signal?.aborted) giveUp();
    });
    const work = async () => {
      const addresses = await checkedAddresses(url, resolve, allowed);
      const trust = { ca: authorities(outbound.ca_file), verify: wanted.verify };
      const socket = await connected(url, addresses, trust, cut.signal);
      try {
        if (!allowed(socket.remoteAddress ?? '')) {
          throw new FetchError('refused', `${url.host} was reached at another address than the one that was looked at`);
        }
        return await document(url, socket, wanted, cut.signal);
      } finally {
        socket.destroy();
      }
    };
    try {
      return await Promise.race([work(), timeout]);
    } finally {
      clearTimeout(timer);
      wanted.signal?.removeEventListener('abort', giveUp);
    }
  };
}

function checkedUrl(text: string): URL {
  const fault = urlFault(text);
  if (fault !== undefined) throw new FetchError('refused', `the URL ${fault}`);
  return new URL(text);
}

/** What is wrong with a URL as one to fetch from, completing "the URL …"; undefined if nothing is. */
export function urlFault(text: string): string | undefined {
  if (text.length > maxUrlLength) return `is longer than ${maxUrlLength} characters`;
  if (!URL.canParse(text)) return 'is none';
  const url = new URL(text);
  if (url.protocol !== 'https:') return 'must begin with https://';
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or password';
  if (url.hash !== '' || text.includes('#')) return 'must not have a fragment';
  return undefined;
}

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

/** By whom the other end is known, and what is shown to it. */
export interface Trust {
  ca: string[] | undefined;
  verify: Wanted['verify'];
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

async function document(url: URL, socket: TLSSocket, wanted: Wanted, signal: AbortSignal): Promise<Fetched> {
  signal.throwIfAborted(); // a verifier may have taken its time
  return new Promise((resolve, reject) => {
    const unusable = (why: string) => reject(new FetchError('unusable', `${url.host} ${why}`));
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    const { send, headers } = wanted;
    const length = send?.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(send.body)) };
    const asked = request(url, {
      createConnection: () => socket,
      ...(send && { method: send.method }),
      headers: {
        accept: wanted.types.join(', ') || '*/*',
        'user-agent': 'bailiwick',
        ...headers,
        ...send?.headers,
        ...length,
        connection: 'close',
      },
      maxHeaderSize: maxHeaderBytes,
    });
    asked.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'HPE_HEADER_OVERFLOW') unusable(`sent more than ${maxHeaderBytes} bytes of headers`);
      else unusable('did not answer as HTTP has it');
    });
    asked.once('upgrade', () => unusable('wanted to speak another protocol'));
    asked.once('response', (response) => {
      const fault = headFault(response, wanted);
      if (fault !== undefined) return unusable(fault);
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > wanted.maxBytes) {
          unusable(`sent more than ${wanted.maxBytes} bytes`);
          socket.destroy();
        } else parts.push(part);
      });
      response.once('end', () => {
        const { statusCode: status = 0, headers } = response;
        if (response.complete) resolve({ status, headers, type: mediaType(response), body: Buffer.concat(parts) });
        else unusable('broke off in the middle');
      });
      response.once('error', () => unusable('broke off in the middle'));
      response.once('aborted', () => unusable('broke off in the middle'));
    });
    asked.end(send?.body);
  });
}

/** What is wrong with an answer before its body, completing "<host> …". */
function headFault(response: IncomingMessage, { types, maxBytes, anyStatus }: Wanted): string | undefined {
  const { statusCode: status = 0, headers } = response;
  if (status >= 300 && status < 400) return `answered with a redirect (${status}), which is not followed`;
  if (!anyStatus && status !== 200) return `answered with ${status} and not with 200`;
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity')
    return 'sent a compressed body';
  if (Number(headers['content-length'] ?? 0) > maxBytes) return `wants to send more than ${maxBytes} bytes`;
  if (!anyStatus && !types.includes(mediaType(response))) return `did not send ${types.join(' or ')}`;
  return undefined;
}

const mediaType = (response: IncomingMessage): string =>
  (response.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';

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
