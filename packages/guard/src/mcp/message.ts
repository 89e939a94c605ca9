/** JSON-RPC as MCP's clients send it: read once, strictly, so that nothing means one thing here and another to the server behind. */

/** A message, rebuilt of what it may hold. What else it held is gone. */
export interface Message {
  kind: 'request' | 'notification' | 'response';
  /** Of a request, or of what a response answers. */
  id?: string | number;
  /** Of requests and notifications. */
  method: string;
  params: Record<string, unknown>;
  /** What goes on to the server. */
  sent: Record<string, unknown>;
}

/** A body that isn't MCP: the JSON-RPC code and an HTTP status say in which way. */
export class BadMessage extends Error {
  override name = 'BadMessage';
  readonly code: number;
  readonly status: number;
  readonly id: string | number | null;

  constructor(message: string, code = invalidRequest, { status = 400, id = null as string | number | null } = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.id = id;
  }
}

/** @see JSON-RPC 2.0 §5.1; MCP 2026-07-28, Streamable HTTP for the last two */
export const parseError = -32700;
export const invalidRequest = -32600;
export const methodNotFound = -32601;
export const invalidParams = -32602;
export const serverError = -32000;
export const sessionNotFound = -32001;
export const headerMismatch = -32020;

const mostMessages = 100;
const maxDepth = 64;

/** The messages of one request's body, and whether they came as a batch. */
export interface Body {
  messages: readonly Message[];
  isBatch: boolean;
}

/**
 * Reads the body of a POST: one message, or a batch of them.
 *
 * What goes on is written anew from what was read (`bodyText`), so a member that stands there twice reaches the server once, as it was checked.
 * Members that are spelt almost like those of MCP (`Method`, `Name`) are refused in `params`, and dropped around it: servers in some languages read
 * them regardless of case.
 * @throws BadMessage
 */
export function readBody(bytes: Uint8Array): Body {
  const value = parse(decoded(bytes));
  if (!Array.isArray(value)) return { messages: [readMessage(value)], isBatch: false };
  if (value.length === 0) throw new BadMessage('An empty batch holds nothing to answer.');
  if (value.length > mostMessages) throw new BadMessage(`A batch holds at most ${mostMessages} messages.`);
  const messages = value.map(readMessage);
  const ids = messages.flatMap(({ kind, id }) => (kind === 'request' ? [idKey(id)] : []));
  if (new Set(ids).size < ids.length) throw new BadMessage('Two requests of the batch have the same id.');
  return { messages, isBatch: true };
}

/** What is sent on: the messages as they were checked. */
export function bodyText({ messages, isBatch }: Body): string {
  const all = messages.map(({ sent }) => sent);
  return JSON.stringify(isBatch ? all : all[0]);
}

/** `1` and `"1"` are different ids. */
export const idKey = (id: unknown): string => JSON.stringify(id) ?? 'none';

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new BadMessage('The body is not UTF-8.', parseError);
  }
}

function parse(text: string): unknown {
  if (isTooDeep(text)) throw new BadMessage(`The body is nested deeper than ${maxDepth}.`, parseError);
  try {
    return JSON.parse(text);
  } catch {
    throw new BadMessage('The body is not JSON.', parseError); // the parser's own words would quote it
  }
}

/** Counted before parsing, in one pass: what is nested too deeply is expensive to everyone who touches it. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === 0x5c) at++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > maxDepth) return true;
    } else if (code === 0x7d || code === 0x5d) depth -= 1;
  }
  return false;
}

function readMessage(value: unknown): Message {
  if (!isObject(value) || value.jsonrpc !== '2.0')
    throw new BadMessage('A message is an object with "jsonrpc": "2.0".');
  const { id, method } = value;
  const hasId = Object.hasOwn(value, 'id');
  if (hasId && typeof id !== 'string' && !Number.isSafeInteger(id)) {
    throw new BadMessage('An id is a string or a whole number.');
  }
  if (!Object.hasOwn(value, 'method')) return readResponse(value, id as string | number);
  const known = hasId ? { id: id as string | number } : {};
  if (typeof method !== 'string' || Object.hasOwn(value, 'result') || Object.hasOwn(value, 'error')) {
    throw new BadMessage('A message has a method, or a result, or an error: one of them.', invalidRequest, known);
  }
  const { params = {} } = value;
  if (!isObject(params)) throw new BadMessage('params is an object.', invalidParams, known);
  refuseLookalikes(params, known);
  if (method === 'tools/call') checkCall(params, known);
  const withParams = Object.hasOwn(value, 'params') ? { params } : {};
  const sent = { jsonrpc: '2.0', ...known, method, ...withParams };
  return { kind: hasId ? 'request' : 'notification', ...known, method, params, sent };
}

/** What a client answers to a question of the server. */
function readResponse(value: Record<string, unknown>, id: string | number): Message {
  const members = ['result', 'error'].filter((name) => Object.hasOwn(value, name));
  const [member] = members;
  if (id === undefined || member === undefined || members.length > 1) {
    throw new BadMessage('A message has a method, or an id and either a result or an error.');
  }
  return { kind: 'response', id, method: '', params: {}, sent: { jsonrpc: '2.0', id, [member]: value[member] } };
}

function checkCall({ name, arguments: given = {} }: Record<string, unknown>, known: { id?: string | number }): void {
  if (typeof name !== 'string') throw new BadMessage('tools/call names a tool.', invalidParams, known);
  if (!isObject(given)) throw new BadMessage('The arguments of a tool are an object.', invalidParams, known);
  const folded = new Set(Object.keys(given).map(loosely));
  if (folded.size < Object.keys(given).length) {
    throw new BadMessage('Two arguments have the same name but for letter case.', invalidParams, known);
  }
}

const wellKnown = new Map(
  ['name', 'arguments', '_meta', 'uri', 'cursor', 'task', 'taskId', 'ref', 'argument', 'notifications'].map((name) => [
    loosely(name),
    name,
  ]),
);

function refuseLookalikes(params: Record<string, unknown>, known: { id?: string | number }): void {
  for (const name of Object.keys(params)) {
    if ((wellKnown.get(loosely(name)) ?? name) === name) continue;
    throw new BadMessage('A member of params is written almost like one of MCP.', invalidParams, known);
  }
}

/** Outside ASCII there are letters that only meet in capitals: ſ and s. */
function loosely(name: string): string {
  return name.toUpperCase().toLowerCase();
}
