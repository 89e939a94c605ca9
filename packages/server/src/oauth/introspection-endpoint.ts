/** Is this token still what it says: asked by the guards of its resource, and by the agent whose it is. @see RFC 7662 */
import { type AccessTokenClaims, type ContextDimension, canonicalAddress, linkTag } from '@bailiwick/protocol';
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
import { outsideOf, type Standing, standingOf } from '../tokens/introspect.ts';
import { assertionReplayed, spendAll } from '../tokens/spend.ts';

export type IntrospectionResponse =
  | { active: false }
  | ({ active: true; token_type: string } & Record<string, unknown>);

/** Whose tokens an agent may ask about, because it guards it: resources of several owners may share an audience. */
const guarded = rememberedPer<{ audience: string; tag: string }>(10_000);

/**
 * A token that is limited in place is active only where its presenter is: whoever asks says from which address it was shown to them
 * (`presenter_address`), and without one it is active nowhere.
 * @throws OAuthError when the client can't be authenticated or asks for nothing; all else is an answer
 * @see RFC 7662 §2.1 (further parameters), §2.2: whoever may not know hears the same as of a token that is dead
 */
export async function introspectionEndpoint(deps: Deps, request: OAuthRequest): Promise<IntrospectionResponse> {
  return (await introspected(deps, request)).response;
}

/** The same, with who asked. @throws OAuthError */
export async function introspected(
  deps: Deps,
  request: OAuthRequest,
): Promise<{ client: Client; response: IntrospectionResponse }> {
  const token = single(request.form, 'token');
  if (token === undefined) throw new OAuthError('invalid_request', 'token is missing');
  const presenter = presenterAddress(request);
  const since = await asOf(deps.db);
  const client = await authenticateClient(deps, request, since);
  const standing = mayAct(client, deps.clock.now()) ? await standingOf(deps, token, since) : foreign;
  const concerned = standing.state !== 'foreign' && (await concerns(deps, client, standing));
  const outside = standing.state === 'alive' && concerned ? outsideOf(deps, standing.claims, presenter) : undefined;
  await settle(deps, request, client, { standing: concerned ? standing : foreign, presenter, outside });
  if (!concerned || standing.state !== 'alive' || outside !== undefined) return { client, response: { active: false } };
  const type = standing.claims.cnf?.jkt ? 'DPoP' : 'Bearer';
  return { client, response: { active: true, token_type: type, ...standing.claims } };
}

/** @throws OAuthError `invalid_request` */
function presenterAddress({ form }: OAuthRequest): string | undefined {
  const said = single(form, 'presenter_address');
  const address = said === undefined ? undefined : canonicalAddress(said);
  if (said !== undefined && address === undefined) {
    throw new OAuthError(
      'invalid_request',
      'presenter_address must be an IP address, such as 192.0.2.1 or 2001:db8::1',
    );
  }
  return address;
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

/** What was found of a token, and from where it was shown if that was said. */
interface Found {
  standing: Standing;
  presenter: string | undefined;
  outside: ContextDimension | undefined;
}

/**
 * Spends the assertion. That somebody presented a token which was ended, or one from where it may not be used, is worth a line; that one is
 * alive is not, nor that its hour is over.
 */
async function settle(deps: Deps, request: OAuthRequest, client: Client, found: Found): Promise<void> {
  const { standing, presenter, outside } = found;
  const sealing = await sealingFor(deps, client.asOf.version, client.agent.owner);
  const replayed = await deps.db.settle(async (tx) => {
    if (await spendAll(tx, client.proofs)) return true;
    const told = (type: 'token.dead_presented' | 'token.presented_outside', claims: AccessTokenClaims) => ({
      type,
      outcome: 'refused' as const,
      org: client.agent.org,
      agent: claims.client_id,
      target: client.agent.id,
      resource: claims.aud,
      jti: claims.jti,
      trace: request.context.traceparent,
      personal: {
        owner: client.agent.owner,
        address: request.context.address,
        ...(presenter !== undefined && { details: { presenter_address: presenter } }),
      },
    });
    if (standing.state === 'ended') {
      await appendEvent(tx, deps, sealing, {
        ...told('token.dead_presented', standing.claims),
        reason: 'the token was ended by a revocation',
        decided_on: { rev: client.asOf.rev, token_rev: standing.claims.rev },
      });
    }
    if (standing.state === 'alive' && presenter !== undefined && outside !== undefined && outside !== 'hours') {
      await appendEvent(tx, deps, sealing, {
        ...told('token.presented_outside', standing.claims),
        reason: `the token was presented from outside of its context: ${outside}`,
        decided_on: { outside },
      });
    }
    return false;
  });
  if (replayed) throw assertionReplayed();
}
