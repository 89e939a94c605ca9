/**
 * The one place where tokens are made. Sign, then one transaction, then answer: a failed signature burns nothing,
 * a lost race costs a signature, and nobody hears of a token before its event is on disk.
 */
import {
  type Actor,
  type AuthorizationDetail,
  actorsOf,
  type EncodedHeader,
  encodeHeader,
  signCompact,
  transactionTokenType,
} from '@bailiwick/protocol';
import { appendPrepared, prepareEvent, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { DecidedPlan, Narrowing, RequestContext } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { type ServerKey, signingKey } from '../keys/keys.ts';
import { jtiOf, newId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { endedSince, noteReach } from '../liveness/liveness.ts';
import { giveBackLedger, spendLedger, type Take } from '../mandates/ledger.ts';
import { noteListed, placeFor, statusClaim } from '../status-lists/allocate.ts';
import type { Tx } from '../store/database.ts';
import { claimsOf } from './claims.ts';
import { settleTask } from './new-task.ts';
import { knownOf, personalOf, policyInput, provenance, settleReplay } from './refusal.ts';
import { spendAll } from './spend.ts';
import { noteTransaction, transactionClaimsOf, transactionOnRecord, transactionProfile } from './transaction.ts';

/** A successful answer. @see RFC 6749 §5.1 */
export interface TokenResponse {
  access_token: string;
  token_type: 'DPoP' | 'Bearer' | 'N_A';
  expires_in: number;
  scope: string;
  /** @see RFC 9396 §7 */
  authorization_details?: readonly AuthorizationDetail[];
  /** Of an exchange. @see RFC 8693 §2.2.1 */
  issued_token_type?: typeof accessTokenType | typeof transactionTokenType;
  /** Our own: what the token says less than its first link allows, and because of what. */
  narrowed?: readonly Narrowing[];
}

/** @see RFC 8693 §3 */
export const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

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
  const { client, resource, delegation, transaction } = plan;
  const { version } = client.asOf;
  const now = deps.clock.now();
  const { alg, typ, status_list } = transaction ? transactionProfile : resource.token;
  const key = await signingKey(deps, version, alg);
  const eventId = newId(deps, 'event');
  const jti = jtiOf(eventId);
  const place = status_list ? await placeFor(deps, resource.id, alg) : undefined;
  const status = place && statusClaim(deps.config, place);
  const made = { jti, now, status };
  const claims = transaction
    ? transactionClaimsOf(deps.config, { ...plan, transaction }, made)
    : claimsOf(deps.config, plan, made);
  const token = signCompact(headerOf(key, typ), claims, key);
  const sealing = await sealingFor(deps, version, delegation?.person ?? client.agent.owner);
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
      token_type: transaction ? 'N_A' : plan.binding?.jkt === undefined ? 'Bearer' : 'DPoP',
      expires_in: claims.exp - claims.iat,
      scope: claims.scope as string,
      ...(plan.details.length > 0 && { authorization_details: plan.details }),
      ...(transaction ? { issued_token_type: transactionTokenType } : delegation && exchanged(plan)),
    },
    async settle(tx) {
      if (await endedSince(tx, [...restsOn, ...(transaction?.resources ?? [])], client.asOf.rev, delegation?.tags))
        return changed;
      const taken = await newTask?.claim(tx);
      if (taken) return taken === 'known' ? changed : taken;
      const short = delegation && (await spendLedger(tx, delegation.takes));
      if (short) {
        await newTask?.release(tx);
        return tooLittleLeft(short);
      }
      const before = await spendAll(tx, plan.spends);
      if (before) {
        await newTask?.release(tx);
        if (delegation) await giveBackLedger(tx, delegation.takes);
        return settleReplay(tx, deps, sealing, { type: 'token.refused', client, context, asked: {} }, before);
      }
      await newTask?.open(tx);
      if (transaction) await noteTransaction(tx, deps.db, { plan: { ...plan, transaction }, restsOn, jti, now });
      // our own APIs ask the database about every token: nobody has to tell them
      else if (!resource.system)
        await noteReach(tx, deps.db, {
          restsOn: reachedBy(plan, restsOn),
          tags: delegation?.tags,
          exchanged: delegation?.exchanged,
          resource: resource.id,
          now,
        });
      if (place) {
        const { rev } = client.asOf;
        const expiresAt = claims.exp * 1000;
        await noteListed(tx, place, { jti, rev, expiresAt, restsOn: reachedBy(plan, restsOn), tags: delegation?.tags });
      }
      await appendPrepared(tx, event);
      return undefined;
    },
  };
}

const exchanged = ({ narrowed = [] }: DecidedPlan): Pick<TokenResponse, 'issued_token_type' | 'narrowed'> => ({
  issued_token_type: accessTokenType,
  ...(narrowed.length > 0 && { narrowed }),
});

/** Nothing was spent: the refusal is settled by whoever catches it. */
const tooLittleLeft = ({ mandate, counter }: Take) =>
  new OAuthError(
    'invalid_grant',
    counter === 'uses'
      ? `mandate ${mandate} has no use left`
      : `mandate ${mandate} has less left of limits.amounts[${counter.slice('amount:'.length)}] than this takes`,
    { reason: `${counter} of ${mandate} is used up` },
  );

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
  const { client, resource, delegation } = plan;
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
      by: plan.decidedOn.by, // its place in the order of canonical JSON, in which everything here stands: nothing has to be sorted
      ...(delegation?.act && { chain: ownActors(delegation.act) }),
      ...knownOf(client),
      ...(plan.context && { ctx: Object.keys(plan.context) }),
      ...(plan.details.length > 0 && { details: typesOf(plan.details) }),
      expires_at: plan.expiresAt,
      grant_type: plan.grantType,
      jkt: plan.binding?.jkt,
      kid,
      // who the person is lies sealed
      links: delegation ? plan.links.filter((id) => id !== delegation.person) : plan.links,
      ...(delegation?.rule && { issuer_rule: delegation.rule }),
      ...(delegation?.mandate !== undefined && { mandate: delegation.mandate }),
      ...(plan.mayAct && { may_act: plan.mayAct.sub }),
      ...(plan.observed && { observed: plan.observed }),
      policy: plan.policy,
      ...plan.decidedOn,
      provenance,
      registry: client.asOf.version,
      resource_id: resource.id,
      rev: client.asOf.rev,
      scope: plan.scope,
      ...(delegation && delegation.person === undefined && { subject: plan.subject }),
      ...(delegation?.exchanged !== undefined && { subject_token: delegation.exchanged }),
      ...(plan.task?.provenance === 'orchestrated' && { task: plan.task.task.id }),
      ...(plan.transaction && { transaction: transactionOnRecord(plan.transaction, jti) }),
      x5t: plan.binding?.x5t,
    },
    personal: {
      ...personalOf(client, context),
      ...(delegation?.person !== undefined && { person: delegation.person }),
      ...granted(plan),
    },
  };
}

/** Who is in front is ours. Whoever an issuer elsewhere says acted before may be a person, who could not be erased here. */
const ownActors = (act: Actor): string[] => actorsOf(act).flatMap(({ sub, iss }) => (iss === act.iss ? [sub] : []));

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
