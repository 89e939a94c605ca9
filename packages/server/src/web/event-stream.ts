/**
 * Answers that go on: server-sent events, made piece by piece, each once the one before was taken. So whoever reads slowly slows down their own
 * stream, and nothing piles up here.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';

/** Who takes nothing for so long (ms) is dropped: they can go on where they were. */
const patience = 60_000;

export interface EventStreams {
  /** Sends the pieces until there are no more, or nobody takes them. */
  send(request: FastifyRequest, reply: FastifyReply, pieces: AsyncGenerator<string, void>): Promise<FastifyReply>;
}

/** Of one plug-in; what is under way ends when the server does. */
export function eventStreams(deps: Pick<Deps, 'clock' | 'log'>, app: FastifyInstance): EventStreams {
  const open = new Set<() => void>();
  app.addHook('preClose', async () => {
    for (const end of open) end();
  });
  return {
    async send(request, reply, pieces) {
      const { raw } = reply;
      reply.hijack();
      raw.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no', // nginx would keep news to itself
      });
      const end = () => {
        open.delete(end);
        void pieces.return();
        raw.destroy();
      };
      open.add(end);
      raw.on('close', end);
      raw.on('error', end);
      if (request.method === 'HEAD') end();
      else void run();
      return reply;

      async function run(): Promise<void> {
        try {
          for await (const piece of pieces) {
            if (raw.destroyed) break;
            if (!raw.write(piece)) await taken();
          }
          raw.end();
        } catch (err) {
          deps.log.error({ err }, 'a stream of events broke off');
          end();
        }
      }

      function taken(): Promise<void> {
        return new Promise((resolve) => {
          const done = () => {
            cancel();
            raw.off('drain', done);
            raw.off('close', done);
            resolve();
          };
          const cancel = deps.clock.after(patience, end);
          raw.on('drain', done);
          raw.on('close', done);
        });
      }
    },
  };
}
