import { formatScope, type Operation } from '@bailiwick/protocol';
import { responseOf } from '../adapters/core.ts';
import { callerAt } from '../allow.ts';
import type { Caller } from '../caller.ts';
import type { Guard } from '../guard.ts';
import type { Answer, Refusal } from '../refusal.ts';
import type { GuardRequest } from '../request.ts';
import { systemRuntime } from '../runtime.ts';
import type { Verified } from '../verify.ts';
import { type AnswerView, viewOf } from './answers.ts';
import { type DecisionRoom, decideAll, shownTools } from './decision.ts';
import { definitionsFor, hashOf } from './definitions.ts';
import { checkHeaders, checkParameterHeaders } from './headers.ts';
import { learnTools } from './learning.ts';
import { BadMessage, type Body, bodyText, idKey, readBody, serverError, sessionNotFound } from './message.ts';
import { headersForHandler, type McpHandler } from './node-bridge.ts';
import { notOffered, refuseBad, refusedAs } from './refusals.ts';
import { sessionsFor } from './sessions.ts';

export interface McpOptions {
  /** Methods of MCP that every caller with a good token may use, beside those of the protocol itself: `prompts/list`, say. */
  methods?: readonly string[];
  /**
   * What clients that come without a token are told to ask for first; for more they step up when they are told what a tool needs. Clients that are told
   * nothing ask for all scopes of the resource, and an agent that isn't given all of them then gets no token at all.
   */
  scope?: readonly string[];
  /** How long a tool's definition is believed before the server is asked again, in seconds. 60 by default. */
  definitionSeconds?: number;
  /** The largest body of a request, in bytes. 4 MiB by default. */
  maxBodyBytes?: number;
  /** How long a request's body may take to arrive, in seconds. 30 by default. */
  bodySeconds?: number;
  /**
   * `bound` (the default): a session is used by the caller who opened it here, and by nobody else. `server`: the server sees to that itself;
   * for several processes that share sessions.
   */
  sessions?: 'bound' | 'server';
}

/** One HTTP request as both kinds of servers can give it. */
export interface McpExchange {
  guardRequest: GuardRequest;
  /** What the client's URL is, for the handler. */
  url: string;
  headers: Headers;
  signal: AbortSignal;
  /** Reads the body, once; undefined when it is larger than this. */
  body(most: number): Promise<Uint8Array | undefined>;
}

export interface McpEndpoint {
  answer(exchange: McpExchange): Promise<Response>;
}

const defaultBytes = 4 * 1024 * 1024;
const defaultBodySeconds = 30;
const mostReported = 1000;
/** What was verified longer ago is verified again before anything comes of it; and what has ended since, however short that is. */
const freshMs = 1000;

/** The guarded MCP server: everything that reaches the handler was checked, and what it answers is cut down to what the caller may see. */
export function mcpEndpoint(guard: Guard, handler: McpHandler, options: McpOptions = {}): McpEndpoint {
  const {
    methods = [],
    scope = [],
    definitionSeconds = 60,
    maxBodyBytes = defaultBytes,
    bodySeconds = defaultBodySeconds,
    sessions: whose = 'bound',
  } = options;
  const definitions = definitionsFor(guard, definitionSeconds * 1000);
  const sessions = sessionsFor();
  const reported = new Set<string>();
  const runtime = { now: guard.now, random: systemRuntime.random };
  let learning: Promise<void> | undefined;

  function changed({ tool, definition }: Operation, hash: string | undefined): void {
    const key = JSON.stringify([tool, definition, hash]);
    if (reported.has(key)) return;
    if (reported.size >= mostReported) reported.clear();
    reported.add(key);
    guard.report(
      `The tool "${tool}" of ${guard.resource} is not what was registered: it is hidden and refused until somebody has looked at it with \`bailiwick resources import-tools\`.`,
    );
  }

  /** Whoever comes while somebody asks waits for that answer; if it fails, it was perhaps for want of the other's session, and they ask themselves. */
  async function learn(request: Request, verified: Verified, params: Record<string, unknown>): Promise<void> {
    const caller = callerFor(verified, 'method:tools/list');
    const ask = () => learnTools(handler, definitions, runtime, { request, params, caller });
    if (learning !== undefined) return learning.catch(ask);
    const started = ask().finally(() => {
      if (learning === started) learning = undefined;
    });
    learning = started;
    return started;
  }

  function roomFor(request: Request, verified: Verified): DecisionRoom {
    return {
      guard,
      definitions,
      methods: new Set(methods),
      learn: ({ params }) => learn(request, verified, params),
      changed,
    };
  }

  async function answer(exchange: McpExchange): Promise<Response> {
    const verified = await guard.verify(exchange.guardRequest);
    if (!('verified' in verified)) return responseOf(askingFor(verified, scope));
    let response: Response;
    try {
      response = await answerVerified(exchange, verified);
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error;
      response = refuseBad(guard, verified, error);
    }
    return withHeaders(response, verified.headers);
  }

  /** The same again if it is new; else what of it holds now, or the answer to whoever lost it meanwhile. */
  async function current(verified: Verified): Promise<Verified | Response> {
    const age = guard.now() - verified.at;
    if (age >= 0 && age < freshMs && guard.standsNow(verified) !== false) return verified;
    const again = await guard.verifyAgain(verified);
    return 'verified' in again ? again : responseOf(askingFor(again, scope));
  }

  async function answerVerified(exchange: McpExchange, verified: Verified): Promise<Response> {
    const { method } = exchange.guardRequest;
    // The endpoint is the resource itself: what lies below it is for other routes, and other guards.
    if (verified.path !== '/') return refused(verified, notOffered('this path'), 404);
    const headers = headersForHandler(exchange.headers);
    const session = headers.get('mcp-session-id');
    if (whose === 'bound' && session !== null && !sessions.isOf(session, verified)) {
      return refused(verified, notOffered('this session'), 404, sessionNotFound);
    }
    // Where no session says whose stream it was, none is picked up again.
    if (whose === 'bound' && session === null) headers.delete('last-event-id');
    if (method === 'POST') return post(exchange, headers, verified);
    if (method !== 'GET' && method !== 'DELETE') return refused(verified, notOffered('this HTTP method'), 405);
    const { url, signal } = exchange;
    const request = new Request(url, { method, headers, signal });
    const response = await handler(request, callerFor(verified, `method:${method}`));
    return method === 'DELETE' ? response : viewOf(response, viewFor(request, verified, undefined, true));
  }

  async function post(exchange: McpExchange, headers: Headers, arrived: Verified): Promise<Response> {
    checkContentType(exchange.headers);
    const bytes = await inTime(exchange.body(maxBodyBytes), bodySeconds);
    if (bytes === undefined) {
      throw new BadMessage(`The body is larger than ${maxBodyBytes} bytes.`, serverError, { status: 413 });
    }
    // Who keeps a body back keeps no yes for later.
    const decided = await current(arrived);
    if (!('verified' in decided)) return decided;
    const body = readBody(bytes);
    checkHeaders(headers, body);
    headers.set('content-type', 'application/json');
    const { url, signal } = exchange;
    const asked = new Request(url, { method: 'POST', headers });
    const outcome = await decideAll(roomFor(asked, decided), decided, body);
    if ('refused' in outcome) return outcome.refused;
    // Deciding takes long where the server has to say first what its tools are.
    const verified = await current(decided);
    if (!('verified' in verified)) return verified;
    checkParameterHeaders(headers, body.messages[0], schemaOf(body));
    const request = new Request(url, { method: 'POST', headers, body: bodyText(body), signal });
    const caller = callerFor(verified, outcome.operations.join(', '));
    const view = viewFor(request, verified, methodsOf(body), isListening(body));
    return opened(await viewOf(await handler(request, caller), view), headers, verified);
  }

  /** What is known of the called tool's parameters. Of a tool that nobody has asked for there is nothing: its headers are taken away. */
  function schemaOf({ messages }: Body): unknown {
    const [message] = messages;
    return message?.method === 'tools/call' ? definitions.of(String(message.params.name))?.inputSchema : undefined;
  }

  function viewFor(
    request: Request,
    verified: Verified,
    methodsAsked: ReadonlyMap<string, string> | undefined,
    endsWithToken: boolean,
  ): AnswerView {
    const room = roomFor(request, verified);
    let known = verified;
    return {
      methods: methodsAsked,
      // Nothing is learned from it: what a client asked for in its own way says nothing of what others get.
      shown: (tools) => shownTools(room, known, tools, hashOf),
      changed: definitions.forget,
      async lasts() {
        if (!endsWithToken) return true;
        const now = await current(known);
        if (!('verified' in now)) return false;
        known = now;
        return true;
      },
    };
  }

  /** Notes whose session the server has just opened. An id that is somebody else's already is not handed out. */
  function opened(response: Response, sent: Headers, verified: Verified): Response {
    const session = response.headers.get('mcp-session-id');
    if (whose !== 'bound' || session === null || sent.has('mcp-session-id')) return response;
    if (sessions.open(session, verified)) return response;
    guard.report('The MCP server gives one session to several callers: each needs a session of its own.');
    response.body?.cancel().catch(() => {});
    return refused(verified, notOffered('this session'), 404, sessionNotFound);
  }

  function refused(verified: Verified, refusal: Refusal, status: number, code = serverError): Response {
    return refusedAs(guard.refuse(verified, refusal), { id: null, code, status, challenge: false });
  }

  return { answer };
}

/** @throws BadMessage for what isn't there in time */
function inTime<Value>(work: Promise<Value>, seconds: number): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = () =>
    reject(new BadMessage(`The body took longer than ${seconds} seconds.`, serverError, { status: 408 }));
  const stop = systemRuntime.after(seconds * 1000, late);
  return Promise.race([work, promise]).finally(stop);
}

/** @see MCP 2026-07-28, Authorization: scope selection; RFC 6750 §3 */
function askingFor(answer: Answer, scope: readonly string[]): Answer {
  const { 'www-authenticate': challenges, ...headers } = answer.headers;
  if (answer.status !== 401 || challenges === undefined || scope.length === 0) return answer;
  const wider = [challenges].flat().map((challenge) => `${challenge}, scope="${formatScope(scope)}"`);
  return { ...answer, headers: { ...headers, 'www-authenticate': wider } };
}

function callerFor(verified: Verified, operation: string): Caller {
  return callerAt(verified, operation);
}

/** @see RFC 9110 §8.3; a body that a form or a plain text could hold is no MCP */
function checkContentType(headers: Headers): void {
  const type = headers.get('content-type') ?? '';
  const encoding = headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity';
  const isJson = /^application\/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?$/i.test(type.trim());
  if (isJson && encoding === 'identity') return;
  throw new BadMessage('The body is application/json, in UTF-8 and not encoded otherwise.', serverError, {
    status: 415,
  });
}

function methodsOf({ messages }: Body): ReadonlyMap<string, string> {
  return new Map(messages.flatMap(({ kind, id, method }) => (kind === 'request' ? [[idKey(id), method]] : [])));
}

/** A stream that is there to be told things, and not to end by itself. */
const isListening = ({ messages }: Body) => messages.some(({ method }) => method === 'subscriptions/listen');

function withHeaders(response: Response, more: Readonly<Record<string, string>>): Response {
  if (Object.keys(more).length === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(more)) headers.set(name, value);
  return new Response(response.body, { status: response.status, headers });
}
