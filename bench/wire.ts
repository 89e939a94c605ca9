// The leanest HTTP/1.1 client that is still honest: keep-alive, one request in flight per connection, no pipelining.
// node:http costs the generator more than the server spends on a token, and would starve it.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface Answer {
  status: number;
  head: string;
  body: string;
}

/** A POST, ready to be written as it is. */
export function formPost(url: URL, form: Record<string, string>, headers: Record<string, string> = {}): Buffer {
  return post(url, 'application/x-www-form-urlencoded', new URLSearchParams(form).toString(), headers);
}

/** The same with JSON. */
export function jsonPost(url: URL, body: object, headers: Record<string, string> = {}): Buffer {
  return post(url, 'application/json', JSON.stringify(body), headers);
}

function post(url: URL, type: string, body: string, headers: Record<string, string>): Buffer {
  const lines = [`POST ${url.pathname} HTTP/1.1`, `Host: ${url.host}`, 'Accept: application/json'];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  lines.push(`Content-Type: ${type}`, `Content-Length: ${Buffer.byteLength(body)}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** What a connection is made with where the server asks for a certificate. PEM. */
export interface TlsOptions {
  ca: string;
  cert: string;
  key: string;
}

/** A connection that is kept, one request in flight on it. */
export interface Connection {
  exchange(request: Buffer): Promise<Answer>;
  close(): void;
}

/**
 * Sends everything over connections that stand already, and gives the answers in the order of the requests. Request `i` goes over
 * the connections of lane `i % lanes.length`, whichever of them is free.
 */
export async function fire(lanes: readonly Connection[][], requests: readonly Buffer[]): Promise<Answer[]> {
  const answers = new Array<Answer>(requests.length);
  await Promise.all(
    lanes.map((connections, lane) => {
      let next = lane;
      return Promise.all(
        connections.map(async (connection) => {
          for (let index = next; index < requests.length; index = next) {
            next += lanes.length;
            answers[index] = await connection.exchange(requests[index] as Buffer);
          }
        }),
      );
    }),
  );
  return answers;
}

const timeoutMs = 10_000;

/** Opens a connection, over mutual TLS where the URL is https. */
export async function open(url: URL, tls?: TlsOptions): Promise<Connection> {
  const to = { host: url.hostname, port: Number(url.port) };
  let socket: Socket;
  if (url.protocol === 'https:') {
    socket = connectTls({ ...to, ...tls });
    await once(socket, 'secureConnect');
    socket.setNoDelay(true);
  } else {
    socket = connect({ ...to, noDelay: true });
    await once(socket, 'connect');
  }
  let received = '';
  let waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;
  const fail = (error: Error) => {
    waiting?.reject(error);
    waiting = undefined;
  };
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    try {
      const answer = parse(received);
      if (answer === undefined) return;
      received = '';
      waiting?.resolve(answer);
      waiting = undefined;
    } catch (error) {
      fail(error as Error);
    }
  });
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the server closed the connection')));
  socket.setTimeout(timeoutMs, () => fail(new Error(`no answer in ${timeoutMs} ms`)));
  const exchange = (request: Buffer) =>
    new Promise<Answer>((resolve, reject) => {
      waiting = { resolve, reject };
      socket.write(request);
    });
  return { exchange, close: () => socket.destroy() };
}

/** Undefined while the answer is incomplete. Only answers with a Content-Length, which both servers send. */
function parse(received: string): Answer | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const head = received.slice(0, end);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without Content-Length:\n${head}`);
  const body = received.slice(end + 4);
  if (body.length < Number(length)) return undefined;
  return { status: Number(head.slice(9, 12)), head, body };
}

/** The value of a header, or undefined. */
export function headerOf(answer: Answer, name: string): string | undefined {
  const line = answer.head.split('\r\n').find((candidate) => candidate.toLowerCase().startsWith(`${name}:`));
  return line?.slice(name.length + 1).trim();
}
