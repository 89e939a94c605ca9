/** `/feed` over HTTP, for guards: bytes in, bytes out, and nothing decided here. */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { feedOf } from '../feed-leases/feed.ts';
import { askLease, giveBack, noteApplied } from '../feed-leases/requests.ts';
import { FeedRefusal } from '../feed-leases/state.ts';
import { refuseOtherMethods, sendAnswer } from '../web/own-api.ts';
import { Problem } from '../web/problem.ts';
import { feedPath, serviceApi, servicePrefix } from '../web/service.ts';
import { endBody, sessionBody } from './body.ts';
import { hearLines, linesType } from './lines.ts';
import { openFeed } from './open.ts';
import { streamFeed } from './stream.ts';

type Named = { Params: { session: string } };

/** A plug-in with all that guards ask for. */
export function feedRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const { identify, callerOf } = serviceApi(deps, app);
    const url = servicePrefix(deps.config) + feedPath;
    feedOf(deps); // hears of revocations from the beginning

    app.route({
      method: 'POST',
      url,
      onRequest: identify,
      handler: async (request, reply) =>
        refusing(deps, async () =>
          sendAnswer(reply, { status: 200, headers: {}, body: await openFeed(deps, callerOf(request), request.body) }),
        ),
    });
    refuseOtherMethods(app, url, ['POST'], identify);

    const session = `${url}/:session`;
    app.route<Named>({
      method: 'GET',
      url: session,
      exposeHeadRoute: false, // a stream has no end that a HEAD could wait for
      onRequest: identify,
      handler: async (request, reply) =>
        refusing(deps, () => streamFeed(deps, callerOf(request as FastifyRequest), request as never, reply)),
    });
    // who asks for a lease, or says what it has applied, shows no token: the MAC under the session's key says who it is
    app.route<Named>({
      method: 'POST',
      url: session,
      handler: async (request, reply) =>
        refusing(deps, async () => {
          const body = sessionBody(request.body);
          if ('nonce' in body) return answerMessages(reply, await askLease(deps, request.params.session, body));
          await noteApplied(deps, request.params.session, body);
          return reply.code(204).send();
        }),
    });
    app.route<Named>({
      method: 'DELETE',
      url: session,
      handler: async (request, reply) =>
        refusing(deps, async () => {
          await giveBack(deps, request.params.session, endBody(request.body));
          return sendAnswer(reply, { status: 204, headers: {}, body: undefined });
        }),
    });
    refuseOtherMethods(app, session, ['GET', 'POST', 'DELETE'], identify);

    const applied = `${session}/applied`;
    await app.register(async (lines) => {
      lines.removeAllContentTypeParsers();
      lines.addContentTypeParser(linesType, async (_: FastifyRequest, body: IncomingMessage) => body);
      lines.addContentTypeParser('*', async () => {
        throw new Problem('unsupported-media-type', `send ${linesType}`, { headers: { accept: linesType } });
      });
      lines.route<Named>({
        method: 'POST',
        url: applied,
        handler: async (request, reply) => refusing(deps, () => hearLines(deps, request as never, reply)),
      });
    });
    refuseOtherMethods(app, applied, ['POST'], identify);
  };
}

/** A JWS needs no escaping. */
function answerMessages(reply: FastifyReply, messages: readonly string[]): FastifyReply {
  return reply
    .header('content-type', 'application/json')
    .header('cache-control', 'no-store')
    .send(`{"messages":["${messages.join('","')}"]}`);
}

async function refusing<Result>(deps: Deps, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof FeedRefusal)) throw error;
    const { message } = error;
    if (error.why === 'unknown_session') throw new Problem('unknown-session', message);
    if (error.why === 'replayed') throw new Problem('conflict', message);
    // a second or two, each another time, so that they don't come back together
    const seconds = error.why === 'full' ? 5 + ((deps.random.bytes(1)[0] as number) % 10) : 1;
    throw new Problem('unavailable', message, { headers: { 'retry-after': String(seconds) } });
  }
}
