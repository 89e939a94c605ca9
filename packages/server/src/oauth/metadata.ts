/** What we say of ourselves: computed from the tables that route and authenticate, so it can't lie. @see RFC 8414 §2 */
import { jwsAlgorithms } from '@bailiwick/protocol';
import { clientAuthentications } from '../client-auth/authenticate.ts';
import type { Deps } from '../deps.ts';
import { grants } from '../grants/index.ts';
import { endpointUrl, issuerPath } from './endpoints.ts';

export function authorizationServerMetadata(deps: Deps): Record<string, unknown> {
  const { config } = deps;
  const methods = clientAuthentications.map(({ method }) => method);
  return {
    issuer: config.issuer,
    token_endpoint: endpointUrl(config, 'token'),
    introspection_endpoint: endpointUrl(config, 'introspection'),
    revocation_endpoint: endpointUrl(config, 'revocation'),
    jwks_uri: endpointUrl(config, 'jwks'),
    grant_types_supported: grants.map(({ type }) => type),
    response_types_supported: [],
    token_endpoint_auth_methods_supported: methods,
    token_endpoint_auth_signing_alg_values_supported: jwsAlgorithms,
    introspection_endpoint_auth_methods_supported: methods,
    introspection_endpoint_auth_signing_alg_values_supported: jwsAlgorithms,
    revocation_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_signing_alg_values_supported: jwsAlgorithms,
    dpop_signing_alg_values_supported: jwsAlgorithms,
    protected_resources: [`${config.issuer}/admin`],
  };
}

/**
 * Where the metadata is read: by RFC 8414 before the issuer's path, by OpenID Connect Discovery behind it, and for
 * those who mix them up in between.
 * @see RFC 8414 §3.1, OpenID Connect Discovery §4
 */
export function metadataPaths(config: { issuer: string }): string[] {
  const path = issuerPath(config);
  return [
    ...new Set([
      `/.well-known/oauth-authorization-server${path}`,
      `/.well-known/openid-configuration${path}`,
      `${path}/.well-known/oauth-authorization-server`,
      `${path}/.well-known/openid-configuration`,
    ]),
  ];
}
