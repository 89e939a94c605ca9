/** The endpoints for instances over HTTP: bytes in, bytes out, and nothing decided here. */
import { isUtf8 } from 'node:buffer';
import { readTraceparent } from '@bailiwick/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { parseJsonBody } from '../web/body.ts';
import { addressOf } from '../web/client-address.ts';
import { presentedCertificate } from '../web/client-certificate.ts';
import { enrolChild } from './children.ts';
import { end, show } from './end.ts';
import { enrol } from './enrol.ts';
import type { InstanceRequest } from './enroller.ts';
import { instancesPath } from './paths.ts';
import { renew } from './renew.ts';
import { sendError, sendJson } from './reply.ts';

/** A plug-in with all that instances ask for. */
export function enrolRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: FastifyRequest, body: Buffer) => {
      if (body.length === 0) return undefined;
      if (!isUtf8(body)) throw new OAuthError('invalid_request', 'the body must be UTF-8');
      return parseJsonBody(body.toString('utf8'));
    });
    app.setErrorHandler((error, request, reply) => sendError(deps, reply, error, addressOf(deps, request)));

    const { pathname } = new URL(deps.config.issuer);
    const base = (pathname === '/' ? '' : pathname) + instancesPath;
    app.post(base, async (request, reply) => {
      const answer = await enrol(deps, instanceRequest(deps, request));
      return created(deps, reply, answer.instance, answer);
    });
    notOffered(app, base, ['POST']);

    type Named = { Params: { id: string } };
    app.post<Named>(`${base}/:id/renew`, async (request, reply) =>
      sendJson(reply, 200, await renew(deps, instanceRequest(deps, request), request.params.id)),
    );
    notOffered(app, `${base}/:id/renew`, ['POST']);
    app.post<Named>(`${base}/:id/children`, async (request, reply) => {
      const answer = await enrolChild(deps, instanceRequest(deps, request), request.params.id);
      return created(deps, reply, answer.instance, answer);
    });
    notOffered(app, `${base}/:id/children`, ['POST']);
    app.get<Named>(`${base}/:id`, async (request, reply) =>
      sendJson(reply, 200, await show(deps, instanceRequest(deps, request), request.params.id)),
    );
    app.delete<Named>(`${base}/:id`, async (request, reply) => {
      await end(deps, instanceRequest(deps, request), request.params.id);
      return reply.code(204).header('cache-control', 'no-store').send();
    });
    notOffered(app, `${base}/:id`, ['GET', 'DELETE']);
  };
}

function created(deps: Deps, reply: FastifyReply, id: string, answer: object): FastifyReply {
  reply.header('location', `${deps.config.issuer}${instancesPath}/${id}`);
  return sendJson(reply, 201, answer);
}

function instanceRequest(deps: Deps, request: FastifyRequest): InstanceRequest {
  const { headers, body } = request;
  return {
    body: body ?? {},
    authorization: headers.authorization,
    dpop: headers.dpop as string | undefined, // said twice it arrives joined by a comma, and is no proof any more
    certificate: presentedCertificate(request, deps.config),
    context: {
      address: addressOf(deps, request),
      at: deps.clock.now(),
      traceparent: readTraceparent(headers.traceparent),
    },
  };
}

function notOffered(app: FastifyInstance, url: string, offered: readonly string[]): void {
  app.route({
    method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((method) => !offered.includes(method)),
    url,
    handler: (_, reply) => {
      reply.header('allow', offered.join(', '));
      const error_description = `this takes ${offered.join(', ')}`;
      return sendJson(reply, 405, { error: 'invalid_request', error_description });
    },
  });
}
