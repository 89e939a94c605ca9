/** What a guard has applied, said line by line over one request: where much is revoked, a request each would cost more than all the rest. */
import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { noteApplied } from '../feed-leases/requests.ts';
import type { Session } from '../feed-leases/session.ts';
import { badRequest } from '../web/problem.ts';
import { appliedLine } from './body.ts';

export const linesType = 'application/jsonl';

const longestLine = 512;

/**
 * Answers as soon as the first line was heard: 200 if those that follow are worth while here, 204 if this node gives the guard no leases. Whatever is
 * wrong later ends the answer, and a request by itself will hear why.
 * @throws Problem 400; FeedRefusal `unknown_session`, `replayed`
 */
export function hearLines(
  deps: Deps,
  request: FastifyRequest<{ Params: { session: string }; Body: IncomingMessage | undefined }>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { body, raw: incoming } = request;
  const { raw: outgoing } = reply;
  let isOver = false;
  let session: Session | undefined;
  const lines = {
    close() {
      if (isOver) return;
      isOver = true;
      // whoever would go on writing is not listened to
      outgoing.end(() => incoming.complete || incoming.destroy());
    },
  };

  return new Promise((resolve, reject) => {
    const refuse = (error: unknown) => {
      if (session) return lines.close();
      isOver = true;
      reject(error);
    };

    async function hear(line: string): Promise<void> {
      if (isOver) return;
      const named = await noteApplied(deps, request.params.session, appliedLine(line));
      if (session === undefined && named === undefined) {
        isOver = true;
        resolve(reply.code(204).send());
      } else if (named === undefined || named.ended) lines.close();
      else if (session === undefined) begin(named);
    }

    function begin(named: Session): void {
      session = named;
      session.lines?.close();
      session.lines = lines;
      reply.hijack();
      outgoing.on('error', () => outgoing.destroy());
      outgoing.writeHead(200, { 'content-type': linesType, 'cache-control': 'no-store' });
      outgoing.flushHeaders();
      resolve(reply);
    }

    let unread = '';
    let work = Promise.resolve();
    body?.setEncoding('latin1');
    body?.on('data', (text: string) => {
      if (isOver) return;
      const complete = (unread + text).split('\n');
      unread = complete.pop() as string;
      for (const line of complete) work = work.then(() => hear(line)).catch(refuse);
      if (unread.length > longestLine || complete.some(({ length }) => length > longestLine)) refuse(tooLong);
    });
    const ended = () => {
      work = work.then(() => refuse(noLine));
      if (session?.lines === lines) session.lines = undefined;
    };
    if (body === undefined) ended();
    body?.on('close', ended);
  });
}

const tooLong = badRequest([{ field: 'body', message: `must have lines of at most ${longestLine} bytes` }]);
const noLine = badRequest([{ field: 'body', message: 'must have a line that says what was applied' }]);
