import { isJsonObject, type JsonObject } from '@bailiwick/protocol';
import { BailiwickError } from './errors.ts';
import type { PeerFetch } from './identity.ts';
import { shown } from './urls.ts';

/** What asking takes. */
export interface Asking {
  fetch: PeerFetch;
  timeoutMs: number;
}

/** An answer read to its end, within bounds. */
export interface Answer {
  status: number;
  headers: Headers;
  /** The body if it was a JSON object. */
  json: JsonObject | undefined;
}

const maxBytes = 65_536;
const redirects = new Set([301, 302, 303, 307, 308]);

/**
 * One small request of our own (discovery, tokens): no redirects, no cookies, at most 64 KiB, within the time limit.
 * @param step what is being done, for errors: "finding the metadata of the API"
 * @throws BailiwickError `network`, `timeout`, `too_large`, `redirect_refused`
 */
export async function ask(deps: Asking, step: string, url: URL, init: RequestInit = {}): Promise<Answer> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), deps.timeoutMs);
  try {
    const exchange = readAnswer(deps, step, url, {
      ...init,
      redirect: 'manual',
      credentials: 'omit',
      signal: limit.signal,
    });
    // A fetch that ignores its signal must not hold us either.
    return await orAborted(exchange, limit.signal);
  } catch (error) {
    if (error instanceof BailiwickError) throw error;
    if (limit.signal.aborted) {
      throw new BailiwickError('timeout', `${step}: ${shown(url)} did not answer within ${deps.timeoutMs} ms`, {
        hint: 'is it up, and can this machine reach it?',
      });
    }
    throw networkError(step, url, error);
  } finally {
    clearTimeout(timer);
    limit.abort();
  }
}

async function readAnswer(deps: Asking, step: string, url: URL, init: RequestInit): Promise<Answer> {
  const response = await deps.fetch(url.href, init);
  const { status, headers } = response;
  if (isRedirect(response)) {
    discard(response);
    throw new BailiwickError('redirect_refused', `${step}: ${shown(url)} redirects, which is not followed here`, {
      status,
      hint: 'name the final address instead',
    });
  }
  const bytes = await readLimited(response, step, url);
  return { status, headers, json: parseObject(bytes) };
}

/**
 * The JSON object in somebody's answer, at most 64 KiB of it; undefined if it isn't one.
 * @throws BailiwickError `too_large`; and the reason of the signal when it takes longer than so many ms
 */
export async function readObject(response: Response, mostMs: number): Promise<JsonObject | undefined> {
  const reading = readLimited(response, 'reading an answer', new URL(response.url || 'about:blank'));
  try {
    return parseObject(await orAborted(reading, AbortSignal.timeout(mostMs)));
  } finally {
    discard(response);
  }
}

async function readLimited(response: Response, step: string, url: URL): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (response.body === null) return Buffer.alloc(0);
  for await (const chunk of response.body) {
    length += chunk.length;
    if (length > maxBytes) {
      throw new BailiwickError('too_large', `${step}: ${shown(url)} answered with more than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseObject(bytes: Buffer): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Does this response send us elsewhere? Also in the form that browsers give it, without status and headers. */
export function isRedirect(response: Response): boolean {
  return response.type === 'opaqueredirect' || redirects.has(response.status);
}

/** Lets a response go that nobody will read, so that its connection is free. */
export function discard(response: Response): void {
  response.body?.cancel().catch(() => {});
}

/** The promise, or the signal's reason as soon as it is aborted. Others who wait for the same promise are not disturbed. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return promise;
  if (signal.aborted) promise.catch(() => {});
  signal.throwIfAborted();
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * A failed exchange, told without the error behind it: that one may hold the request with its headers,
 * and is some other library's.
 */
export function networkError(step: string, url: URL, error: unknown): BailiwickError {
  const code = errorCode(error) ?? errorCode((error as { cause?: unknown } | null)?.cause);
  return new BailiwickError(
    'network',
    `${step}: ${shown(url)} could not be reached${code === undefined ? '' : ` (${code})`}`,
    {
      hint: hintFor(code),
    },
  );
}

function hintFor(code: string | undefined): string {
  if (code === 'ERR_SPIFFE_ID_MISMATCH') return 'the server proves another SPIFFE ID than peer, or none';
  if (code !== undefined && /SELF_SIGNED|UNABLE_TO|ISSUER_CERT/.test(code)) {
    return 'nobody who is believed here vouches for its certificate: if it should be believed, name its authority with the option ca';
  }
  if (code?.endsWith('CERTIFICATE_REQUIRED') === true) {
    return 'it wants a certificate before it says anything, and anonymous requests present none: name the API with the option resource';
  }
  return 'is it up, is the address right, and does its certificate hold?';
}

function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,50}$/.test(code) ? code : undefined;
}
