/**
 * The one way by which this server fetches something from an address that somebody else chose: https alone, no redirects,
 * the public Internet alone, and bounds on everything.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { isLoopback } from '@bailiwick/protocol';
import {
  authorities,
  checkedAddresses,
  connected,
  FetchError,
  type Resolve,
  systemResolve,
  type Verify,
} from './safe-connection.ts';
import { mayReach } from './special-use.ts';

export { FetchError, type FetchFault, type Resolve } from './safe-connection.ts';

/** Gets a document. @throws FetchError with a sentence that names what was wrong, and nothing of what was received */
export type SafeFetch = (url: string, wanted: Wanted) => Promise<Fetched>;

export interface Wanted {
  /** Media types that are taken, such as `application/json`; the first is asked for. */
  types: readonly string[];
  maxBytes: number;
  /** Who the server must be, where the Web's authorities don't say it. */
  verify?: Verify;
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

export interface FetchSettings {
  issuer: string;
  outbound: { ca_file?: string | undefined; timeout_seconds: number; dangerously_private_networks: readonly string[] };
}

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
