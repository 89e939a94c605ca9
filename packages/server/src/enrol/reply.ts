/** The one place where a refusal to an instance becomes HTTP. */
import type { FastifyReply } from 'fastify';
import { countFailure } from '../client-auth/failures.ts';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { Problem } from '../web/problem.ts';

/** Answers with a body that nobody may keep. */
export function sendJson(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .header('content-type', 'application/json')
    .send(JSON.stringify(body));
}

/** Answers an error. What nobody foresaw is our fault: a 500 with an id, under which the log has the rest. */
export function sendError(deps: Deps, reply: FastifyReply, raised: unknown, address: string): FastifyReply {
  const error = asOAuthError(raised);
  if (!(error instanceof OAuthError)) {
    const id = newId(deps, 'problem');
    deps.log.error({ id, err: error }, 'a request failed');
    return sendJson(reply, 500, { error: 'server_error', error_description: `something went wrong here: ${id}` });
  }
  if (error.code === 'invalid_client') countFailure(deps.failures, address, error.reason);
  if (error.status === 401) reply.header('www-authenticate', `Bearer realm="${deps.config.issuer}", DPoP`);
  if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
  return sendJson(reply, error.status, { error: error.code, error_description: describable(error.message) });
}

/** Only what RFC 6749 §5.2 lets stand in `error_description`. */
const describable = (text: string): string => text.replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, "'");

/** What is refused before anybody is asked: a body too large, one that is no JSON. */
function asOAuthError(error: unknown): unknown {
  if (error instanceof OAuthError) return error;
  if (error instanceof Problem) return new OAuthError('invalid_request', error.message);
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  if (statusCode === undefined || statusCode >= 500) return error;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new OAuthError('invalid_request', 'the body is too large', { status: 413 });
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new OAuthError('invalid_request', 'the body must be application/json', { status: 415 });
  }
  return new OAuthError('invalid_request', 'the request is not understood');
}
