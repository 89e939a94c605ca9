import type { Caller } from '../caller.ts';
import { listIn } from './answers.ts';
import type { Definitions } from './definitions.ts';
import { isObject } from './message.ts';
import type { McpHandler } from './node-bridge.ts';

/** As whom, and in which session and revision of the protocol, a server is asked for its tools. */
export interface Asking {
  request: Request;
  /** Of the call that made us ask. */
  params: Record<string, unknown>;
  caller: Caller;
}

const mostPages = 100;
const timeoutMs = 10_000;

/**
 * Asks the server behind for its tools, all pages of them, as the caller would: in the same session, by the same revision. So stateless servers answer as
 * well as those with sessions, and no handshake of our own is needed.
 * @throws Error when the list can't be had whole
 */
export async function learnTools(
  handler: McpHandler,
  definitions: Definitions,
  runtime: { now(): number; random(bytes: number): string },
  asking: Asking,
): Promise<void> {
  const asked = { generation: definitions.generation, at: runtime.now() };
  const tools: unknown[] = [];
  let cursor: string | undefined;
  const signal = AbortSignal.timeout(timeoutMs);
  for (let page = 0; page < mostPages; page++) {
    // Nobody else can guess the id: an answer to it answers us.
    const id = `bailiwick-${runtime.random(16)}`;
    const response = await handler(listRequest(asking, id, cursor, signal), asking.caller);
    const found = await within(listIn(response, id), signal);
    if (found === undefined) throw new Error(`tools/list was answered with ${response.status} and no list`);
    tools.push(...found.tools);
    cursor = found.nextCursor;
    if (cursor === undefined) return definitions.learn(tools, asked);
  }
  throw new Error(`tools/list has more than ${mostPages} pages`);
}

function listRequest(
  { request, params }: Asking,
  id: string,
  cursor: string | undefined,
  signal: AbortSignal,
): Request {
  // What all will believe must not hang on what one caller says beside: a language, say, in a header or in the URL.
  const headers = new Headers();
  for (const [name, value] of request.headers) {
    if (name.startsWith('mcp-') && name !== 'mcp-name' && !name.startsWith('mcp-param-')) headers.set(name, value);
  }
  if (headers.has('mcp-method')) headers.set('mcp-method', 'tools/list');
  headers.set('content-type', 'application/json');
  headers.set('accept', 'application/json, text/event-stream');
  const meta = protocolMeta(params._meta);
  const list = { ...(meta === undefined ? {} : { _meta: meta }), ...(cursor === undefined ? {} : { cursor }) };
  const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list', params: list });
  const url = new URL(request.url);
  url.search = '';
  return new Request(url, { method: 'POST', headers, body, signal });
}

/** What a revision of the protocol asks of every request: the revision, and a client that says nothing else of itself. */
function protocolMeta(meta: unknown): Record<string, unknown> | undefined {
  if (!isObject(meta)) return undefined;
  const version = meta['io.modelcontextprotocol/protocolVersion'];
  if (typeof version !== 'string') return undefined;
  return {
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientInfo': { name: 'bailiwick', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
}

function within<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = () => reject(new Error('tools/list was not answered in time'));
  if (signal.aborted) late();
  else signal.addEventListener('abort', late, { once: true });
  return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', late));
}
