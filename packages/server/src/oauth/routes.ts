/** The OAuth endpoints over HTTP: bytes in, bytes out, and nothing decided here. */
import { readTraceparent } from '@bailiwick/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { publishedKeys } from '../keys/keys.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { asOf } from '../liveness/liveness.ts';
import { parseForm } from '../tokens/form.ts';
import { addressOf } from '../web/client-address.ts';
import { presentedCertificate } from '../web/client-certificate.ts';
import { issuerPath, type OAuthEndpoint, oauthPaths } from './endpoints.ts';
import { introspectionEndpoint } from './introspection-endpoint.ts';
import { authorizationServerMetadata, metadataPaths } from './metadata.ts';
import { sendError, sendJson } from './reply.ts';
import { revocationEndpoint } from './revocation-endpoint.ts';
import { introspectionMediaType, signedIntrospection, wantsSigned } from './signed-introspection.ts';
import { statusListRoutes } from './status-lists.ts';
import { tokenEndpoint } from './token-endpoint.ts';

type Endpoint = (deps: Deps, request: OAuthRequest) => Promise<object | undefined>;

const endpoints: Partial<Record<OAuthEndpoint, Endpoint>> = {
  token: tokenEndpoint,
  introspection: introspectionEndpoint,
  revocation: revocationEndpoint,
};

/** A plug-in with all OAuth endpoints, metadata and the key set. */
export function oauthRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    app.removeAllContentTypeParsers();
    // the first is the one that Fastify remembers how to find; what any other type holds is refused when it was read
    app.addContentTypeParser(['application/x-www-form-urlencoded', '*'], { parseAs: 'buffer' }, (_, body, done) =>
      done(null, body),
    );
    app.setErrorHandler((error, request, reply) =>
      sendError(deps, reply, asOAuthError(error), addressOf(deps, request)),
    );

    const prefix = issuerPath(deps.config);
    for (const [name, answer] of Object.entries(endpoints) as [OAuthEndpoint, Endpoint][]) {
      const url = prefix + oauthPaths[name];
      app.post(url, (request, reply) => post(deps, name, answer, request, reply));
      app.route({
        method: ['GET', 'PUT', 'PATCH', 'DELETE'],
        url,
        handler: (_, reply) => {
          reply.header('allow', 'POST');
          return sendJson(reply, 405, {
            error: 'invalid_request',
            error_description: 'this endpoint takes POST alone',
          });
        },
      });
    }

    statusListRoutes(deps, app);
    for (const path of metadataPaths(deps.config)) {
      app.get(path, (_, reply) => sendPublic(reply, 'application/json', authorizationServerMetadata(deps), 300));
    }
    app.get(prefix + oauthPaths.jwks, async (_, reply) => {
      const { version } = await asOf(deps.db);
      const keys = (await publishedKeys(deps, version)).map(({ jwk, kid, alg }) => ({ ...jwk, kid, alg, use: 'sig' }));
      return sendPublic(reply, 'application/jwk-set+json', { keys }, deps.config.keys.jwks_max_age_seconds);
    });
  };
}

async function post(
  deps: Deps,
  name: OAuthEndpoint,
  answer: Endpoint,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (name === 'token') reply.header('dpop-nonce', deps.nonces.current(deps.clock.now()));
  try {
    if (name === 'introspection' && wantsSigned(request.headers.accept)) {
      const jwt = await signedIntrospection(deps, oauthRequest(deps, request));
      return reply.headers({ 'cache-control': 'no-store', 'content-type': introspectionMediaType }).send(jwt);
    }
    const body = await answer(deps, oauthRequest(deps, request));
    return sendJson(reply, 200, body ?? {});
  } catch (error) {
    challenge(deps, request, reply, error);
    return sendError(deps, reply, error, addressOf(deps, request));
  }
}

/** Whoever tried the Authorization header hears of it by its own scheme, though we take none. @see RFC 6749 §5.2 */
function challenge(deps: Deps, { headers }: FastifyRequest, reply: FastifyReply, error: unknown): void {
  if (!(error instanceof OAuthError) || error.status !== 401) return;
  const scheme = /^[A-Za-z0-9-]{1,32}(?= |$)/.exec(headers.authorization ?? '')?.[0];
  if (scheme) reply.header('www-authenticate', `${scheme} realm="${deps.config.issuer}"`);
}

function oauthRequest(deps: Deps, request: FastifyRequest): OAuthRequest {
  const { headers, body } = request;
  const type = headers['content-type'] ?? '';
  if (!/^application\/x-www-form-urlencoded[ \t]*(;|$)/i.test(type)) {
    throw new OAuthError('invalid_request', 'the body must be application/x-www-form-urlencoded');
  }
  return {
    form: parseForm(Buffer.isBuffer(body) ? body : Buffer.alloc(0)),
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

function sendPublic(reply: FastifyReply, type: string, body: object, maxAgeSeconds: number): FastifyReply {
  return reply
    .header('content-type', type)
    .header('cache-control', `public, max-age=${maxAgeSeconds}`)
    .header('access-control-allow-origin', '*')
    .send(JSON.stringify(body));
}

/** What Fastify itself refuses before an endpoint is asked: a body too large, a header that is none. */
function asOAuthError(error: unknown): unknown {
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  if (statusCode === undefined || statusCode >= 500) return error;
  const message = code === 'FST_ERR_CTP_BODY_TOO_LARGE' ? 'the body is too large' : 'the request is not understood';
  return new OAuthError('invalid_request', message, { status: statusCode === 413 ? 413 : 400 });
}
