/** An introspection answer that can be kept and shown to others: a JWT. @see RFC 9701 */
import { encodeHeader, signCompact } from '@bailiwick/protocol';
import type { OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { signingKey } from '../keys/keys.ts';
import { numericDate } from '../lib/clock.ts';
import { introspected } from './introspection-endpoint.ts';

export const introspectionMediaType = 'application/token-introspection+jwt';

/** With what it is signed: every verifier can do that, and a first start makes such a key. */
export const introspectionAlg = 'ES256';

/**
 * The same answer, signed for whoever asked: `iss`, `aud`, `iat` and `token_introspection`, and neither `sub` nor `exp`, so that it can be taken
 * for no token of ours.
 * @throws OAuthError as introspection does
 * @see RFC 9701 §5
 */
export async function signedIntrospection(deps: Deps, request: OAuthRequest): Promise<string> {
  const { client, response } = await introspected(deps, request);
  const key = await signingKey(deps, client.asOf.version, introspectionAlg);
  const header = encodeHeader({ alg: key.alg, kid: key.kid, typ: 'token-introspection+jwt' });
  const claims = {
    iss: deps.config.issuer,
    aud: client.agent.id,
    iat: numericDate(deps.clock.now()),
    token_introspection: response,
  };
  return signCompact(header, claims, key);
}

/** Whether the `Accept` header asks for the JWT, and not rather for JSON. @see RFC 9701 §4, RFC 9110 §12.5.1 */
export function wantsSigned(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  const signed = qualityOf(accept, introspectionMediaType);
  return signed > 0 && signed >= qualityOf(accept, 'application/json');
}

/** What a header says of exactly this type; 0 if it says nothing. */
function qualityOf(accept: string, type: string): number {
  for (const range of accept.split(',')) {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    if (name !== type) continue;
    const q = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    const quality = q === undefined ? 1 : Number(q);
    return quality >= 0 && quality <= 1 ? quality : 0;
  }
  return 0;
}
