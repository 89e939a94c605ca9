/** `/mandates` over HTTP, for agents that act for people: bytes in, bytes out, and nothing decided here. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { refuseOtherMethods, sendAnswer } from '../web/own-api.ts';
import { serviceApi, servicePrefix } from '../web/service.ts';
import { endHeld } from './end.ts';
import { listHeld, showHeld } from './held.ts';
import { passOn } from './pass-on.ts';

type Named = { Params: { id: string } };

/** A plug-in with all that agents do with their mandates, beside using them. */
export function delegateRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const { identify, callerOf } = serviceApi(deps, app);
    const url = `${servicePrefix(deps.config)}/mandates`;
    const once = ({ headers }: FastifyRequest) => headers['idempotency-key'];

    app.route({
      method: 'GET',
      url,
      onRequest: identify,
      handler: async (request, reply) => sendAnswer(reply, await listHeld(deps, callerOf(request), request.query)),
    });
    app.route({
      method: 'POST',
      url,
      onRequest: identify,
      handler: async (request, reply) =>
        sendAnswer(reply, await passOn(deps, callerOf(request), { body: request.body, once: once(request) })),
    });
    refuseOtherMethods(app, url, ['GET', 'POST'], identify);

    app.route<Named>({
      method: 'GET',
      url: `${url}/:id`,
      onRequest: identify,
      handler: async (request, reply) =>
        sendAnswer(reply, await showHeld(deps, callerOf(request as FastifyRequest), request.params.id)),
    });
    app.route<Named>({
      method: 'DELETE',
      url: `${url}/:id`,
      onRequest: identify,
      handler: async (request, reply) =>
        sendAnswer(reply, await endHeld(deps, callerOf(request as FastifyRequest), request.params.id)),
    });
    refuseOtherMethods(app, `${url}/:id`, ['GET', 'DELETE'], identify);
  };
}
