/** The decision point over HTTP: bytes in, bytes out, and nothing decided here. @see AuthZEN 1.0 §10 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { publish, refuseOtherMethods, sendAnswer } from '../web/own-api.ts';
import { Problem } from '../web/problem.ts';
import { serviceApi, servicePrefix } from '../web/service.ts';
import { answers } from './answers.ts';
import { askingSide } from './asking.ts';
import { type PdpEndpoint, pdpEndpoints, pdpMetadata, pdpMetadataPaths } from './endpoints.ts';

/** A plug-in with the AuthZEN endpoints and their metadata. */
export function pdpRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const { config } = deps;
    const { identify, callerOf } = serviceApi(deps, app);
    // what is no JSON is a bad request here, where others say 415. @see AuthZEN 1.0 certification, invalid content type
    app.addContentTypeParser('*', async () => {
      throw new Problem('bad-request', 'the body must be application/json');
    });
    app.addHook('onRequest', async (request, reply) => {
      const id = request.headers['x-request-id'];
      if (id !== undefined) reply.header('x-request-id', id);
    });

    for (const [name, { path }] of Object.entries(pdpEndpoints) as [PdpEndpoint, { path: string }][]) {
      const url = servicePrefix(config) + path;
      app.post(url, { onRequest: identify }, async (request: FastifyRequest, reply: FastifyReply) => {
        const asking = await askingSide(deps, callerOf(request));
        const body = JSON.stringify(await answers[name](deps, asking, request.body));
        return sendAnswer(reply, { status: 200, headers: {}, body });
      });
      refuseOtherMethods(app, url, ['POST'], identify);
    }
    for (const path of pdpMetadataPaths(config)) publish(app, path, () => pdpMetadata(config));
  };
}
