/** An MCP server behind its guard, made of the official packages, and a client of our own that sends whatever a test likes. */
import { randomUUID } from 'node:crypto';
import { createServer, type Server as HttpServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Operation } from '@bailiwick/protocol';
import { toolDefinition } from '@bailiwick/protocol';
import { Server as ServerOf1 } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { createMcpHandler, Server } from '@modelcontextprotocol/server';
import { bailiwick, fromNode, type GuardedMcp, type McpHandler, type McpOptions } from '../adapters/mcp.ts';
import type { Caller } from '../caller.ts';
import type { DecisionRecord } from '../decide.ts';
import { createGuard, type Guard } from '../guard.ts';
import type { GuardOptions } from '../options.ts';
import { type FakeAgent, type FakeClock, type FakeIssuer, fakeAgent, fakeIssuer, quiet } from './fake-issuer.ts';

export interface Tool {
  name: string;
  description?: string;
  inputSchema: { type: 'object'; [member: string]: unknown };
  [member: string]: unknown;
}

/** What stands behind the guard: a server of the newest revision (which serves older ones too), or one of the SDK before, with sessions or without. */
export type Kind = '2026' | '1.x' | '1.x with sessions';
export const kinds: readonly Kind[] = ['2026', '1.x', '1.x with sessions'];

export interface McpWorld {
  url: string;
  guard: Guard;
  guarded: GuardedMcp;
  fake: FakeIssuer;
  agent: FakeAgent;
  /** What the server behind says of its tools now. */
  tools: Tool[];
  /** How many tools it puts on a page of its list. */
  pageSize: number;
  /** Every call that reached it. */
  calls: { name: string; arguments: unknown }[];
  /** Every request that its handler got, and of whom. */
  requests: { method: string; headers: Headers; body: string; caller: Caller }[];
  problems: string[];
  decisions: DecisionRecord[];
  /** Tells all who listen that the tools changed. */
  announce(): void;
  bearer(claims?: Record<string, unknown>): Promise<string>;
  /** Sends one request: good unless it says otherwise. */
  send(sent?: McpSent): Promise<McpReply>;
  close(): Promise<void>;
}

export interface McpSent {
  method?: string;
  path?: string;
  body?: unknown;
  /** In place of `body`, as it is. */
  raw?: string | Uint8Array;
  token?: string;
  headers?: Record<string, string>;
}

export interface McpReply {
  status: number;
  headers: Headers;
  text: string;
  /** The JSON of the answer, or of its last event. */
  json: { id?: unknown; result?: Record<string, unknown>; error?: { code: number; message: string; data?: unknown } };
}

export const readTool: Tool = {
  name: 'read_ticket',
  description: 'Reads a ticket.',
  inputSchema: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
};
export const closeTool: Tool = {
  name: 'close_ticket',
  description: 'Closes a ticket for good.',
  inputSchema: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
};
/** Nobody registered it. */
export const debugTool: Tool = { name: 'debug', description: 'For us alone.', inputSchema: { type: 'object' } };

export const operationOf = (tool: Tool, scope: string[], more: Partial<Operation> = {}): Operation => ({
  name: tool.name,
  tool: tool.name,
  scope,
  sensitivity: 'low',
  definition: toolDefinition(tool),
  ...more,
});

export const toolOperations: Operation[] = [
  operationOf(readTool, ['tickets:read']),
  operationOf(closeTool, ['tickets:read', 'tickets:write']),
];

export interface McpWorldOptions {
  kind?: Kind;
  tools?: Tool[];
  guard?: Partial<GuardOptions>;
  options?: McpOptions;
  /** Puts something between the guard and the server, or in its place. */
  wrap?: (handler: McpHandler, world: McpWorld) => McpHandler;
  /** Serves otherwise than by `node:http` alone. */
  serve?: (world: McpWorld) => RequestListener;
}

/** Starts it on a port of its own. Tokens are bound to nothing unless the test binds them. */
export async function mcpWorld(made: McpWorldOptions = {}): Promise<McpWorld> {
  const { kind = '2026', wrap = (handler) => handler } = made;
  const fake = await fakeIssuer(goingClock());
  const runtime = quiet(fake);
  const http = createServer();
  await new Promise<void>((resolve) => http.listen(0, 'localhost', resolve));
  const url = `http://localhost:${(http.address() as AddressInfo).port}/mcp`;
  const decisions: DecisionRecord[] = [];
  const guard = createGuard(
    fake.options({
      resource: url,
      runtime,
      operations: toolOperations,
      token: { dangerouslyBearer: true },
      onDecision: (record) => decisions.push(record),
      ...made.guard,
    }),
  );
  const bearer: McpWorld['bearer'] = (claims = {}) => fake.token({ aud: url, ...claims });
  const world = {
    url,
    guard,
    fake,
    agent: await fakeAgent(fake),
    tools: made.tools ?? [readTool, closeTool, debugTool],
    pageSize: 100,
    calls: [],
    requests: [],
    problems: runtime.problems,
    decisions,
    bearer,
    send: async (sent: McpSent = {}) => exchange(url, sent.token ?? (await bearer()), sent),
    close: () => closing(http),
  } as unknown as McpWorld;
  const behind = behindGuard(kind, world);
  world.announce = behind.announce;
  const seen: McpHandler = async (request, caller) => {
    const { method, headers } = request;
    world.requests.push({ method, headers, body: await request.clone().text(), caller });
    return behind.handler(request, caller);
  };
  world.guarded = bailiwick(guard, wrap(seen, world), made.options);
  http.on('request', made.serve?.(world) ?? world.guarded.node);
  return world;
}

/** Proofs of the official client are of the real time, so this one goes, and can be put forward. */
function goingClock(): FakeClock {
  let ahead = 0;
  return {
    now: () => Date.now() + ahead,
    advance(ms) {
      ahead += ms;
    },
  };
}

interface Behind {
  handler: McpHandler;
  announce(): void;
}

function behindGuard(kind: Kind, world: McpWorld): Behind {
  const list = (cursor: string | undefined) => {
    const from = Number(cursor ?? 0);
    const to = from + world.pageSize;
    const tools = structuredClone(world.tools.slice(from, to));
    return { tools, ...(to < world.tools.length ? { nextCursor: String(to) } : {}) };
  };
  const call = (name: string, given: unknown) => {
    world.calls.push({ name, arguments: given });
    return { content: [{ type: 'text' as const, text: `did ${name}` }] };
  };
  if (kind === '2026') {
    const mcp = createMcpHandler(
      () => {
        const server = new Server(
          { name: 'tickets', version: '1' },
          { capabilities: { tools: { listChanged: true } } },
        );
        server.setRequestHandler('tools/list', (request) => list(request.params?.cursor) as never);
        server.setRequestHandler('tools/call', ({ params }) => call(params.name, params.arguments));
        return server;
      },
      { keepAliveMs: 0 },
    );
    return { handler: (request) => mcp.fetch(request), announce: () => mcp.notify.toolsChanged() };
  }
  const make = () => {
    const server = new ServerOf1({ name: 'tickets', version: '1' }, { capabilities: { tools: { listChanged: true } } });
    server.setRequestHandler(ListToolsRequestSchema, (request) => list(request.params?.cursor) as never);
    server.setRequestHandler(CallToolRequestSchema, ({ params }) => call(params.name, params.arguments));
    return server;
  };
  if (kind === '1.x') {
    const handler = fromNode(async (request, response) => {
      const transport = new StreamableHTTPServerTransport({});
      await make().connect(transport as never);
      await transport.handleRequest(request, response);
    });
    return { handler, announce: () => {} };
  }
  const open = new Map<string, { transport: StreamableHTTPServerTransport; server: ServerOf1 }>();
  const handler = fromNode(async (request, response) => {
    const known = open.get(String(request.headers['mcp-session-id']));
    if (known !== undefined) return known.transport.handleRequest(request, response);
    const server = make();
    const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void open.set(id, { transport, server }),
    });
    await server.connect(transport as never);
    await transport.handleRequest(request, response);
  });
  return {
    handler,
    announce: () => {
      for (const { server } of open.values()) void server.sendToolListChanged();
    },
  };
}

async function exchange(url: string, token: string, sent: McpSent): Promise<McpReply> {
  const { method = 'POST', path = '', body, raw = JSON.stringify(body), headers = {} } = sent;
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
      accept: 'application/json, text/event-stream',
      ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
      ...headers,
    },
    ...(method === 'POST' ? { body: raw as string } : {}),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: jsonIn(text) };
}

function jsonIn(text: string): McpReply['json'] {
  const [last = text] = [...text.matchAll(/^data: (.+)$/gm)].map(([, data]) => data as string).toReversed();
  try {
    return JSON.parse(last) as McpReply['json'];
  } catch {
    return {};
  }
}

function closing(http: HttpServer): Promise<void> {
  http.closeAllConnections();
  return new Promise((resolve) => http.close(() => resolve()));
}

/** A message as a client of the revision before the newest sends it: no envelope, no headers of its own. */
export const rpc = (method: string, params?: unknown, id: unknown = 1): Record<string, unknown> => ({
  jsonrpc: '2.0',
  ...(id === undefined ? {} : { id }),
  method,
  ...(params === undefined ? {} : { params }),
});

export const call = (name: unknown, given: unknown = { id: '7' }, id: unknown = 1) =>
  rpc('tools/call', { name, arguments: given }, id);
