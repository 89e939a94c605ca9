import { BadMessage, type Body, headerMismatch, isObject, type Message } from './message.ts';

const versionMember = 'io.modelcontextprotocol/protocolVersion';
/** Which member of `params` the header `Mcp-Name` repeats. */
const nameMembers: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
]);
const parameterPrefix = 'mcp-param-';

/**
 * Headers repeat what the body says, for those who route without reading it. They say the same or the request is refused: else one
 * thing would be checked, and another done by whoever believes headers. Whether they have to be there is the server's business.
 * @throws BadMessage
 * @see MCP 2026-07-28, Streamable HTTP: `Mcp-Method`, `Mcp-Name`, `MCP-Protocol-Version`
 */
export function checkHeaders(headers: Headers, { messages, isBatch }: Body): void {
  const [message] = messages;
  const method = plain(headers.get('mcp-method'));
  const name = headers.get('mcp-name');
  if (message === undefined || isBatch || message.kind === 'response') {
    if (method !== undefined || name !== null) throw mismatch('Mcp-Method', undefined);
    return;
  }
  if (method !== undefined && method !== message.method) throw mismatch('Mcp-Method', message);
  if (name !== null) {
    const member = nameMembers.get(message.method) ?? 'name';
    if (decodedValue(name) !== message.params[member]) throw mismatch('Mcp-Name', message);
  }
  const version = plain(headers.get('mcp-protocol-version'));
  const { _meta: meta } = message.params;
  const claimed = isObject(meta) ? meta[versionMember] : undefined;
  if (version !== undefined && claimed !== undefined && version !== claimed) {
    throw mismatch('MCP-Protocol-Version', message);
  }
}

/**
 * Holds the headers `Mcp-Param-*` of a call against its arguments, as the tool's schema (`x-mcp-header`) says which repeats which, and takes away
 * those that it doesn't know: nobody behind shall believe what nobody checked.
 * @param schema the tool's `inputSchema`, or undefined if it isn't known
 * @throws BadMessage
 */
export function checkParameterHeaders(headers: Headers, message: Message | undefined, schema: unknown): void {
  const sent = [...headers.keys()].filter((name) => name.startsWith(parameterPrefix));
  if (sent.length === 0) return;
  const paths = new Map<string, readonly string[]>();
  collect(schema, [], paths);
  for (const header of sent) {
    const path = paths.get(header.slice(parameterPrefix.length));
    const value = path === undefined ? undefined : valueAt(message?.params.arguments, path);
    if (value === undefined || value === null) headers.delete(header);
    else if (!sameValue(decodedValue(headers.get(header) ?? ''), value)) throw mismatch('Mcp-Param-…', message);
  }
}

function collect(schema: unknown, path: readonly string[], into: Map<string, readonly string[]>): void {
  if (!isObject(schema) || path.length > 16) return;
  const { properties, 'x-mcp-header': header } = schema;
  if (typeof header === 'string') into.set(header.toLowerCase(), path);
  if (!isObject(properties)) return;
  for (const [name, each] of Object.entries(properties)) collect(each, [...path, name], into);
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const name of path) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  return value;
}

function sameValue(header: string | undefined, value: unknown): boolean {
  if (header === undefined) return false;
  if (typeof value === 'number') return /^-?\d+(\.\d+)?$/.test(header) && Number(header) === value;
  return typeof value === 'string' ? header === value : header === String(value);
}

/** Values that a header can't hold stand in it as `=?base64?…?=`. Undefined if that can't be read. */
function decodedValue(value: string): string | undefined {
  const text = plain(value) ?? '';
  const encoded = /^=\?base64\?(.*)\?=$/s.exec(text)?.[1];
  if (encoded === undefined) return text;
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.toString('base64') !== encoded) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function plain(value: string | null): string | undefined {
  return value === null ? undefined : value.replace(/^[ \t]+|[ \t]+$/g, '');
}

function mismatch(header: string, message: Message | undefined): BadMessage {
  const id = message?.kind === 'request' ? message.id : undefined;
  const text = `The header ${header} and the body do not say the same.`;
  return new BadMessage(text, headerMismatch, id === undefined ? {} : { id });
}
