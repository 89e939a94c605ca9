/** Who asks: exactly one way of client authentication, whichever it is. @see RFC 6749 §2.3 */

import type { DpopProof } from '@bailiwick/protocol';
import type { Client, OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Counter } from '../liveness/liveness.ts';
import { single } from '../tokens/form.ts';
import { authenticateByCertificate, certificateMethods } from './by-certificate.ts';
import { clientSecretBasic, clientSecretPost } from './client-secret.ts';
import { privateKeyJwt } from './private-key-jwt.ts';
import { spiffeJwt } from './spiffe-jwt.ts';

/** A way that the request itself chooses: something is sent for it and for nothing else. */
interface ClientAuthentication {
  /** As in `token_endpoint_auth_methods_supported`. */
  method: string;
  /** Whether it works here, now; always, if it doesn't say. */
  supported?(deps: Deps): boolean;
  /** Whether the request uses this method, be it well or badly. */
  presented(request: OAuthRequest): boolean;
  authenticate(deps: Deps, request: OAuthRequest, asOf: Counter, proof?: DpopProof): Promise<Client>;
}

const chosen = [
  // one parameter says which kind of assertion it is: everything that isn't a JWT-SVID is the older kind's to judge
  { ...privateKeyJwt, presented: (request) => privateKeyJwt.presented(request) && !spiffeJwt.presented(request) },
  spiffeJwt,
  clientSecretBasic,
  clientSecretPost,
] as const satisfies readonly ClientAuthentication[];

/** The method of every way that works here and now, certificates last. Metadata derives from it. */
export function supportedMethods(deps: Deps): string[] {
  const supported = (chosen as readonly ClientAuthentication[]).filter((way) => way.supported?.(deps) ?? true);
  return [...supported.map(({ method }) => method), ...certificateMethods(deps.config)];
}

/**
 * Authenticates the client of a request to the token, introspection or revocation endpoint. A certificate of the
 * connection is a way only where the request uses no other: then it binds the token, and says nothing of who asks
 * (RFC 8705 §4).
 * @param proof the DPoP proof, only of a caller who goes on to verify it: elsewhere one proves nothing
 * @throws OAuthError `invalid_request` for two ways at once, `invalid_client` for none or for one that fails
 */
export async function authenticateClient(
  deps: Deps,
  request: OAuthRequest,
  asOf: Counter,
  proof?: DpopProof,
): Promise<Client> {
  const used = (chosen as readonly ClientAuthentication[]).filter((way) => way.presented(request));
  if (used.length > 1) throw new OAuthError('invalid_request', 'use one method of client authentication, not two');
  const [way] = used;
  if (way && (way.supported?.(deps) ?? true)) return way.authenticate(deps, request, asOf, proof);
  const clientId = single(request.form, 'client_id');
  if (!way && request.certificate && clientId !== undefined) {
    return authenticateByCertificate(deps, { clientId, certificate: request.certificate, asOf });
  }
  const lacking = !way && request.certificate ? '; with a certificate, say client_id' : '';
  throw new OAuthError(
    'invalid_client',
    `client authentication is needed: ${supportedMethods(deps).join(', ')}${lacking}`,
    {
      reason: way ? 'refused method' : 'no authentication',
    },
  );
}
