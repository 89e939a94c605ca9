import { jwsAlgorithms, operationType } from '@bailiwick/protocol';
import type { Answer } from './refusal.ts';
import type { Registration } from './registration.ts';

/**
 * What the resource says of itself to agents that come without a token.
 * @param about.certificates whether clients' certificates are seen, where this is asked
 * @see RFC 9728 §2
 */
export function resourceMetadata(
  resource: string,
  issuer: string,
  about: { registration: Registration | undefined; certificates: boolean },
): object {
  const { name, scopes, detailsTypes, profile } = about.registration ?? {};
  return {
    resource,
    ...(name === undefined ? {} : { resource_name: name }),
    authorization_servers: [issuer],
    ...(scopes === undefined ? {} : { scopes_supported: scopes }),
    ...(detailsTypes === undefined
      ? {}
      : { authorization_details_types_supported: [operationType, ...detailsTypes.map(({ type }) => type)] }),
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: [...jwsAlgorithms],
    // A token that is bound to a certificate needs no proof beside it.
    dpop_bound_access_tokens_required: profile?.dangerouslyBearer !== true && !about.certificates,
    ...(about.certificates ? { tls_client_certificate_bound_access_tokens: true } : {}),
  };
}

/** The answer at the well-known path. It is public, for pages in browsers too: there is nothing in it to protect. */
export function metadataAnswer(method: string, document: () => object): Answer {
  const open = { 'access-control-allow-origin': '*' };
  if (method === 'OPTIONS') {
    const headers = { ...open, 'access-control-allow-methods': 'GET', 'access-control-allow-headers': '*' };
    return { allowed: false, status: 204, headers, body: '' };
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return { allowed: false, status: 405, headers: { ...open, allow: 'GET, HEAD, OPTIONS' }, body: '' };
  }
  const headers = { ...open, 'content-type': 'application/json', 'cache-control': 'public, max-age=60' };
  return { allowed: false, status: 200, headers, body: JSON.stringify(document()) };
}
