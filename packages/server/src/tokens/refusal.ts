/**
 * How whoever is known is refused, a token or an instance: what was shown is spent, and the log says why. Only a replay leaves no
 * trace when it is all that was shown, or a thief with one proof could make us write a line per packet.
 */
import { appendEvent, type Sealing, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { Client, RequestContext, Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Tx } from '../store/database.ts';
import { assertionReplayed, proofReplayed, spendAll } from './spend.ts';

/** Who is refused what. */
export interface Refusal {
  type: 'token.refused' | 'instance.refused';
  client: Client;
  context: RequestContext;
  /** What was asked for, as the log can keep it. */
  asked: { resource?: string | undefined } & Record<string, unknown>;
}

/**
 * Settles a refusal: what was shown stays spent, and the log says why. Answers the error to throw, which is another one
 * when something shown was a replay. What is settled already, and what we can't explain, is answered as it is.
 */
export async function refuse(
  deps: Deps,
  refusal: Refusal & { spends: readonly Spend[]; error: unknown },
): Promise<unknown> {
  const { client, spends, error } = refusal;
  if (!(error instanceof OAuthError) || error.settled) return error;
  const sealing = await sealingFor(deps, client.asOf.version, error.person ?? client.agent.owner);
  return deps.db.settle(async (tx) => {
    const replayed = await spendAll(tx, spends);
    if (replayed) return settleReplay(tx, deps, sealing, refusal, replayed);
    await appendEvent(tx, deps, sealing, refusedEvent(refusal, error));
    return error;
  });
}

/**
 * What a replay calls for, in the transaction that found it. What proves the client proves nobody a second time: that is a
 * failed authentication, which is not written. Anything else that somebody proven sends again is on record.
 */
export async function settleReplay(
  tx: Tx,
  deps: Deps,
  sealing: Sealing,
  refusal: Refusal,
  replayed: Spend,
): Promise<OAuthError> {
  if (replayed.kind === 'assertion') return assertionReplayed();
  const error = proofReplayed();
  if (refusal.client.proofs.some(({ id }) => id === replayed.id)) return error;
  await appendEvent(tx, deps, sealing, refusedEvent({ ...refusal, asked: {} }, error));
  return error;
}

function refusedEvent({ type, client, context, asked }: Refusal, error: OAuthError): AuditEvent {
  const { resource, ...rest } = asked;
  return {
    type,
    outcome: 'refused',
    org: client.agent.org,
    agent: client.agent.id,
    instance: client.instance?.id,
    resource,
    reason: error.reason,
    trace: context.traceparent,
    decided_on: {
      asked: rest,
      ...knownOf(client),
      error: error.code,
      ...error.decidedOn,
      provenance,
      registry: client.asOf.version,
      rev: client.asOf.rev,
    },
    personal: { ...personalOf(client, context), person: error.person, ...policyInput(error.personal) },
  };
}

/** What is personal of what policy saw. Most have none of it: what is stored once for all events stays so. */
export const policyInput = (personal: object | undefined) =>
  personal === undefined ? undefined : { details: { policy_input: personal } };

/** Where what was decided on comes from (design §3): nothing here is believed because the agent says so. */
export const provenance = { address: 'observed', at: 'observed', client: 'registered', key: 'proven' };

/** What was known of the client when it was decided about. Members stand in the order of canonical JSON here and above. */
export const knownOf = ({ agent, credential, thumbprint, method }: Client) => ({
  client: { credential, environment: agent.environment, key: thumbprint, kind: agent.kind, method },
});

export const personalOf = (client: Client, context: RequestContext) => ({
  owner: client.agent.owner,
  address: context.address,
  purpose: client.agent.purpose,
});
