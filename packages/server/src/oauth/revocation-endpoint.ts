/** An agent gives up a token of its own before its time. @see RFC 7009 */
import { type AccessTokenClaims, linkTag } from '@bailiwick/protocol';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { authenticateClient } from '../client-auth/authenticate.ts';
import type { Client, OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { asOf, endToken } from '../liveness/liveness.ts';
import type { Resource } from '../resources/resource.ts';
import { findResourcesByAudience } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';
import { single } from '../tokens/form.ts';
import { standingOf } from '../tokens/introspect.ts';
import { assertionReplayed, spendAll } from '../tokens/spend.ts';

/**
 * Ends the token; a token that is unknown, expired or ended already is as gone as was asked for.
 * @throws OAuthError `invalid_grant` for a token of somebody else, `invalid_client`, `invalid_request`
 * @see RFC 7009 §2.1 and §2.2
 */
export async function revocationEndpoint(deps: Deps, request: OAuthRequest): Promise<undefined> {
  const token = single(request.form, 'token');
  if (token === undefined) throw new OAuthError('invalid_request', 'token is missing');
  const since = await asOf(deps.db);
  const client = await authenticateClient(deps, request, since);
  const standing = await standingOf(deps, token, since);
  const sealing = await sealingFor(deps, since.version, client.agent.owner);
  const { agent } = client;
  const owned = standing.state === 'alive' && isOwn(client, standing.claims);
  // read before the lock is held that others wait for: what a token is for never changes
  const resource = owned ? await resourceOf(deps.db, standing.claims) : undefined;

  const refused = await deps.db.transaction(async (tx) => {
    if (await spendAll(tx, client.proofs)) {
      return assertionReplayed();
    }
    if (standing.state !== 'alive') return undefined;
    const { claims } = standing;
    const change = { reason: 'revoked by its agent', by: agent.id, now: deps.clock.now() };
    const ending = resource && {
      jti: claims.jti,
      agent: agent.id,
      endsAt: claims.exp * 1000,
      resource: resource.id,
    };
    const rev = ending && (await endToken(tx, ending, change));
    if (owned && rev === undefined) return undefined; // somebody was faster: it is as gone as was asked for
    await appendEvent(tx, deps, sealing, {
      type: 'token.revoked',
      outcome: owned ? 'allowed' : 'refused',
      org: agent.org,
      agent: agent.id,
      instance: client.instance?.id,
      resource: claims.aud,
      jti: claims.jti,
      trace: request.context.traceparent,
      reason: owned ? change.reason : 'the token is of another agent or instance',
      decided_on: { credential: client.credential, key: client.thumbprint, ...(rev !== undefined && { rev }) },
      personal: { owner: agent.owner, address: request.context.address },
    });
    return owned ? undefined : new OAuthError('invalid_grant', 'this token was issued to another client');
  });
  if (refused) throw refused;
  return undefined;
}

/** What the token is for: of those with its audience the one that it links. */
async function resourceOf(q: Queries, claims: AccessTokenClaims): Promise<Resource> {
  const resource = (await findResourcesByAudience(q, claims.aud)).find(({ id }) => claims.links.includes(linkTag(id)));
  if (!resource) throw new Error(`the token ${claims.jti} is for a resource that was never registered`);
  return resource;
}

/** An agent gives up whatever is its own; an instance what it got itself, or a child of it. */
function isOwn({ agent, instance }: Client, claims: AccessTokenClaims): boolean {
  if (claims.client_id !== agent.id) return false;
  return !instance || claims.instance === instance.id || claims.links.includes(linkTag(instance.id));
}
