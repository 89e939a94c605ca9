import { globalRevocationPath } from '../web/service.ts';

/** Where our endpoints are. Routes, metadata and the `htu` of proofs derive from this table. */
export const oauthPaths = {
  token: '/oauth2/token',
  introspection: '/oauth2/introspect',
  revocation: '/oauth2/revoke',
  jwks: '/oauth2/jwks',
  globalRevocation: globalRevocationPath,
} as const;

export type OAuthEndpoint = keyof typeof oauthPaths;

/** The endpoint as clients know it. An issuer with a path has everything below that path. */
export const endpointUrl = (config: { issuer: string }, endpoint: OAuthEndpoint): string =>
  config.issuer + oauthPaths[endpoint];

/** The issuer's path, without a slash at its end: empty for most. */
export function issuerPath(config: { issuer: string }): string {
  const { pathname } = new URL(config.issuer);
  return pathname === '/' ? '' : pathname;
}
