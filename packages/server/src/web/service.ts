/**
 * The API for agents, orchestrators and guards (tasks, decisions): one resource whose identifier is the issuer itself,
 * answered by several rooms.
 * @see RFC 9728
 */
import { jwsAlgorithms, type ReplayMemory } from '@bailiwick/protocol';
import type { FastifyInstance } from 'fastify';
import type { Deps } from '../deps.ts';
import { type Caller, insufficientScope } from './caller.ts';
import { metadataPath, type OwnApiPlugin, ownApi, proofMemory, publish } from './own-api.ts';

/** Its scopes, with what each allows. */
export const serviceScopes = {
  'tasks:open': 'Open tasks for agents of the organization, and end them',
  'access:evaluate': 'Ask whether something is allowed (AuthZEN)',
  'feed:follow': 'Follow, as a guard, what is revoked of the tokens for its resource',
  'events:report': 'Report, as a guard, what was done at its resource',
  'tasks:report': 'Report the beginning and end of one’s own tasks',
  'mandates:pass':
    'See the mandates that one holds, pass parts of them on, ask others for parts, and end what came of them',
  'ssf.read': 'See one’s own stream of security signals (SSF)',
  'ssf.manage': 'Make, change and end one’s own stream of security signals (SSF)',
} as const;

/** What a guard has of them. */
export const guardScopes: readonly ServiceScope[] = ['access:evaluate', 'feed:follow', 'events:report'];

export type ServiceScope = keyof typeof serviceScopes;

/** Where the revocation of all tokens of somebody is asked for: a token for the admin API is shown. @see draft-parecki-oauth-global-token-revocation */
export const globalRevocationPath = '/oauth2/global-token-revocation';

/** Its identifier, and the `aud` of its tokens. */
export const serviceResource = (config: { issuer: string }): string => config.issuer;

const memories = new WeakMap<Deps, ReplayMemory>();

/**
 * Prepares a plug-in that answers for a part of this API: call it first thing, and give `identify` to every route.
 * @param options.bodyBytes the largest body, where it is not the configured one
 */
export function serviceApi(deps: Deps, app: FastifyInstance, { bodyBytes }: { bodyBytes?: number } = {}): OwnApiPlugin {
  let memory = memories.get(deps);
  if (!memory) {
    memory = proofMemory(deps);
    memories.set(deps, memory);
  }
  const resource = serviceResource(deps.config);
  return ownApi(deps, app, { api: 'service', resource, name: 'API for agents', memory, bodyBytes });
}

/** What a path of this API is below: the issuer's own path, or nothing. */
export function servicePrefix({ issuer }: { issuer: string }): string {
  const { pathname } = new URL(issuer);
  return pathname === '/' ? '' : pathname;
}

/** @throws Problem 403 `insufficient_scope` naming what is needed. @see RFC 6750 §3.1 */
export function mustHaveScope(deps: Deps, caller: Caller, scope: ServiceScope): void {
  if (caller.scopes.includes(scope)) return;
  throw insufficientScope(serviceResource(deps.config), [scope], `this needs ${scope}, which the token does not have`);
}

/** A plug-in that tells where tokens for this API come from, once for all rooms. */
export function serviceMetadata({ config }: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const resource = serviceResource(config);
    publish(app, metadataPath(resource), () => ({
      resource,
      resource_name: 'Bailiwick API for agents',
      authorization_servers: [config.issuer],
      scopes_supported: Object.keys(serviceScopes),
      bearer_methods_supported: ['header'],
      dpop_bound_access_tokens_required: true,
      dpop_signing_alg_values_supported: jwsAlgorithms,
    }));
  };
}

/** Where guards follow the feed of revocations, below the issuer. */
export const feedPath = '/feed';

/** What the authorization server metadata says of it. */
export const feedMetadata = ({ issuer }: { issuer: string }) => ({ bailiwick_feed_endpoint: issuer + feedPath });
