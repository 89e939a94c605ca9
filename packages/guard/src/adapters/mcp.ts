/** The guard before an MCP server (Streamable HTTP): its operations are the tools, which stand in the body and not in the URL. */
import { IncomingMessage, type ServerResponse } from 'node:http';
import type { Guard } from '../guard.ts';
import { type McpEndpoint, type McpOptions, mcpEndpoint } from '../mcp/endpoint.ts';
import { headersOfNode, type McpHandler, sendResponse } from '../mcp/node-bridge.ts';
import { notChecked } from '../refusal.ts';
import type { GuardRequest } from '../request.ts';
import { headersIn, requestFrom, responseOf, targetOf } from './core.ts';

export type { McpOptions } from '../mcp/endpoint.ts';
export { forwardTo } from '../mcp/forward.ts';
export { authInfoOf, fromNode, type McpHandler, type McpNodeHandler } from '../mcp/node-bridge.ts';

/** A guarded MCP server, to be mounted where the resource's identifier says that it is. */
export interface GuardedMcp {
  /**
   * For servers of fetch's kind.
   * @param connection what is known of the connection: the request of `node:http` below, or address and certificate. Without it tokens that are
   *   limited to addresses, or bound to certificates, are refused, and no proxy is believed.
   */
  fetch: (
    request: Request,
    connection?: IncomingMessage | Pick<GuardRequest, 'remoteAddress' | 'certificate'>,
  ) => Promise<Response>;
  /** For `node:http`, Express and Connect: `app.all('/mcp', mcp.node)`. It may come before or after a parser of bodies. */
  node(request: NodeRequest, response: ServerResponse): void;
}

type NodeRequest = IncomingMessage & { originalUrl?: string; body?: unknown };

/**
 * Guards an MCP server:
 *
 *     const mcp = createMcpHandler(() => server);
 *     const guarded = bailiwick(guard, (request, caller) => mcp.fetch(request, { authInfo: authInfoOf(caller) }));
 *     createServer(guarded.node).listen(3000);
 *
 * Every request needs a token. A `tools/call` reaches the handler if the tool is registered as an operation, the token reaches it, and its
 * definition is the one that was registered; what `tools/list` answers is cut down to that. Methods of MCP other than those of the protocol itself
 * (`prompts/get`, `resources/read`, …) are refused unless they are registered as operations (`method:prompts/get`) or named in `options.methods`.
 * @param handler gets what was checked, written anew, and no token
 * @see MCP 2026-07-28, Streamable HTTP and Authorization
 */
export function bailiwick(guard: Guard, handler: McpHandler, options: McpOptions = {}): GuardedMcp {
  const endpoint = mcpEndpoint(guard, handler, options);
  return {
    fetch: (request, connection) => answered(guard, () => answerFetch(endpoint, request, connection)),
    node(request, response) {
      answered(guard, () => answerNode(guard, endpoint, request, response))
        .then((answer) => sendResponse(answer, response))
        .catch(() => response.destroy()); // who asked is gone
    },
  };
}

/** Never throws: any error is a 500 that says nothing, and the operator hears of it. */
async function answered(guard: Guard, work: () => Promise<Response>): Promise<Response> {
  try {
    return await work();
  } catch (error) {
    guard.report(`The MCP server failed: ${error instanceof Error ? error.stack : String(error)}`);
    return responseOf(notChecked);
  }
}

function answerFetch(
  endpoint: McpEndpoint,
  request: Request,
  connection: Parameters<GuardedMcp['fetch']>[1],
): Promise<Response> {
  const { method, url, headers, signal } = request;
  const guardRequest =
    connection instanceof IncomingMessage || (connection !== undefined && 'rawHeaders' in connection)
      ? { ...requestFrom(connection as IncomingMessage), method }
      : { method, url: targetOf(url), headers: headersIn(headers), ...connection };
  return endpoint.answer({ guardRequest, url, headers, signal, body: (most) => bytesOf(request.body ?? [], most) });
}

function answerNode(
  guard: Guard,
  endpoint: McpEndpoint,
  request: NodeRequest,
  response: ServerResponse,
): Promise<Response> {
  const guardRequest = requestFrom(request, request.originalUrl);
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  return endpoint.answer({
    guardRequest,
    url: externalUrl(guard, guardRequest.url),
    headers: headersOfNode(request),
    signal: gone.signal,
    // Whoever parsed the body before us has emptied the stream: what they made of it is what is checked, and handed on.
    body: (most) => bytesOf(chunksOf(request), most),
  });
}

/** Whoever parsed the body before us has emptied the stream: what they made of it is what is checked, and handed on. */
function chunksOf(request: NodeRequest): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  if (request.readableEnded && request.body !== undefined) return [written(request.body)];
  // The connection is needed for the answer, also when there is too much to read.
  return request.iterator({ destroyOnReturn: false });
}

/** The client's URL, never of the `Host` header. */
function externalUrl({ resource }: Guard, target: string): string {
  return new URL(target.startsWith('/') ? target : '/', resource).href;
}

function written(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body;
  return Buffer.from(typeof body === 'string' ? body : (JSON.stringify(body) ?? ''));
}

async function bytesOf(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  most: number,
): Promise<Uint8Array | undefined> {
  const all: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > most) return undefined;
    all.push(chunk);
  }
  return Buffer.concat(all);
}
