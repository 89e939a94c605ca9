/** The admin API over HTTP: bytes in, bytes out, and nothing decided here. */
import { jwsAlgorithms } from '@bailiwick/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import type { Caller } from '../web/caller.ts';
import { eventStreams } from '../web/event-stream.ts';
import { metadataPath, ownApi, proofMemory, publish, refuseOtherMethods, sendAnswer } from '../web/own-api.ts';
import { Problem, problemReply } from '../web/problem.ts';
import { answer } from './answer.ts';
import { serveGlobalRevocation } from './global-revocation.ts';
import { openApiDocument } from './openapi.ts';
import type { Route } from './route.ts';
import { adminResource, allAdminScopes } from './scopes.ts';
import { adminTable } from './table.ts';

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** A plug-in with the admin API, its metadata (RFC 9728) and its description (OpenAPI). */
export function adminRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const { config } = deps;
    const issuer = new URL(config.issuer);
    const prefix = issuer.pathname === '/' ? '' : issuer.pathname;
    const resource = adminResource(config);
    const { identify, callerOf } = ownApi(deps, app, {
      api: 'admin',
      resource,
      name: 'admin API',
      memory: proofMemory(deps),
      types: ['application/json', 'application/merge-patch+json'],
    });

    const streams = eventStreams(deps, app);

    for (const [path, routes] of byPath(adminTable)) {
      const url = `${prefix}/admin/v1${path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
      for (const route of routes) {
        app.route({
          method: route.method,
          url,
          onRequest: identify,
          handler: async (request, reply) => {
            const given = await answered(deps, route, callerOf(request), request);
            return given.stream ? streams.send(request, reply, given.stream) : sendAnswer(reply, given);
          },
        });
      }
      refuseOtherMethods(
        app,
        url,
        routes.map(({ method }) => method),
        identify,
      );
    }
    const nothing = (_: FastifyRequest, reply: FastifyReply) =>
      problemReply(
        reply,
        new Problem('not-found', `there is nothing here: ${config.issuer}/openapi.json says what there is`),
      );
    for (const url of [`${prefix}/admin`, `${prefix}/admin/*`])
      app.route({ method: [...methods], url, onRequest: identify, handler: nothing });

    serveGlobalRevocation(deps, app, { identify, callerOf, prefix });
    publish(app, metadataPath(resource), () => ({
      resource,
      resource_name: 'Bailiwick admin API',
      authorization_servers: [config.issuer],
      scopes_supported: allAdminScopes,
      bearer_methods_supported: ['header'],
      dpop_bound_access_tokens_required: true,
      dpop_signing_alg_values_supported: jwsAlgorithms,
      resource_documentation: `${config.issuer}/openapi.json`,
    }));
    publish(app, `${prefix}/openapi.json`, () => openApiDocument(config));
  };
}

function byPath(table: readonly Route[]): Map<string, Route[]> {
  const paths = new Map<string, Route[]>();
  for (const route of table) paths.set(route.path, [...(paths.get(route.path) ?? []), route]);
  return paths;
}

function answered(deps: Deps, route: Route, caller: Caller, request: FastifyRequest) {
  const { method, url, params, query, headers } = request;
  return answer(deps, route, caller, {
    method,
    url,
    params,
    query,
    body: request.body,
    idempotencyKey: headers['idempotency-key'],
    ifMatch: headers['if-match'],
    lastEventId: typeof headers['last-event-id'] === 'string' ? headers['last-event-id'] : undefined,
  });
}
