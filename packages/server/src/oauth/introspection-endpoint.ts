/** Is this token still what it says: asked by the guards of its resource, and by the agent whose it is. @see RFC 7662 */
import {
  type AccessTokenClaims,
  type ContextDimension,
  canonicalAddress,
  linkTag,
  type TransactionClaims,
  transactionTyp,
} from '@bailiwick/protocol';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { authenticateClient } from '../client-auth/authenticate.ts';
import type { Client, OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { holdAnswer, longestHoldMs, usualHoldMs } from '../feed-leases/holds.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { rememberedPer } from '../lib/remember.ts';
import { asOf, type Counter, tagsEndedSince } from '../liveness/liveness.ts';
import { findGuardOfAgent, findResource } from '../resources/store.ts';
import { audienceOf } from '../tokens/claims.ts';
import { single } from '../tokens/form.ts';
import { outsideOf, type Standing, standingOf } from '../tokens/introspect.ts';
import { assertionReplayed, spendAll } from '../tokens/spend.ts';
import { isRequestedBy } from '../tokens/transaction.ts';

export type IntrospectionResponse =
  | { active: false }
  | ({ active: true; token_type: string } & Record<string, unknown>);

/** Whose tokens an agent may ask about, because it guards it: resources of several owners may share an audience. */
const guarded = rememberedPer<{ by: Guarded | undefined }>(10_000);

/**
 * A token that is limited in place is active only where its presenter is: whoever asks says from which address it was shown to them
 * (`presenter_address`), and without one it is active nowhere. A guard of its resource says how long it will believe the answer (`hold_ms`), counted from
 * when it asked: for so long acknowledgements of revocations wait for it.
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
  const holdMs = wantedHold(request);
  const since = await asOf(deps.db);
  const client = await authenticateClient(deps, request, since);
  const guard = mayAct(client, deps.clock.now()) ? await guardOf(deps, client) : undefined;
  // before it is read how the token stands
  const hold = guard && (await holdAnswer(deps, { ...guard, ms: holdMs }));
  try {
    const response = await answer(deps, request, { token, presenter, since, client, guard });
    if (response.active && hold && !hold.keep()) throw new OAuthError('temporarily_unavailable', 'ask again');
    return { client, response };
  } finally {
    hold?.release();
  }
}

async function answer(
  deps: Deps,
  request: OAuthRequest,
  asked: { token: string; presenter: string | undefined; since: Counter; client: Client; guard: Guarded | undefined },
): Promise<IntrospectionResponse> {
  const { token, presenter, client, guard } = asked;
  // what was revoked between the two readings was not waited for by whoever is a guard; keys are as of the later one
  const since = guard ? await asOf(deps.db) : asked.since;
  const found = mayAct(client, deps.clock.now()) ? await standingOf(deps, token, since) : foreign;
  const standing = guard ? await standingThere(deps, found, guard) : found;
  const concerned = standing.state !== 'foreign' && concerns(client, guard, standing);
  const outside = standing.state === 'alive' && concerned ? outsideOf(deps, standing.claims, presenter) : undefined;
  await settle(deps, request, client, { standing: concerned ? standing : foreign, presenter, outside });
  if (!concerned || standing.state !== 'alive' || outside !== undefined) return { active: false };
  const type = isTransaction(standing) ? 'N_A' : standing.claims.cnf?.jkt ? 'DPoP' : 'Bearer';
  return { active: true, token_type: type, ...standing.claims };
}

/** @throws OAuthError `invalid_request` */
function wantedHold({ form }: OAuthRequest): number {
  const said = single(form, 'hold_ms');
  if (said === undefined) return usualHoldMs;
  const ms = /^\d{1,5}$/.test(said) ? Number(said) : Number.NaN;
  if (ms <= longestHoldMs) return ms;
  throw new OAuthError('invalid_request', `hold_ms must be a whole number from 0 to ${longestHoldMs}`);
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

interface Guarded {
  guard: string;
  resource: string;
  audience: string;
  tag: string;
}

async function guardOf({ db }: Deps, client: Client): Promise<Guarded | undefined> {
  const known = await guarded(db).get(client.asOf.version, client.agent.id, async () => {
    const guard = await findGuardOfAgent(db, client.agent.id);
    const resource = guard?.status === 'active' ? await findResource(db, guard.resource) : undefined;
    if (!guard || !resource) return { by: undefined };
    return {
      by: { guard: guard.id, resource: resource.id, audience: audienceOf(resource), tag: linkTag(resource.id) },
    };
  });
  return known?.by;
}

function concerns(client: Client, guard: Guarded | undefined, { claims, typ }: Ours) {
  if (isTransaction({ typ })) {
    const { resources } = claims as TransactionClaims;
    return (
      isRequestedBy(client, claims as TransactionClaims) || (guard !== undefined && resources.includes(guard.resource))
    );
  }
  if (claims.client_id === client.agent.id) return true;
  return guard !== undefined && claims.aud === guard.audience && claims.links.includes(guard.tag);
}

type Ours = Exclude<Standing, { state: 'foreign' }>;

const isTransaction = ({ typ }: Pick<Ours, 'typ'>) => typ === transactionTyp;

/** A transaction token doesn't rest on the resources that take it: what ends the tokens of one ends it there alone. */
async function standingThere({ db }: Deps, standing: Standing, { tag }: Guarded): Promise<Standing> {
  if (standing.state !== 'alive' || !isTransaction(standing)) return standing;
  const isEnded = await tagsEndedSince(db, [tag], standing.claims.rev);
  return isEnded ? { ...standing, state: 'ended' } : standing;
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
