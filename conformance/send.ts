// Sends what fetch would refuse to send: repeated headers, bodies on GET, bytes that are no text.
import { Agent, type IncomingMessage, request } from 'node:http';
import type { Draft } from './craft.ts';

export interface Reply {
  status: number;
  /** Names in lower case; repeated headers joined by a line feed, which no single value can contain. */
  headers: Record<string, string>;
  body: string;
  /** The body as JSON, or undefined where it is none. */
  json: Record<string, unknown> | undefined;
}

const connections = new Agent({ keepAlive: true, maxSockets: 64, scheduling: 'lifo' });

/** Writes the draft as it is, on the loopback, and waits for the whole answer. */
export async function send(endpoint: string, draft: Draft): Promise<Reply> {
  const url = new URL(endpoint);
  const headers = [['Host', url.host], ...draft.headers, ['Content-Length', String(draft.body.byteLength)]].flat();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = { host: '127.0.0.1', port: url.port, path: url.pathname + draft.query, agent: connections };
    request({ ...options, method: draft.method, headers }, resolve)
      .once('error', reject)
      .end(draft.body);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString('utf8');
  return { status: response.statusCode ?? 0, headers: joined(response.rawHeaders), body, json: parse(body) };
}

function joined(raw: string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let index = 0; index < raw.length; index += 2) {
    const name = (raw[index] as string).toLowerCase();
    const value = raw[index + 1] as string;
    headers[name] = name in headers ? `${headers[name]}\n${value}` : value;
  }
  return headers;
}

function parse(body: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
