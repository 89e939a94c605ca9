import { type ImportedPublicKey, importPublicJwk, isLoopback, thumbprint } from '@bailiwick/protocol';
import { fetchJson, Unavailable } from './json-client.ts';
import type { Runtime } from './runtime.ts';

/** A key that the identity provider signs with. `withdrawn` once it has left the JWKS: what it signed is not believed any more. */
export interface IssuerKey extends ImportedPublicKey {
  withdrawn: boolean;
}

/** What the guard knows of its identity provider. */
export interface IssuerState {
  keys: ReadonlyMap<string, IssuerKey>;
  introspectionEndpoint?: string;
  /** Where guards follow what is revoked; servers of before have none. */
  feedEndpoint?: string;
}

/**
 * Where an authorization server of this identifier describes itself.
 * @see RFC 8414 §3.1
 */
export function issuerMetadataUrl(issuer: string): string {
  const url = new URL(issuer);
  const path = url.pathname === '/' ? '' : url.pathname.replace(/\/$/, '');
  return `${url.origin}/.well-known/oauth-authorization-server${path}`;
}

/**
 * Reads the identity provider's metadata and keys. The `issuer` it names must be exactly ours: else another server could stand in.
 * Keys that stayed keep their identity, so that tokens verified by them needn't be verified again; those that left are marked.
 * @throws Unavailable when anything can't be read; the previous state then stays as it was
 * @see RFC 8414 §3.3, RFC 7517 §5
 */
export async function loadIssuer(
  runtime: Pick<Runtime, 'fetch'>,
  issuer: string,
  previous: IssuerState | undefined,
): Promise<IssuerState> {
  const url = issuerMetadataUrl(issuer);
  const { issuer: named, jwks_uri, introspection_endpoint, bailiwick_feed_endpoint } = await fetchJson(runtime, url);
  if (named !== issuer) throw new Unavailable(`${url} describes another issuer: ${JSON.stringify(named)}`);
  if (!isSafeUrl(jwks_uri)) throw new Unavailable(`${url} names no jwks_uri that is https`);
  const jwks = await fetchJson(runtime, jwks_uri);
  const keys = importKeys(jwks.keys, previous?.keys);
  if (keys.size === 0) throw new Unavailable(`${jwks_uri} has no key that this guard can use`);
  for (const [kid, key] of previous?.keys ?? []) key.withdrawn = keys.get(kid) !== key;
  return {
    keys,
    ...(isSafeUrl(introspection_endpoint) ? { introspectionEndpoint: introspection_endpoint } : {}),
    ...(isSafeUrl(bailiwick_feed_endpoint) ? { feedEndpoint: bailiwick_feed_endpoint } : {}),
  };
}

function importKeys(jwks: unknown, previous: IssuerState['keys'] | undefined): Map<string, IssuerKey> {
  const keys = new Map<string, IssuerKey>();
  for (const jwk of Array.isArray(jwks) ? jwks : []) {
    const key = importKey(jwk);
    if (key === undefined || keys.has(key.kid)) continue;
    const known = previous?.get(key.kid);
    const same = known !== undefined && known.alg === key.alg && thumbprint(known.jwk) === thumbprint(key.jwk);
    keys.set(key.kid, same ? known : key);
  }
  return keys;
}

/** A key of a kind that is unknown here is skipped, so that the identity provider can publish new kinds beside the old. */
function importKey(jwk: unknown): IssuerKey | undefined {
  try {
    return { ...importPublicJwk(jwk), withdrawn: false };
  } catch {
    return undefined;
  }
}

/** Whether a URL is one that keys and tokens may travel to: https, or plain http that never leaves this machine. */
export function isSafeUrl(value: unknown): value is string {
  if (typeof value !== 'string' || !URL.canParse(value)) return false;
  const { protocol, hostname, username, password } = new URL(value);
  if (username !== '' || password !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}
