import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';

/**
 * As much of `fetch` as the feed needs, over `node:http`, where a connection can be told to keep no process alive. Follows no redirect.
 *
 * `fetch` itself would hold a script that has nothing left to do for as long as its guard listens.
 */
export const followFetch: typeof globalThis.fetch = (input, init = {}) =>
  new Promise((resolve, reject) => {
    const { method = 'GET', body, signal } = init;
    const url = new URL(String(input));
    const { request: send } = url.protocol === 'https:' ? https : http;
    const headers = Object.fromEntries(new Headers(init.headers));
    const request = send(url, { method, headers, ...(signal ? { signal } : {}) });
    request.on('error', reject);
    request.on('socket', (socket) => {
      socket.setNoDelay(true);
      socket.unref();
    });
    request.on('response', (response) => resolve(asResponse(response)));
    request.end(body as string | Uint8Array | undefined);
  });

function asResponse(response: IncomingMessage): Response {
  const headers = new Headers();
  const { rawHeaders, statusCode: status = 500 } = response;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    headers.append(rawHeaders[index] as string, rawHeaders[index + 1] as string);
  }
  // a connection that breaks is told to whoever reads; if nobody does, it is nobody's business
  response.on('error', () => {});
  const isEmpty = status === 204 || status === 304;
  if (isEmpty) response.resume();
  const body = isEmpty ? null : (Readable.toWeb(response) as ReadableStream<Uint8Array>);
  return new Response(body, { status, headers });
}
