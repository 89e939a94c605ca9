import { forwardedHeaders, transactionHeader } from '@bailiwick/protocol';

/** An HTTP request as the guard sees it: plain data, so that one core serves every framework and every test. */
export interface GuardRequest {
  method: string;
  /** The request target as it was sent: path and query, before any rewriting. */
  url: string;
  /** Header values by lower-case name, each occurrence apart: a second `Authorization` must not be lost on the way. */
  headers: Readonly<Record<string, readonly string[] | undefined>>;
  /** The address of the other end of the connection. */
  remoteAddress?: string | undefined;
  /**
   * There only where the connection's TLS ends in this process, and the client was asked for its certificate: the DER of what it
   * presented, or undefined if it presented none. Called for tokens that are bound to a certificate, and not for others.
   */
  certificate?: (() => Uint8Array | undefined) | undefined;
}

/** The headers that the guard reads, in lower case. */
export const guardHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'dpop',
  'client-cert',
  'traceparent',
  transactionHeader,
  ...forwardedHeaders,
]);

/** Picks the headers that the guard reads out of Node's `rawHeaders`, which alone keep repeated ones apart. */
export function headersOf(rawHeaders: readonly string[]): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (!guardHeaders.has(name)) continue;
    const values = headers[name];
    if (values === undefined) headers[name] = [rawHeaders[i + 1]!];
    else values.push(rawHeaders[i + 1]!);
  }
  return headers;
}

/** A request's path, in the two forms that matter. */
export interface Place {
  /** Below the resource's own path; undefined when the request lies outside the resource. */
  path: string | undefined;
  /** The URL that the caller used, as far as the resource's configured identifier tells (never the `Host` header). */
  externalUrl: string;
  query: string;
}

/**
 * Where a request goes, or undefined if its path could mean one thing to the guard and another to the route behind it:
 * empty or dot segments, backslashes, escaped slashes, escapes of plain letters, bytes outside ASCII, absolute forms.
 * @param resource the resource's identifier; `localPath` where that is mounted in this process
 */
export function placeOf(url: string, resource: { base: string; localPath: string }): Place | undefined {
  const path = pathOf(url);
  const query = url.slice(path.length + 1);
  if (!isPlainPath(path)) return undefined;
  const { base, localPath } = resource;
  const inside = localPath === '' || path === localPath || path.startsWith(`${localPath}/`);
  if (!inside) return { path: undefined, externalUrl: new URL(path, base).href, query };
  const below = path.slice(localPath.length);
  return { path: below === '' ? '/' : below, externalUrl: base + below, query };
}

/** The path of a request target, without its query. */
export function pathOf(url: string): string {
  const mark = url.indexOf('?');
  return mark < 0 ? url : url.slice(0, mark);
}

const pathCharacters = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/;
// `%2F` and `%5C` split segments for some, controls end strings for others, and nobody escapes unreserved characters but to hide.
const hidingEscapes = /%(?:[01][0-9A-F]|2[DEF]|3[0-9]|4[1-9A-F]|5[0-9ACF]|6[1-9A-F]|7[0-9AEF])/i;
const emptyOrDotSegment = /\/(?:\.{0,2}\/|\.{1,2}$)/;

/** Whether a path is written in the one way that every router reads alike. */
export function isPlainPath(path: string): boolean {
  return (
    pathCharacters.test(path) && !emptyOrDotSegment.test(path) && !(path.includes('%') && hidingEscapes.test(path))
  );
}
