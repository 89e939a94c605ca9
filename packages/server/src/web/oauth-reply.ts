/** The one place where what OAuth calls an error becomes HTTP. @see RFC 6749 §5.2 */
import type { FastifyReply } from 'fastify';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { standstillRetrySeconds, standstillSaid } from './standstill.ts';

/** Answers with a body that nobody may keep. */
export function sendJson(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .header('content-type', 'application/json')
    .send(JSON.stringify(body));
}

/** Answers an error. While the database takes no writes that is a 503; whatever else is no `OAuthError` is our fault: a 500 with an id, under which the log has the rest. */
export function sendOAuthError(deps: Deps, reply: FastifyReply, error: unknown): FastifyReply {
  if (!(error instanceof OAuthError)) {
    const said = standstillSaid(deps, error);
    if (said !== undefined) {
      reply.header('retry-after', String(standstillRetrySeconds));
      return sendJson(reply, 503, { error: 'temporarily_unavailable', error_description: said });
    }
    const id = newId(deps, 'problem');
    deps.log.error({ id, err: error }, 'a request failed');
    return sendJson(reply, 500, { error: 'server_error', error_description: `something went wrong here: ${id}` });
  }
  if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
  return sendJson(reply, error.status, {
    error: error.code,
    error_description: describable(error.message),
    ...(error.requirements.length > 0 && { requirements: error.requirements }),
  });
}

/** Only what RFC 6749 §5.2 lets stand in `error_description`. */
const describable = (text: string): string => text.replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, "'");
