// The leanest HTTP/1.1 client that is still honest: keep-alive, one request in flight per connection, no pipelining.
// node:http costs the generator more than the server spends on a token, and would starve it.
import { once } from 'node:events';
import { connect } from 'node:net';

export interface Answer {
  status: number;
  head: string;
  body: string;
}

/** A POST, ready to be written as it is. */
export function formPost(url: URL, form: Record<string, string>, headers: Record<string, string> = {}): Buffer {
  const body = new URLSearchParams(form).toString();
  const lines = [`POST ${url.pathname} HTTP/1.1`, `Host: ${url.host}`, 'Accept: application/json'];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  lines.push('Content-Type: application/x-www-form-urlencoded', `Content-Length: ${Buffer.byteLength(body)}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** Sends everything over `concurrency` kept connections and gives the answers in the order of the requests. */
export async function fire(url: URL, requests: readonly Buffer[], concurrency: number): Promise<Answer[]> {
  const answers = new Array<Answer>(requests.length);
  let next = 0;
  const lane = async () => {
    const connection = await open(url);
    try {
      for (let index = next++; index < requests.length; index = next++) {
        answers[index] = await connection.exchange(requests[index] as Buffer);
      }
    } finally {
      connection.close();
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, requests.length) }, lane));
  return answers;
}

const timeoutMs = 10_000;

async function open(url: URL) {
  const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
  await once(socket, 'connect');
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
