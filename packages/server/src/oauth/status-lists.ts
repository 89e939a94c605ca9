/**
 * Status lists over HTTP: for anybody who knows which, from anywhere. There is no aggregation (§9, which is optional): it would show every
 * organization's resources to everybody, and how many of their tokens are ended. @see draft-ietf-oauth-status-list-20 §8.1, §8.2
 */
import { gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { statusListsPath } from '../status-lists/allocate.ts';
import { statusListToken, statusListType } from '../status-lists/status-list.ts';
import { issuerPath } from './endpoints.ts';
import { sendJson } from './reply.ts';

const mediaType = `application/${statusListType}`;

/** Shared caches keep a list for a second at most: how long who verifies may keep it is said by its `ttl`, from when they get it. */
const listCaching = 'public, max-age=1';

export function statusListRoutes(deps: Deps, app: FastifyInstance): void {
  const url = `${issuerPath(deps.config)}${statusListsPath}/:id`;
  app.get<{ Params: { id: string } }>(url, (request, reply) => list(deps, request.params.id, request, reply));
  app.options(url, (_, reply) =>
    open(reply)
      .headers({ 'access-control-allow-methods': 'GET, HEAD', 'access-control-max-age': '86400' })
      .code(204)
      .send(),
  );
  app.route({
    method: ['POST', 'PUT', 'PATCH', 'DELETE'],
    url,
    handler: (_, reply) =>
      sendJson(open(reply).header('allow', 'GET, HEAD, OPTIONS'), 405, {
        error: 'invalid_request',
        error_description: 'a status list is fetched by GET',
      }),
  });
}

async function list(deps: Deps, id: string, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { accept, 'accept-encoding': encodings } = request.headers;
  open(reply).header('vary', 'accept, accept-encoding');
  if (!accepts(accept, mediaType)) {
    return sendJson(reply, 406, {
      error: 'invalid_request',
      error_description: `this is offered as ${mediaType} alone`,
    });
  }
  const jwt = /^[A-Za-z0-9_-]{22}$/.test(id) ? await statusListToken(deps, id) : undefined;
  if (jwt === undefined) {
    return sendJson(reply, 404, {
      error: 'invalid_request',
      error_description: 'there is no such status list: all its tokens have expired, or there never was one',
    });
  }
  reply.header('content-type', mediaType).header('cache-control', listCaching);
  if (!accepts(encodings ?? 'identity', 'gzip')) return reply.send(jwt);
  return reply.header('content-encoding', 'gzip').send(gzipSync(jwt));
}

const open = (reply: FastifyReply): FastifyReply => reply.header('access-control-allow-origin', '*');

/** Whether a list such as `Accept` takes this: the most exact range that fits decides, and a weight of 0 is a no. @see RFC 9110 §12.5 */
export function accepts(header: string | undefined, wanted: string): boolean {
  if (header === undefined || header.trim() === '') return true;
  const [family] = wanted.split('/');
  const fitting = wanted.includes('/') ? [wanted, `${family}/*`, '*/*'] : [wanted, '*'];
  const ranges = new Map(
    header.split(',').map((range) => {
      const [name = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
      const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
      return [name, weight === undefined ? 1 : Number(weight)] as const;
    }),
  );
  const found = fitting.find((range) => ranges.has(range));
  return found !== undefined && (ranges.get(found) as number) > 0;
}
