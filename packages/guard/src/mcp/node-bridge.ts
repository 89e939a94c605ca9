/** Between `node:http` and fetch's `Request` and `Response`: one core serves handlers and servers of both kinds. */
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Readable, type Writable } from 'node:stream';
import type { Caller } from '../caller.ts';

/** A handler of fetch's kind, told who is calling. */
export type McpHandler = (request: Request, caller: Caller) => Response | Promise<Response>;

/** A handler of `node:http`'s kind. */
export type McpNodeHandler = (request: IncomingMessage, response: ServerResponse, caller: Caller) => unknown;

/** What belongs to one connection or to the body as it was sent, and not to what is handed on. */
const hopHeaders = new Set([
  'authorization',
  'dpop',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'expect',
  'te',
  'trailer',
  'accept-encoding',
  'proxy-authorization',
]);

/** What a proxy says of the client. The guard has read it where it believes the proxy; of anybody else it is anybody's word. */
const proxyHeaders = /^(?:forwarded|x-forwarded-.*|x-real-ip|client-cert(?:-chain)?)$/;

/**
 * The headers that a handler gets: without the token, which is not for it, without what the body's own form was, and without what nobody checked of
 * where the client is. Nor names with underscores: many a server reads them as others, `mcp_session_id` as `mcp-session-id`.
 */
export function headersForHandler(headers: Headers): Headers {
  const kept = new Headers(headers);
  for (const name of headers.keys()) {
    if (hopHeaders.has(name) || name.includes('_') || proxyHeaders.test(name)) kept.delete(name);
  }
  return kept;
}

/** The headers of a request of `node:http`, repeated ones joined, pseudo-headers of HTTP/2 left out. */
export function headersOfNode({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (!rawHeaders[i]!.startsWith(':')) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
  }
  return headers;
}

/**
 * Turns a handler of `node:http` into one of fetch's kind, without a server: it gets a request that holds what was checked, and
 * what it writes becomes the response. `request.auth` is what the MCP SDKs take as their `authInfo`.
 */
export function fromNode(handler: McpNodeHandler): McpHandler {
  return async (request, caller) => {
    const incoming = incomingOf(request, new Uint8Array(await request.arrayBuffer()));
    Object.assign(incoming, { auth: authInfoOf(caller) });
    const { response, answered } = responseFor(incoming, request.signal);
    const ended = Promise.resolve(handler(incoming, response, caller)).catch((error: unknown) => {
      response.destroy(error as Error);
      throw error;
    });
    return Promise.race([answered, ended.then(() => answered)]);
  };
}

/** What the MCP SDKs know as `AuthInfo`, without the token: pass it as `authInfo`, and tools find the caller at `extra.caller`. */
export function authInfoOf(caller: Caller): {
  token: string;
  clientId: string;
  scopes: string[];
  expiresAt: number;
  extra: { caller: Caller };
} {
  const { agent, scope, token } = caller;
  return {
    token: '',
    clientId: agent,
    scopes: [...scope],
    expiresAt: Math.floor(token.expiresAt / 1000),
    extra: { caller },
  };
}

function incomingOf(request: Request, body: Uint8Array): IncomingMessage {
  const incoming = new IncomingMessage(new Socket());
  const { pathname, search, host } = new URL(request.url);
  const headers: [string, string][] = [...request.headers];
  if (!request.headers.has('host')) headers.push(['host', host]);
  if (body.length > 0) headers.push(['content-length', String(body.length)]);
  incoming.method = request.method;
  incoming.url = pathname + search;
  incoming.headers = Object.fromEntries(headers);
  incoming.rawHeaders = headers.flat();
  incoming.httpVersion = '1.1';
  incoming.httpVersionMajor = 1;
  incoming.httpVersionMinor = 1;
  incoming.complete = true;
  if (body.length > 0) incoming.push(body);
  incoming.push(null);
  return incoming;
}

/** A response that is written to nobody: head and body become fetch's. */
function responseFor(
  incoming: IncomingMessage,
  signal: AbortSignal,
): { response: ServerResponse; answered: Promise<Response> } {
  const response = new ServerResponse(incoming);
  const body = new Readable({
    read() {
      response.emit('drain');
    },
    destroy(error, done) {
      response.destroy();
      done(error);
    },
  });
  const { promise: answered, resolve, reject } = Promise.withResolvers<Response>();
  let begun = false;

  function begin(): void {
    if (begun) return;
    begun = true;
    const headers = new Headers();
    for (const [name, value] of Object.entries(response.getHeaders())) {
      for (const each of [value].flat()) headers.append(name, String(each));
    }
    for (const name of hopHeaders) headers.delete(name);
    const { statusCode: status } = response;
    const isEmpty = status === 204 || status === 205 || status === 304;
    if (isEmpty) body.resume();
    resolve(new Response(isEmpty ? null : (Readable.toWeb(body) as ReadableStream), { status, headers }));
  }

  const finish = (): void => {
    body.push(null);
    response.emit('finish');
    response.emit('close');
  };
  let isEnded = false;
  Object.assign(response, {
    writeHead(status: number, ...more: unknown[]) {
      response.statusCode = status;
      const given = more.find((each) => typeof each === 'object' && each !== null);
      const headers = Array.isArray(given) ? pairs(given) : Object.entries(given ?? {});
      for (const [name, value] of headers) response.setHeader(name, value as string);
      begin();
      return response;
    },
    flushHeaders: begin,
    write(chunk: string | Uint8Array, encoding?: unknown, done?: () => void) {
      begin();
      const more = body.push(bytesOf(chunk, encoding));
      const callback = typeof encoding === 'function' ? encoding : done;
      if (callback !== undefined) queueMicrotask(callback as () => void);
      return more;
    },
    end(chunk?: unknown, encoding?: unknown, done?: () => void) {
      if (isEnded) return response;
      isEnded = true;
      begin();
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) body.push(bytesOf(chunk, encoding));
      const callback = [chunk, encoding, done].find((each) => typeof each === 'function');
      queueMicrotask(() => {
        finish();
        if (callback !== undefined) (callback as () => void)();
      });
      return response;
    },
    destroy(error?: Error) {
      if (isEnded) return response;
      isEnded = true;
      reject(error ?? new Error('the handler gave up'));
      body.destroy(error);
      response.emit('close');
      return response;
    },
  } satisfies Partial<Record<keyof ServerResponse, unknown>>);
  Object.defineProperty(response, 'headersSent', { get: () => begun });
  Object.defineProperty(response, 'writableEnded', { get: () => isEnded });
  signal.addEventListener('abort', () => response.destroy(), { once: true });
  answered.catch(() => {}); // who waits for it hears of it
  return { response, answered };
}

function bytesOf(chunk: string | Uint8Array, encoding: unknown): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding as BufferEncoding | undefined) : chunk;
}

function pairs(flat: unknown[]): [string, unknown][] {
  if (Array.isArray(flat[0])) return flat as [string, unknown][];
  return flat.flatMap((name, index) => (index % 2 === 0 ? [[String(name), flat[index + 1]] as [string, unknown]] : []));
}

/** Writes fetch's response into one of `node:http`, as fast as it is taken. Whoever hangs up ends the handler's stream. */
export async function sendResponse(answer: Response, response: ServerResponse): Promise<void> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of answer.headers) {
    if (name === 'connection' || name === 'keep-alive' || name === 'transfer-encoding') continue;
    const before = headers[name];
    headers[name] = before === undefined ? value : [...[before].flat(), value];
  }
  // What is still coming is read by nobody.
  if ((answer.status === 413 || answer.status === 408) && response.req.httpVersionMajor === 1)
    headers.connection = 'close';
  response.writeHead(answer.status, headers);
  if (answer.body === null || response.req.method === 'HEAD') {
    response.end();
    return;
  }
  response.flushHeaders();
  const body = Readable.fromWeb(answer.body as never);
  response.on('close', () => body.destroy());
  body.on('error', () => response.destroy());
  body.pipe(response as Writable);
}
