/**
 * The one place where tokens are made. Sign, then one transaction, then answer: a failed signature burns nothing,
 * a lost race costs a signature, and nobody hears of a token before its event is on disk.
 */
import { type EncodedHeader, encodeHeader, signCompact } from '@bailiwick/protocol';
import { appendEvent, appendPrepared, prepareEvent, type Sealing, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { Client, DecidedPlan, RequestContext, Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { type ServerKey, signingKey } from '../keys/keys.ts';
import { jtiOf, newId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { endedSince } from '../liveness/liveness.ts';
import type { Tx } from '../store/database.ts';
import { claimsOf } from './claims.ts';
import { assertionReplayed, spendAll } from './spend.ts';

/** A successful answer. @see RFC 6749 §5.1 */
export interface TokenResponse {
  access_token: string;
  token_type: 'DPoP' | 'Bearer';
  expires_in: number;
  scope: string;
}

/** Something that the plan rests on has ended since it was begun: nothing was spent, plan again. */
export const changed = Symbol('changed');

/** A token that is signed and not yet given: it counts once `settle` has run in a transaction that commits. */
export interface PreparedToken {
  answer: TokenResponse;
  /** Checks, spends and records; answers what stood in the way, if something did. @see Database.settle */
  settle(tx: Tx): Promise<OAuthError | typeof changed | undefined>;
}

/**
 * Issues what was decided, or says that it must be planned again.
 * @throws OAuthError `invalid_client` for an assertion, `invalid_dpop_proof` for a proof that was spent before
 */
export async function issue(
  deps: Deps,
  plan: DecidedPlan,
  context: RequestContext,
): Promise<TokenResponse | typeof changed> {
  const { answer, settle } = await prepareToken(deps, plan, context);
  const outcome = await deps.db.settle(settle);
  if (outcome === undefined) return answer;
  if (outcome === changed) return changed;
  throw outcome;
}

/** Signs what was decided and makes its event: all that is left is one transaction, which may settle more than this. */
export async function prepareToken(deps: Deps, plan: DecidedPlan, context: RequestContext): Promise<PreparedToken> {
  const { client, resource } = plan;
  const { version } = client.asOf;
  const now = deps.clock.now();
  const key = await signingKey(deps, version, resource.token.alg);
  const eventId = newId(deps, 'event');
  const jti = jtiOf(eventId);
  const claims = claimsOf(deps.config, plan, { jti, now });
  const token = signCompact(headerOf(key, resource.token.typ), claims, key);
  const sealing = await sealingFor(deps, version, client.agent.owner);
  const event = await prepareEvent(deps, version, sealing, issuedEvent(plan, jti, context), eventId);
  const restsOn = [client.agent.id, client.agent.org, ...(client.instance ? [client.instance.id] : []), ...plan.links];
  return {
    answer: {
      access_token: token,
      token_type: plan.binding?.jkt === undefined ? 'Bearer' : 'DPoP',
      expires_in: claims.exp - claims.iat,
      scope: claims.scope as string,
    },
    async settle(tx) {
      if (await endedSince(tx, restsOn, client.asOf.rev)) return changed;
      const before = await spendAll(tx, plan.spends);
      if (before) return settleReplay(tx, deps, sealing, { client, context, before });
      await appendPrepared(tx, event);
      return undefined;
    },
  };
}

/**
 * Settles a refusal of an authenticated client: its proofs stay spent, and the log says why. Answers the error to
 * throw, which is another one when the proof itself was a replay.
 */
export async function refuse(
  deps: Deps,
  refused: { client: Client; spends: readonly Spend[]; context: RequestContext; error: OAuthError; asked: object },
): Promise<OAuthError> {
  const { client, context, error, asked } = refused;
  const sealing = await sealingFor(deps, client.asOf.version, client.agent.owner);
  return deps.db.settle(async (tx) => {
    const before = await spendAll(tx, refused.spends);
    if (before) return settleReplay(tx, deps, sealing, { client, context, before });
    await appendEvent(tx, deps, sealing, refusedEvent(client, context, error, asked));
    return error;
  });
}

/**
 * What a replay calls for. A replayed assertion proves nobody: it is a failed authentication, which is counted and
 * not written, or a thief could make us write a line per packet. A replayed proof of an authenticated client is on record.
 */
async function settleReplay(
  tx: Tx,
  deps: Deps,
  sealing: Sealing,
  { client, context, before }: { client: Client; context: RequestContext; before: Spend },
): Promise<OAuthError> {
  if (before.kind === 'assertion') {
    return assertionReplayed();
  }
  const error = new OAuthError('invalid_dpop_proof', 'this DPoP proof was used before; make a new one', {
    reason: 'proof replayed',
    settled: true,
  });
  await appendEvent(tx, deps, sealing, refusedEvent(client, context, error, {}));
  return error;
}

const headers = new WeakMap<ServerKey, Map<string, EncodedHeader>>();

/** The header of a key's tokens of one type: always the same bytes, so they are encoded once. */
function headerOf(key: ServerKey, typ: string): EncodedHeader {
  const known = headers.get(key) ?? new Map<string, EncodedHeader>();
  headers.set(key, known);
  const header = known.get(typ) ?? encodeHeader({ alg: key.alg, kid: key.kid, typ });
  known.set(typ, header);
  return header;
}

function issuedEvent(plan: DecidedPlan, jti: string, context: RequestContext): AuditEvent {
  const { client, resource } = plan;
  return {
    type: 'token.issued',
    outcome: 'allowed',
    org: client.agent.org,
    agent: client.agent.id,
    instance: client.instance?.id,
    resource: resource.identifier,
    jti,
    reason: plan.reasons.join('; '),
    decided_on: {
      ...knownOf(client),
      expires_at: plan.expiresAt,
      grant_type: plan.grantType,
      jkt: plan.binding?.jkt,
      links: plan.links,
      policy: plan.policy,
      provenance,
      registry: client.asOf.version,
      resource_id: resource.id,
      rev: client.asOf.rev,
      scope: plan.scope,
      x5t: plan.binding?.x5t,
    },
    personal: personalOf(client, context),
  };
}

function refusedEvent(client: Client, context: RequestContext, error: OAuthError, asked: object): AuditEvent {
  const { resource, ...rest } = asked as { resource?: string };
  return {
    type: 'token.refused',
    outcome: 'refused',
    org: client.agent.org,
    agent: client.agent.id,
    instance: client.instance?.id,
    resource,
    reason: error.reason,
    decided_on: {
      asked: rest,
      ...knownOf(client),
      error: error.code,
      provenance,
      registry: client.asOf.version,
      rev: client.asOf.rev,
    },
    personal: personalOf(client, context),
  };
}

/** Where what was decided on comes from (design §3): nothing here is believed because the agent says so. */
const provenance = { address: 'observed', at: 'observed', client: 'registered', key: 'proven' };

/** What was known of the client when it was decided about. Members stand in the order of canonical JSON here and above. */
const knownOf = ({ agent, credential, thumbprint, method }: Client) => ({
  client: { credential, environment: agent.environment, key: thumbprint, kind: agent.kind, method },
});

const personalOf = (client: Client, context: RequestContext) => ({
  owner: client.agent.owner,
  address: context.address,
  purpose: client.agent.purpose,
});
