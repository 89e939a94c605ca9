/** Security signals over HTTP: bytes in, bytes out, and nothing decided here. @see SSF 1.0 §8, RFC 8935, RFC 8936 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { setMediaType } from '../ssf/events.ts';
import { longestSet, type Source } from '../ssf/source.ts';
import { addressOf } from '../web/client-address.ts';
import { publish, refuseOtherMethods, sendAnswer } from '../web/own-api.ts';
import { serviceApi, servicePrefix } from '../web/service.ts';
import { signalPaths, transmitterMetadata, transmitterMetadataPath } from './endpoints.ts';
import { poll } from './poll.ts';
import { pushingSource, receiveSet, TooManySets } from './receive.ts';
import { SetError } from './set-error.ts';
import { changeSubject, readStatus, updateStatus, verifyStream } from './standing.ts';
import { changeStream, createStream, readStreams, removeStream } from './streams.ts';

type Query = { Querystring: Record<string, unknown> };
type Named = { Params: { id: string } };

/** A plug-in for the transmitter's side. @param jwksUri where its keys are */
export function transmitterRoutes(deps: Deps, jwksUri: string) {
  return async (app: FastifyInstance): Promise<void> => {
    const { config } = deps;
    const { identify, callerOf } = serviceApi(deps, app);
    const at = (path: string) => servicePrefix(config) + path;
    const json = (reply: FastifyReply, status: number, body?: unknown) =>
      sendAnswer(reply, { status, headers: {}, body: body === undefined ? undefined : JSON.stringify(body) });
    const onRequest = identify;

    const streams = at(signalPaths.configuration);
    app.get<Query>(streams, { onRequest }, async (request, reply) =>
      json(reply, 200, await readStreams(deps, callerOf(request as FastifyRequest), request.query)),
    );
    app.post(streams, { onRequest }, async (request, reply) =>
      json(reply, 201, await createStream(deps, callerOf(request), request.body)),
    );
    app.patch(streams, { onRequest }, async (request, reply) =>
      json(reply, 200, await changeStream(deps, callerOf(request), 'update', request.body)),
    );
    app.put(streams, { onRequest }, async (request, reply) =>
      json(reply, 200, await changeStream(deps, callerOf(request), 'replace', request.body)),
    );
    app.delete<Query>(streams, { onRequest }, async (request, reply) => {
      await removeStream(deps, callerOf(request as FastifyRequest), request.query);
      return json(reply, 204);
    });

    const status = at(signalPaths.status);
    app.get<Query>(status, { onRequest }, async (request, reply) =>
      json(reply, 200, await readStatus(deps, callerOf(request as FastifyRequest), request.query)),
    );
    app.post(status, { onRequest }, async (request, reply) =>
      json(reply, 200, await updateStatus(deps, callerOf(request), request.body)),
    );
    refuseOtherMethods(app, status, ['GET', 'POST'], identify);

    const posts = {
      [at(signalPaths.addSubject)]: async (request, reply) => {
        await changeSubject(deps, callerOf(request), 'add', request.body);
        return reply.code(200).header('cache-control', 'no-store').send();
      },
      [at(signalPaths.removeSubject)]: async (request, reply) => {
        await changeSubject(deps, callerOf(request), 'remove', request.body);
        return json(reply, 204);
      },
      [at(signalPaths.verification)]: async (request, reply) => {
        await verifyStream(deps, callerOf(request), request.body);
        return json(reply, 204);
      },
    } satisfies Record<string, (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>>;
    for (const [url, handler] of Object.entries(posts)) {
      app.post(url, { onRequest }, handler);
      refuseOtherMethods(app, url, ['POST'], identify);
    }

    const polling = `${at(signalPaths.poll)}/:id`;
    app.post<Named>(polling, { onRequest }, async (request, reply) => {
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const caller = callerOf(request as FastifyRequest);
      return json(reply, 200, await poll(deps, caller, request.params.id, request.body, gone.signal));
    });
    refuseOtherMethods(app, polling, ['POST'], identify);

    publish(app, transmitterMetadataPath(config), () => transmitterMetadata(config, jwksUri));
  };
}

/** A plug-in for the receiver's side: who pushes is known by what was made for it, and answers are those of RFC 8935. */
export function receiverRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const sources = new WeakMap<FastifyRequest, Source>();
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(
      setMediaType,
      { parseAs: 'string', bodyLimit: longestSet + 1024 },
      async (_: FastifyRequest, body: string) => body,
    );
    app.setErrorHandler((error, _, reply) => {
      const { status, err, description } = answerTo(deps, error);
      if (status === 429) reply.header('retry-after', '1');
      return reply
        .code(status)
        .headers({ 'cache-control': 'no-store', 'content-language': 'en' })
        .header('content-type', 'application/json')
        .send(JSON.stringify({ err, description }));
    });
    app.route<Named>({
      method: 'POST',
      url: `${servicePrefix(deps.config)}${signalPaths.receive}/:id`,
      // before the body is read: strangers don't get to send us one
      onRequest: async (request) => {
        const { id } = request.params;
        const { authorization } = request.headers;
        const plain = request as FastifyRequest;
        sources.set(plain, await pushingSource(deps, { id, authorization, address: addressOf(deps, plain) }));
      },
      handler: async (request, reply) => {
        const source = sources.get(request as FastifyRequest);
        if (!source) throw new Error('a signal was handled without a source');
        await receiveSet(deps, source, typeof request.body === 'string' ? request.body : '');
        return reply.code(202).header('cache-control', 'no-store').send();
      },
    });
  };
}

/** What is wrong with a SET is a 400 (RFC 8935 §2.3); what went wrong here is none of the sender's fault: it sends again. */
function answerTo(deps: Deps, error: unknown): { status: number; err: string; description: string } {
  if (error instanceof SetError) return { status: 400, err: error.code, description: error.message };
  if (error instanceof TooManySets) return { status: 429, err: 'too_many', description: error.message };
  const { statusCode = 500 } = error as { statusCode?: number };
  if (statusCode < 500) {
    return {
      status: 400,
      err: 'invalid_request',
      description: `send one SET as ${setMediaType}, of at most ${longestSet} bytes`,
    };
  }
  const id = newId(deps, 'problem');
  deps.log.error({ id, err: error }, 'a signal could not be taken');
  return { status: 500, err: 'internal', description: `something went wrong here: ${id}` };
}
