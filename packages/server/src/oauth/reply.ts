/** How the OAuth endpoints refuse: failed authentication is counted first. */
import type { FastifyReply } from 'fastify';
import type { Deps } from '../deps.ts';
import { countFailure } from '../lib/failures.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { sendOAuthError } from '../web/oauth-reply.ts';

export { sendJson } from '../web/oauth-reply.ts';

/** Answers an error. */
export function sendError(deps: Deps, reply: FastifyReply, error: unknown, address: string): FastifyReply {
  if (error instanceof OAuthError && error.code === 'invalid_client') {
    countFailure(deps.failures, address, error.reason);
  }
  return sendOAuthError(deps, reply, error);
}
