import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';
import { urlToHttpOptions } from 'node:url';

/**
 * As much of `fetch` as the feed needs, over `node:http`, where a connection can be told to keep no process alive. Follows no redirect.
 *
 * `fetch` itself would hold a script that has nothing left to do for as long as its guard listens.
 */
export const followFetch: typeof globalThis.fetch = (input, init = {}) =>
  new Promise((resolve, reject) => {
    const { method = 'GET', body, signal } = init;
    const target = targetOf(String(input));
    const { request: send } = target.protocol === 'https:' ? https : http;
    const request = send({ ...target, method, headers: headersOf(init.headers), ...(signal ? { signal } : {}) });
    request.on('error', reject);
    request.on('socket', (socket) => {
      socket.setNoDelay(true);
      socket.unref();
    });
    request.on('response', (response) => resolve(asResponse(response)));
    if (body instanceof ReadableStream) writeAll(request, body).catch((error) => request.destroy(error));
    else request.end(body as string | Uint8Array | undefined);
  });

/** A body that goes on while the answer is there already. */
async function writeAll(request: ClientRequest, body: ReadableStream): Promise<void> {
  for await (const part of body) {
    if (!request.write(part)) await new Promise((resolve) => request.once('drain', resolve).once('close', resolve));
  }
  request.end();
}

/** The same few addresses are asked again and again: each is taken apart once. */
const targets = new Map<string, ReturnType<typeof urlToHttpOptions>>();
const targetsAtMost = 64;

function targetOf(url: string): ReturnType<typeof urlToHttpOptions> {
  const known = targets.get(url);
  if (known !== undefined) return known;
  const target = urlToHttpOptions(new URL(url));
  if (targets.size >= targetsAtMost) targets.clear();
  targets.set(url, target);
  return target;
}

function headersOf(headers: RequestInit['headers']): Record<string, string> {
  const isRecord = headers !== undefined && Object.getPrototypeOf(headers) === Object.prototype;
  return isRecord ? { ...(headers as Record<string, string>) } : Object.fromEntries(new Headers(headers));
}

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
