/** How instances are refused: in OAuth's words, whatever it was, and failed authentication is counted. */
import type { FastifyReply } from 'fastify';
import type { Deps } from '../deps.ts';
import { countFailure } from '../lib/failures.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { sendOAuthError } from '../web/oauth-reply.ts';
import { Problem } from '../web/problem.ts';

export { sendJson } from '../web/oauth-reply.ts';

/** Answers an error. */
export function sendError(deps: Deps, reply: FastifyReply, raised: unknown, address: string): FastifyReply {
  const error = asOAuthError(raised);
  if (error instanceof OAuthError && error.code === 'invalid_client') {
    countFailure(deps.failures, address, error.reason);
  }
  if (error instanceof OAuthError && error.status === 401) {
    reply.header('www-authenticate', `Bearer realm="${deps.config.issuer}", DPoP`);
  }
  return sendOAuthError(deps, reply, error);
}

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
