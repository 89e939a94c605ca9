/** An agent gives up a token of its own before its time. @see RFC 7009 */
import { linkTag, type TransactionClaims, transactionTyp } from '@bailiwick/protocol';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { authenticateClient } from '../client-auth/authenticate.ts';
import type { Client, OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { asOf, endToken } from '../liveness/liveness.ts';
import { findResourcesByAudience } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';
import { single } from '../tokens/form.ts';
import { type Standing, standingOf } from '../tokens/introspect.ts';
import { assertionReplayed, spendAll } from '../tokens/spend.ts';
import { isRequestedBy } from '../tokens/transaction.ts';

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
  const owned = standing.state === 'alive' && isOwn(client, standing);
  // read before the lock is held that others wait for: what a token is for never changes
  const resource = owned ? await resourceOf(deps.db, standing) : undefined;

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
      resource,
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

type Living = Extract<Standing, { state: 'alive' }>;

/** Id of what the token is for: of those with its audience the one that it links. A transaction token has told all that take it of itself. */
async function resourceOf(q: Queries, { claims, typ }: Living): Promise<string> {
  if (typ === transactionTyp) return (claims as TransactionClaims).resources[0] as string;
  const resource = (await findResourcesByAudience(q, claims.aud)).find(({ id }) => claims.links.includes(linkTag(id)));
  if (!resource) throw new Error(`the token ${claims.jti} is for a resource that was never registered`);
  return resource.id;
}

/** An agent gives up whatever is its own; an instance what it got itself, or a child of it. A transaction token is whose who requested it. */
function isOwn(client: Client, { claims, typ }: Living): boolean {
  if (typ === transactionTyp) return isRequestedBy(client, claims as TransactionClaims);
  const { agent, instance } = client;
  if (claims.client_id !== agent.id) return false;
  return !instance || claims.instance === instance.id || claims.links.includes(linkTag(instance.id));
}
