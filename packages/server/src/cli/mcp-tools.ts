/** What an MCP server says of its tools: asked of a running one, or read from a file. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { agentFromFile } from '@bailiwick/agent';
import { resourceCovers, toolDefinition } from '@bailiwick/protocol';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import { version } from './version.ts';

/** A tool as its server lists it. */
export interface ToolDescription {
  name: string;
  title?: string;
  description?: string;
  inputSchema?: unknown;
  annotations?: Record<string, unknown>;
  readonly [member: string]: unknown;
}

/** A tool with the hash of all that was said of it. */
export interface DescribedTool {
  tool: ToolDescription;
  definition: string;
}

export interface ToolSource {
  /** A running server; or a file with what one answers to `tools/list`. */
  url?: string | undefined;
  from?: string | undefined;
  /** As whom to ask: an agent's key file, or a file with a bearer token. */
  agentFile?: string | undefined;
  tokenFile?: string | undefined;
}

const mostPages = 1000;

/**
 * All tools of a server, each with its definition's hash, in their order.
 * @param resource the identifier of the resource that the server is
 * @throws CliError that says what to do when they can't be had
 */
export async function describedTools(context: Context, source: ToolSource, resource: string): Promise<DescribedTool[]> {
  const { url, from } = source;
  if (url !== undefined && from !== undefined) {
    throw new CliError('usage', 'The tools come from --url or from --from, not from both.');
  }
  const tools = from === undefined ? await ofServer(context, url ?? resource, source, resource) : ofFile(context, from);
  const names = tools.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new CliError(
      'failed',
      `The server lists two tools called "${twice}": nobody could tell which one is called.`,
    );
  }
  return tools.map((tool) => ({ tool, definition: hashOf(tool) }));
}

function hashOf(tool: ToolDescription): string {
  try {
    return toolDefinition(tool);
  } catch (error) {
    throw new CliError('failed', `The definition of "${tool.name}" can't be hashed: ${(error as Error).message}.`);
  }
}

function ofFile(context: Context, name: string): ToolDescription[] {
  const file = path.resolve(context.io.cwd, name);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'it is not JSON';
    throw new CliError('usage', `The tools in ${file} can't be read: ${why}.`);
  }
  const { result = value } = (value ?? {}) as { result?: unknown };
  const { tools = result } = (result ?? {}) as { tools?: unknown };
  if (Array.isArray(tools) && tools.every(isTool)) return tools;
  throw new CliError('usage', `${file} holds no tools: it is a list of them, or what a server answers to tools/list.`);
}

function isTool(value: unknown): value is ToolDescription {
  return typeof value === 'object' && value !== null && typeof (value as { name?: unknown }).name === 'string';
}

/** By the official client, which speaks whatever revision the server does. */
async function ofServer(
  context: Context,
  url: string,
  source: ToolSource,
  resource: string,
): Promise<ToolDescription[]> {
  if (!URL.canParse(url)) throw new CliError('usage', `"${url}" is not the URL of an MCP server.`);
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  const client = new Client({ name: 'bailiwick', version }, { versionNegotiation: { mode: 'auto' } });
  const transport = new StreamableHTTPClientTransport(new URL(url), transportOptions(context, source, resource, url));
  const pages: ToolDescription[][] = [];
  try {
    await client.connect(transport);
    // The client leaves out members that it doesn't know. What was sent is what is hashed, so it is caught before.
    const deliver = transport.onmessage;
    let page: ToolDescription[] | undefined;
    transport.onmessage = (message) => {
      const { tools } = ((message as { result?: unknown }).result ?? {}) as { tools?: unknown };
      if (Array.isArray(tools)) page = tools.filter(isTool);
      deliver?.(message);
    };
    let cursor: string | undefined;
    do {
      const answer = await client.request({ method: 'tools/list', params: cursor === undefined ? {} : { cursor } });
      if (page === undefined || pages.length >= mostPages) throw new Error('its answer to tools/list holds no tools');
      pages.push(page);
      page = undefined;
      cursor = answer.nextCursor;
    } while (cursor !== undefined);
  } catch (error) {
    throw notListed(url, error);
  } finally {
    await client.close();
  }
  return pages.flat();
}

function transportOptions(
  context: Context,
  { agentFile, tokenFile }: ToolSource,
  resource: string,
  url: string,
): { fetch?: typeof fetch; authProvider?: { token(): Promise<string> } } {
  const absolute = (name: string) => path.resolve(context.io.cwd, name);
  if (agentFile !== undefined) {
    const own = resourceCovers(resource, url) ? { resource } : {};
    const agent = agentFromFile(absolute(agentFile), { ...own, now: context.io.now, stepUp: false });
    return { fetch: (input, init) => agent.fetch(input as string | URL, init as never) };
  }
  if (tokenFile === undefined) return {};
  let token: string;
  try {
    token = readFileSync(absolute(tokenFile), 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError('usage', `The token in ${absolute(tokenFile)} can't be read: ${code}.`);
  }
  return { authProvider: { token: async () => token } };
}

function notListed(url: string, error: unknown): CliError {
  const { message, status } = error as Error & { status?: number };
  const isRefused = status === 401 || status === 403 || /\b(?:401|unauthorized)\b/i.test(message);
  return new CliError('failed', `The MCP server at ${url} does not say what its tools are: ${message.split('\n')[0]}`, {
    hint: isRefused
      ? 'Ask it past its guard with --url, or as an agent that may see all of its tools: --agent-file FILE.'
      : 'Is it running, and is that the URL of its endpoint (often ending in /mcp)? Or save its answer to tools/list, and give that with --from FILE.',
  });
}
