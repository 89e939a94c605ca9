import type { SafeFetch } from '../lib/safe-fetch.ts';

const maxBytes = 512 * 1024;

/**
 * The one way out, in the shape of `fetch`, for the client of our own that gets tokens elsewhere. Never follows a redirect.
 * @param most how long an answer may take (seconds)
 */
export function fetchBy(safeFetch: SafeFetch, most: number, ending?: AbortSignal): typeof globalThis.fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const body = ['GET', 'HEAD'].includes(request.method) ? undefined : Buffer.from(await request.arrayBuffer());
    const method = request.method as 'POST' | 'PUT' | 'PATCH' | 'DELETE';
    const headers = Object.fromEntries(request.headers);
    const signals = [request.signal, ending].filter((signal) => signal !== undefined);
    const answered = await safeFetch(request.url, {
      types: ['application/json'],
      maxBytes,
      anyStatus: true,
      timeoutSeconds: most,
      signal: AbortSignal.any(signals),
      ...(body === undefined ? { headers } : { send: { method, headers, body } }),
    });
    const given = new Headers();
    for (const [name, value] of Object.entries(answered.headers)) {
      for (const one of [value ?? []].flat()) given.append(name, one);
    }
    const empty = answered.status === 204 || answered.status === 304;
    return new Response(empty ? null : new Uint8Array(answered.body), { status: answered.status, headers: given });
  };
}
