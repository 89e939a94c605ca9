/** Is this token still what it says: asked by the guards of its resource, and by the agent whose it is. @see RFC 7662 */
import { linkTag } from '@bailiwick/protocol';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { authenticateClient } from '../client-auth/authenticate.ts';
import type { Client, OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { rememberedPer } from '../lib/remember.ts';
import { asOf } from '../liveness/liveness.ts';
import { findGuardOfAgent, findResource } from '../resources/store.ts';
import { audienceOf } from '../tokens/claims.ts';
import { single } from '../tokens/form.ts';
import { type Standing, standingOf } from '../tokens/introspect.ts';
import { assertionReplayed, spendAll } from '../tokens/spend.ts';

export type IntrospectionResponse =
  | { active: false }
  | ({ active: true; token_type: string } & Record<string, unknown>);

/** Whose tokens an agent may ask about, because it guards it: resources of several owners may share an audience. */
const guarded = rememberedPer<{ audience: string; tag: string }>(10_000);

/**
 * @throws OAuthError when the client can't be authenticated or asks for nothing; all else is an answer
 * @see RFC 7662 §2.2: whoever may not know hears the same as of a token that is dead
 */
export async function introspectionEndpoint(deps: Deps, request: OAuthRequest): Promise<IntrospectionResponse> {
  const token = single(request.form, 'token');
  if (token === undefined) throw new OAuthError('invalid_request', 'token is missing');
  const since = await asOf(deps.db);
  const client = await authenticateClient(deps, request, since);
  const standing = mayAct(client, deps.clock.now()) ? await standingOf(deps, token, since) : foreign;
  const concerned = standing.state !== 'foreign' && (await concerns(deps, client, standing));
  await settle(deps, request, client, concerned ? standing : foreign);
  if (!concerned || standing.state !== 'alive') return { active: false };
  return { active: true, token_type: standing.claims.cnf?.jkt ? 'DPoP' : 'Bearer', ...standing.claims };
}

const foreign: Standing = { state: 'foreign' };

function mayAct({ agent }: Client, now: number): boolean {
  const expired = agent.expiresAt !== undefined && agent.expiresAt <= now;
  return agent.status === 'active' && agent.orgStatus === 'active' && !expired;
}

async function concerns(deps: Deps, client: Client, standing: Exclude<Standing, { state: 'foreign' }>) {
  const { claims } = standing;
  if (claims.client_id === client.agent.id) return true;
  const known = await guarded(deps.db).get(client.asOf.version, client.agent.id, async () => {
    const guard = await findGuardOfAgent(deps.db, client.agent.id);
    const resource = guard?.status === 'active' ? await findResource(deps.db, guard.resource) : undefined;
    return resource && { audience: audienceOf(resource), tag: linkTag(resource.id) };
  });
  return known !== undefined && claims.aud === known.audience && claims.links.includes(known.tag);
}

/** Spends the assertion. That somebody presented a token which was ended is worth a line; that one is alive is not. */
async function settle(deps: Deps, request: OAuthRequest, client: Client, standing: Standing): Promise<void> {
  const sealing = await sealingFor(deps, client.asOf.version, client.agent.owner);
  const replayed = await deps.db.settle(async (tx) => {
    if (await spendAll(tx, client.proofs)) return true;
    if (standing.state === 'ended') {
      await appendEvent(tx, deps, sealing, {
        type: 'token.dead_presented',
        outcome: 'refused',
        org: client.agent.org,
        agent: standing.claims.client_id,
        target: client.agent.id,
        resource: standing.claims.aud,
        jti: standing.claims.jti,
        reason: 'the token was ended by a revocation',
        decided_on: { rev: client.asOf.rev, token_rev: standing.claims.rev },
        personal: { owner: client.agent.owner, address: request.context.address },
      });
    }
    return false;
  });
  if (replayed) throw assertionReplayed();
}
