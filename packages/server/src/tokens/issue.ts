/**
 * The one place where tokens are made. Sign, then one transaction, then answer: a failed signature burns nothing,
 * a lost race costs a signature, and nobody hears of a token before its event is on disk.
 */
import { type AuthorizationDetail, type EncodedHeader, encodeHeader, signCompact } from '@bailiwick/protocol';
import { appendPrepared, prepareEvent, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { DecidedPlan, RequestContext } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { type ServerKey, signingKey } from '../keys/keys.ts';
import { jtiOf, newId } from '../lib/ids.ts';
import type { OAuthError } from '../lib/oauth-error.ts';
import { endedSince, noteReach } from '../liveness/liveness.ts';
import { noteListed, placeFor, statusClaim } from '../status-lists/allocate.ts';
import type { Tx } from '../store/database.ts';
import { claimsOf } from './claims.ts';
import { settleTask } from './new-task.ts';
import { knownOf, personalOf, policyInput, provenance, settleReplay } from './refusal.ts';
import { spendAll } from './spend.ts';

/** A successful answer. @see RFC 6749 §5.1 */
export interface TokenResponse {
  access_token: string;
  token_type: 'DPoP' | 'Bearer';
  expires_in: number;
  scope: string;
  /** @see RFC 9396 §7 */
  authorization_details?: readonly AuthorizationDetail[];
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
  const { alg, status_list } = resource.token;
  const place = status_list ? await placeFor(deps, resource.id, alg) : undefined;
  const status = place && statusClaim(deps.config, place);
  const claims = claimsOf(deps.config, plan, { jti, now, status });
  const token = signCompact(headerOf(key, resource.token.typ), claims, key);
  const sealing = await sealingFor(deps, version, client.agent.owner);
  const event = await prepareEvent(deps, version, sealing, issuedEvent(plan, { jti, kid: key.kid }, context), eventId);
  const newTask = await settleTask(deps, plan);
  const restsOn = [
    client.agent.id,
    client.agent.org,
    ...(client.instance ? [client.instance.id] : []),
    ...taskOf(plan),
    ...plan.links,
    key.kid,
  ];
  return {
    answer: {
      access_token: token,
      token_type: plan.binding?.jkt === undefined ? 'Bearer' : 'DPoP',
      expires_in: claims.exp - claims.iat,
      scope: claims.scope as string,
      ...(plan.details.length > 0 && { authorization_details: plan.details }),
    },
    async settle(tx) {
      if (await endedSince(tx, restsOn, client.asOf.rev)) return changed;
      const taken = await newTask?.claim(tx);
      if (taken) return taken === 'known' ? changed : taken;
      const before = await spendAll(tx, plan.spends);
      if (before) {
        await newTask?.release(tx);
        return settleReplay(tx, deps, sealing, { type: 'token.refused', client, context, asked: {} }, before);
      }
      await newTask?.open(tx);
      // our own APIs ask the database about every token: nobody has to tell them
      if (!resource.system)
        await noteReach(tx, deps.db, { restsOn: reachedBy(plan, restsOn), resource: resource.id, now });
      if (place) {
        const { rev } = client.asOf;
        await noteListed(tx, place, { jti, rev, expiresAt: claims.exp * 1000, restsOn: reachedBy(plan, restsOn) });
      }
      await appendPrepared(tx, event);
      return undefined;
    },
  };
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

/** A task that was open before ends its tokens when it ends. One that comes to be with the token is registered by the same settlement. */
const taskOf = ({ task }: DecidedPlan): string[] => (task?.provenance === 'orchestrated' ? [task.task.id] : []);

/** A task that comes to be with the token isn't among what is checked, and ends it like any other. */
const reachedBy = ({ task }: DecidedPlan, restsOn: readonly string[]) =>
  task?.provenance === 'orchestrated' ? [...new Set([...restsOn, task.task.id])] : restsOn;

function issuedEvent(
  plan: DecidedPlan,
  { jti, kid }: { jti: string; kid: string },
  context: RequestContext,
): AuditEvent {
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
    trace: context.traceparent,
    decided_on: {
      ...knownOf(client),
      ...(plan.context && { ctx: Object.keys(plan.context) }),
      ...(plan.details.length > 0 && { details: typesOf(plan.details) }),
      expires_at: plan.expiresAt,
      grant_type: plan.grantType,
      jkt: plan.binding?.jkt,
      kid,
      links: plan.links,
      ...(plan.observed && { observed: plan.observed }),
      policy: plan.policy,
      ...plan.decidedOn,
      provenance,
      registry: client.asOf.version,
      resource_id: resource.id,
      rev: client.asOf.rev,
      scope: plan.scope,
      ...(plan.task?.provenance === 'orchestrated' && { task: plan.task.task.id }),
      x5t: plan.binding?.x5t,
    },
    personal: { ...personalOf(client, context), ...granted(plan) },
  };
}

/** Which types stand in the leaf for ever; whose account it is may be erased, and so may from which address. */
const typesOf = (details: readonly AuthorizationDetail[]) => [...new Set(details.map(({ type }) => type))].sort();

function granted({ details, context, personal }: DecidedPlan) {
  if (details.length === 0 && context === undefined) return policyInput(personal);
  return {
    details: {
      ...(details.length > 0 && { authorization_details: details }),
      ...(context && { ctx: context }),
      ...policyInput(personal)?.details,
    },
  };
}
