/** `/tasks` over HTTP, for orchestrators: bytes in, bytes out, and nothing decided here. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { refuseOtherMethods, sendAnswer } from '../web/own-api.ts';
import { serviceApi, servicePrefix } from '../web/service.ts';
import { endOwnTask } from './end.ts';
import { openTask } from './open.ts';
import { showTask } from './show.ts';

type Named = { Params: { id: string } };

/** A plug-in with all that orchestrators ask for. */
export function orchestrateRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const { identify, callerOf } = serviceApi(deps, app);
    const url = `${servicePrefix(deps.config)}/tasks`;
    const once = ({ headers }: FastifyRequest) => headers['idempotency-key'];

    app.route({
      method: 'POST',
      url,
      onRequest: identify,
      handler: async (request, reply) =>
        sendAnswer(reply, await openTask(deps, callerOf(request), { body: request.body, once: once(request) })),
    });
    refuseOtherMethods(app, url, ['POST'], identify);

    app.route<Named>({
      method: 'GET',
      url: `${url}/:id`,
      onRequest: identify,
      handler: async (request, reply) =>
        sendAnswer(reply, await showTask(deps, callerOf(request as FastifyRequest), request.params.id)),
    });
    app.route<Named>({
      method: 'DELETE',
      url: `${url}/:id`,
      onRequest: identify,
      handler: async (request, reply) =>
        sendAnswer(reply, await endOwnTask(deps, callerOf(request as FastifyRequest), request.params.id)),
    });
    refuseOtherMethods(app, `${url}/:id`, ['GET', 'DELETE'], identify);
  };
}
