/** The admin API over HTTP: bytes in, bytes out, and nothing decided here. */
import { isUtf8 } from 'node:buffer';
import { jwsAlgorithms, protectedResourceMetadataUrl, replayMemory } from '@bailiwick/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { countFailure } from '../client-auth/failures.ts';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { parseJsonBody } from '../web/body.ts';
import { type Caller, callerOf, futureSeconds } from '../web/caller.ts';
import { Problem, problemReply } from '../web/problem.ts';
import { answer } from './answer.ts';
import { openApiDocument } from './openapi.ts';
import type { Route } from './route.ts';
import { adminResource, allAdminScopes } from './scopes.ts';
import { adminTable } from './table.ts';

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
const proofsRemembered = 200_000;

/** A plug-in with the admin API, its metadata (RFC 9728) and its description (OpenAPI). */
export function adminRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const { config } = deps;
    const issuer = new URL(config.issuer);
    const prefix = issuer.pathname === '/' ? '' : issuer.pathname;
    const resource = adminResource(config);
    const memory = replayMemory({
      windowMs: (config.dpop.proof_max_age_seconds + futureSeconds + 1) * 1000,
      futureMs: futureSeconds * 1000,
      perGeneration: proofsRemembered,
      perKey: proofsRemembered / 4, // one busy administrator doesn't shut out the others
    });
    const callers = new WeakMap<FastifyRequest, Caller>();

    readJsonAlone(app, config.limits.body_bytes);
    app.setErrorHandler((error, request, reply) => {
      const problem = asProblem(deps, error);
      // who proves nothing is counted and not written down, or anyone could make us write; who sends nothing is only asking
      // where tokens come from, as every client does at first
      if (problem.kind === 'invalid-token' && request.headers.authorization !== undefined) {
        countFailure(deps.failures, request.ip, `admin API: ${problem.message}`);
      }
      return problemReply(reply, problem);
    });

    // before the body is read, and whatever the path: strangers don't get to send us one, and are told by every URL of
    // this API where tokens for it come from
    const identify = async (request: FastifyRequest) => {
      const { method, headers, ip } = request;
      const caller = await callerOf(
        deps,
        memory,
        { api: 'admin', resource },
        {
          method,
          url: issuer.origin + request.url,
          authorization: headers.authorization,
          dpop: headers.dpop,
          address: ip,
        },
      );
      callers.set(request, caller);
    };

    for (const [path, routes] of byPath(adminTable)) {
      const url = `${prefix}/admin/v1${path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
      for (const route of routes) {
        app.route({
          method: route.method,
          url,
          onRequest: identify,
          handler: async (request, reply) => send(reply, await answered(deps, route, callers.get(request), request)),
        });
      }
      const offered = routes.map(({ method }) => method);
      const allow = [...(offered.includes('GET') ? ['HEAD'] : []), ...offered].join(', ');
      const refused = methods.filter((method) => !(offered as string[]).includes(method));
      if (refused.length === 0) continue;
      app.route({
        method: [...refused],
        url,
        onRequest: identify,
        handler: (_, reply) =>
          problemReply(reply, new Problem('method-not-allowed', `this takes ${allow}`, { headers: { allow } })),
      });
    }
    const nothing = (_: FastifyRequest, reply: FastifyReply) =>
      problemReply(
        reply,
        new Problem('not-found', `there is nothing here: ${config.issuer}/openapi.json says what there is`),
      );
    for (const url of [`${prefix}/admin`, `${prefix}/admin/*`])
      app.route({ method: [...methods], url, onRequest: identify, handler: nothing });

    publish(app, new URL(protectedResourceMetadataUrl(resource)).pathname, () => ({
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

function answered(deps: Deps, route: Route, caller: Caller | undefined, request: FastifyRequest) {
  if (!caller) throw new Error('a request was handled without a caller');
  const { method, url, params, query, headers } = request;
  return answer(deps, route, caller, {
    method,
    url,
    params,
    query,
    body: request.body,
    idempotencyKey: headers['idempotency-key'],
    ifMatch: headers['if-match'],
  });
}

function send(
  reply: FastifyReply,
  given: { status: number; headers: Record<string, string>; body: string | undefined },
) {
  reply.code(given.status).headers({ 'cache-control': 'no-store', ...given.headers });
  return given.body === undefined ? reply.send() : reply.header('content-type', 'application/json').send(given.body);
}

/** Public documents: anybody may read them, from anywhere. Made when first asked for: a start needn't wait for them. */
function publish(app: FastifyInstance, url: string, document: () => object): void {
  let body: string | undefined;
  app.get(url, (_, reply) => {
    body ??= JSON.stringify(document());
    return reply
      .headers({ 'cache-control': 'public, max-age=300', 'access-control-allow-origin': '*' })
      .header('content-type', 'application/json')
      .send(body);
  });
}

function readJsonAlone(app: FastifyInstance, bodyLimit: number): void {
  app.removeAllContentTypeParsers();
  const types = ['application/json', 'application/merge-patch+json'];
  app.addContentTypeParser(types, { parseAs: 'buffer', bodyLimit }, async (_: FastifyRequest, body: Buffer) => {
    if (body.length === 0) return undefined;
    if (!isUtf8(body)) throw new Problem('bad-request', 'the body must be UTF-8');
    return parseJsonBody(body.toString('utf8'));
  });
}

/** What Fastify refuses by itself, and what nobody foresaw: a 500 with an id, under which the log has the rest. */
function asProblem(deps: Deps, error: unknown): Problem {
  if (error instanceof Problem) return error;
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new Problem(
      'too-large',
      `the body must be at most ${deps.config.limits.body_bytes} bytes (limits.body_bytes)`,
    );
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new Problem('unsupported-media-type', 'send application/json, or application/merge-patch+json to PATCH', {
      headers: { accept: 'application/json, application/merge-patch+json' },
    });
  }
  if (statusCode !== undefined && statusCode < 500) return new Problem('bad-request', 'the request is not understood');
  const id = newId(deps, 'problem');
  deps.log.error({ id, err: error }, 'a request to the admin API failed');
  return new Problem('internal', `something went wrong here: ${id}`);
}
