/** Who asks: exactly one way of client authentication, whichever it is. @see RFC 6749 §2.3 */

import type { Client, OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Counter } from '../liveness/liveness.ts';
import { single } from '../tokens/form.ts';
import { privateKeyJwt } from './private-key-jwt.ts';

interface ClientAuthentication {
  /** As in `token_endpoint_auth_methods_supported`. */
  method: string;
  /** Whether the request uses this method, be it well or badly. */
  presented(request: OAuthRequest): boolean;
  authenticate(deps: Deps, request: OAuthRequest, asOf: Counter): Promise<Client>;
}

/** Every way that works; metadata derives from it. */
export const clientAuthentications = [privateKeyJwt] as const satisfies readonly ClientAuthentication[];

/** Ways that others know and we refuse, so that two at once are noticed and one alone gets an answer that helps. */
const refusedWays: { presented(request: OAuthRequest): boolean }[] = [
  { presented: ({ authorization }) => authorization !== undefined },
  { presented: ({ form }) => single(form, 'client_secret') !== undefined },
];

/**
 * Authenticates the client of a request to the token, introspection or revocation endpoint.
 * @throws OAuthError `invalid_request` for two ways at once, `invalid_client` for none or for one that fails
 */
export async function authenticateClient(deps: Deps, request: OAuthRequest, asOf: Counter): Promise<Client> {
  const used = clientAuthentications.filter((way) => way.presented(request));
  const refused = refusedWays.filter((way) => way.presented(request));
  if (used.length + refused.length > 1) {
    throw new OAuthError('invalid_request', 'use one method of client authentication, not two');
  }
  const [way] = used;
  if (!way) {
    const methods = clientAuthentications.map(({ method }) => method).join(', ');
    throw new OAuthError('invalid_client', `client authentication is needed: ${methods}`, {
      reason: refused.length > 0 ? 'refused method' : 'no authentication',
    });
  }
  return way.authenticate(deps, request, asOf);
}
