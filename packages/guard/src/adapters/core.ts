/**
 * What all adapters do, whatever the framework: a request becomes plain data, the guard decides, and the decision
 * becomes an answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Decision } from '../decide.ts';
import { type Answer, notChecked } from '../refusal.ts';
import { type GuardRequest, guardHeaders, headersOf, pathOf } from '../request.ts';

/**
 * A request of `node:http`, or of the compatible side of `node:http2`, as plain data.
 * @param url the request target as it was sent, where a framework keeps that elsewhere
 */
export function requestFrom(request: IncomingMessage, url: string = request.url ?? ''): GuardRequest {
  const { socket } = request;
  return {
    method: request.method ?? '',
    url,
    headers: headersOf(request.rawHeaders),
    remoteAddress: socket.remoteAddress,
    certificate: certificateOf(socket),
  };
}

/** Asks the guard. Never throws: that a request can't even be read means no, like every error while deciding. */
export async function ask(
  guard: { decide(request: GuardRequest): Promise<Decision> },
  read: () => GuardRequest,
): Promise<Decision> {
  try {
    return await guard.decide(read());
  } catch {
    return notChecked;
  }
}

/** Tells requests for the resource's metadata, which everybody may read, from all others. */
export function metadataTeller(guard: { metadataUrl: string }): (url: string) => boolean {
  const path = new URL(guard.metadataUrl).pathname;
  return (url) => pathOf(url) === path;
}

/** Sends what the guard answers in place of the route. */
export function sendAnswer(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, answer.headers);
  response.end(response.req.method === 'HEAD' ? undefined : answer.body);
}

/** What the guard answers in place of the route, as `fetch` has it. */
export function responseOf({ status, headers, body }: Answer): Response {
  const answer = new Headers();
  for (const [name, values] of Object.entries(headers)) {
    for (const value of Array.isArray(values) ? values : [values]) answer.append(name, value);
  }
  return new Response(body === '' ? null : body, { status, headers: answer });
}

/** Each connection's certificate, once it was asked for: a connection has one for as long as it lasts. */
const certificates = new WeakMap<object, Uint8Array>();

/** How to learn the certificate of a connection; undefined for one without TLS, or whose server asks for no certificates. */
function certificateOf(socket: IncomingMessage['socket']): GuardRequest['certificate'] {
  const { encrypted, server } = socket as Partial<TLSSocket> & { server?: { requestCert?: boolean } };
  if (encrypted !== true || server?.requestCert === false) return undefined;
  return () => {
    const known = certificates.get(socket);
    if (known !== undefined) return known;
    const certificate = (socket as TLSSocket).getPeerX509Certificate()?.raw;
    if (certificate !== undefined) certificates.set(socket, certificate);
    return certificate;
  };
}

/** Path and query of a URL as it stands there: parsing it anew would hide how it was written. */
export function targetOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3);
  const end = url.indexOf('#');
  return start < 0 ? '/' : url.slice(start, end < 0 ? undefined : end);
}

/** Repeated headers arrive joined by commas here: what must not be repeated is refused for its comma. */
export function headersIn(headers: Headers): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const name of guardHeaders) {
    const value = headers.get(name);
    if (value !== null) found[name] = [value];
  }
  return found;
}
