/** What we say of ourselves: computed from the tables that route and authenticate, so it can't lie. @see RFC 8414 §2 */
import { jwsAlgorithms, operationType } from '@bailiwick/protocol';
import { supportedMethods } from '../client-auth/authenticate.ts';
import { certificatesAreSeen } from '../client-auth/by-certificate.ts';
import type { Config } from '../config.ts';
import type { Deps } from '../deps.ts';
import { grants } from '../grants/index.ts';
import {
  accessTokenTypes,
  requestedTokenTypes,
  subjectTokenTypes,
  transactionSubjects,
} from '../grants/token-types.ts';
import { subProfiles } from '../tokens/claims.ts';
import { feedMetadata, serviceResource } from '../web/service.ts';
import { endpointUrl, issuerPath, type OAuthEndpoint, oauthPaths } from './endpoints.ts';
import { introspectionAlg } from './signed-introspection.ts';

/** What clients ask for, by the name that metadata gives it. */
const endpoints = {
  token_endpoint: 'token',
  introspection_endpoint: 'introspection',
  revocation_endpoint: 'revocation',
} as const satisfies Record<string, OAuthEndpoint>;

export function authorizationServerMetadata(deps: Deps): Record<string, unknown> {
  const { config } = deps;
  const methods = supportedMethods(deps);
  return {
    issuer: config.issuer,
    ...endpointsAt(config.issuer),
    jwks_uri: endpointUrl(config, 'jwks'),
    grant_types_supported: grants.map(({ type }) => type),
    response_types_supported: [],
    token_endpoint_auth_methods_supported: methods,
    token_endpoint_auth_signing_alg_values_supported: jwsAlgorithms,
    introspection_endpoint_auth_methods_supported: methods,
    introspection_endpoint_auth_signing_alg_values_supported: jwsAlgorithms,
    introspection_signing_alg_values_supported: [introspectionAlg],
    revocation_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_signing_alg_values_supported: jwsAlgorithms,
    global_token_revocation_endpoint: endpointUrl(config, 'globalRevocation'),
    // a token of the admin API: the registry of types of access tokens is one of the two that the draft lets it name
    global_token_revocation_endpoint_auth_methods_supported: ['DPoP'],
    dpop_signing_alg_values_supported: jwsAlgorithms,
    // RFC 9396 §10: only the type that every resource has. Those that a resource registers say what an organization does, and stand in
    // the resource's own metadata (RFC 9728), which its guard publishes: here they would tell everybody of everybody
    authorization_details_types_supported: [operationType],
    ...mutualTls(config),
    ...actorProfile(),
    // no standard has a name for it: the audience of transaction tokens
    bailiwick_trust_domain: config.trust_domain,
    ...feedMetadata(config),
    protected_resources: [serviceResource(config), `${config.issuer}/admin`],
  };
}

const endpointsAt = (base: string): Record<string, string> =>
  Object.fromEntries(Object.entries(endpoints).map(([name, endpoint]) => [name, base + oauthPaths[endpoint]]));

/**
 * What can be exchanged for what, and of which kinds those are who act and for whom. Not that identities can be chained to other authorization
 * servers: no exchange gives a grant for one.
 * @see draft-mcguinness-oauth-actor-profile “Authorization Server Metadata”, draft-mora-oauth-entity-profiles
 */
function actorProfile(): Record<string, unknown> {
  const actors = Object.values(subProfiles);
  return {
    actor_profile_token_exchange: {
      subject_token_types_supported: [...new Set([...subjectTokenTypes, ...transactionSubjects])],
      actor_token_types_supported: accessTokenTypes,
      requested_token_types_supported: requestedTokenTypes,
    },
    entity_profiles_supported: { subject: ['user', ...actors], actor: actors },
  };
}

/** Only where somebody sees client certificates. @see RFC 8705 §3.3 and §5 */
function mutualTls(config: Config): Record<string, unknown> {
  if (!certificatesAreSeen(config)) return {};
  const { url } = config.mtls;
  return {
    tls_client_certificate_bound_access_tokens: true,
    ...(url !== undefined && { mtls_endpoint_aliases: endpointsAt(url) }),
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
