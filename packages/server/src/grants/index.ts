/** Every grant that works; the token endpoint and its metadata derive from this table. */

import type { Client } from '../decide/plan.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { clientCredentials } from './client-credentials.ts';
import type { Grant } from './grant.ts';
import { tokenExchange } from './token-exchange.ts';

export const grants = [clientCredentials, tokenExchange] as const satisfies readonly Grant[];

/**
 * The grant of this type, if the client may use it.
 * @throws OAuthError `invalid_request`, `unsupported_grant_type`, `unauthorized_client`
 * @see RFC 6749 §5.2
 */
export function grantFor(type: string | undefined, client: Client): Grant {
  if (type === undefined) throw new OAuthError('invalid_request', 'grant_type is missing');
  const grant = grants.find((each) => each.type === type);
  if (!grant) {
    throw new OAuthError('unsupported_grant_type', `grant_type must be ${grants.map((each) => each.type).join(', ')}`);
  }
  if (!client.agent.grants.includes(grant.type)) {
    throw new OAuthError('unauthorized_client', `this agent is not registered for ${grant.type}`);
  }
  return grant;
}
