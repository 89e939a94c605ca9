/** A request whose body goes on after it was answered, by `node:http`: what a guard says line by line. */
import http from 'node:http';

export interface FeedLines {
  /** Of the answer, once it is there; `cut` if the connection ended without one. */
  status: Promise<number | 'cut'>;
  /** The answer's body, once it has ended. */
  text: Promise<string>;
  say(line: unknown): void;
  end(): void;
}

/** @param first what is said first, as it is or as JSON on a line of its own */
export function feedLines(
  { address }: { address: string },
  session: string,
  { type = 'application/jsonl' }: { type?: string } = {},
): FeedLines {
  const request = http.request(`${address}/feed/${session}/applied`, {
    method: 'POST',
    headers: { 'content-type': type },
    agent: false,
  });
  const status = Promise.withResolvers<number | 'cut'>();
  const text = Promise.withResolvers<string>();
  request.on('error', () => status.resolve('cut'));
  request.on('close', () => {
    status.resolve('cut');
    text.resolve('');
  });
  request.on('response', (response) => {
    status.resolve(response.statusCode as number);
    let read = '';
    response.setEncoding('utf8');
    response.on('data', (part: string) => {
      read += part;
    });
    response.on('error', () => {});
    response.on('close', () => text.resolve(read));
  });
  return {
    status: status.promise,
    text: text.promise,
    say: (line) => void request.write(typeof line === 'string' ? line : `${JSON.stringify(line)}\n`),
    end: () => void request.end(),
  };
}
