/** What a transaction token says, where it is known, and what the log tells of it. @see draft-ietf-oauth-transaction-tokens */
import { linkTag, parseSpiffeId, type TransactionClaims, transactionTyp } from '@bailiwick/protocol';
import type { Client, DecidedPlan, PlannedTransaction } from '../decide/plan.ts';
import { numericDate } from '../lib/clock.ts';
import { noteReach } from '../liveness/liveness.ts';
import type { Database, Tx } from '../store/database.ts';

/** What every verifier can read: a token for several resources is as none of them alone has chosen. */
export const transactionProfile = { alg: 'ES256', typ: transactionTyp, status_list: false } as const;

type TransactionPlan = DecidedPlan & { transaction: PlannedTransaction };

/**
 * The first token of a transaction gives it its id, so that the log leads from one to the other.
 * @param made `now` in milliseconds
 */
export function transactionClaimsOf(
  config: { issuer: string; trust_domain: string },
  { transaction, delegation, subject, client, links, context, scope, expiresAt }: TransactionPlan,
  { jti, now }: { jti: string; now: number },
): TransactionClaims {
  if (!delegation) throw new Error('a transaction has a subject');
  const { acting, requesters, tctx, rctx, resources, txn = jti } = transaction;
  const before = requesters.slice(0, -1);
  return {
    iss: config.issuer,
    sub: subject,
    sub_profile: delegation.subjectProfile,
    aud: config.trust_domain,
    ...acting,
    org: client.agent.org,
    exp: numericDate(expiresAt),
    iat: numericDate(now),
    jti,
    txn,
    scope: scope.join(' '),
    req_wl: requesters.at(-1) as string,
    ...(before.length > 0 && { req_wl_before: before }),
    ...(tctx && { tctx }),
    ...(rctx && { rctx }),
    ...(context && { ctx: context }),
    ...(delegation.act && { act: delegation.act }),
    ...(delegation.mandate !== undefined && { mandate: delegation.mandate }),
    ...(delegation.rule && { issuer_rule: { ...delegation.rule } }),
    resources,
    rev: client.asOf.rev,
    links: [...new Set([...links.map(linkTag), ...delegation.tags])],
  };
}

/** Notes, in the transaction that issues it, for each resource that takes it what it rests on: that resource as well, which the others don't mind. */
export async function noteTransaction(
  tx: Tx,
  db: Database,
  { plan, restsOn, jti, now }: { plan: TransactionPlan; restsOn: readonly string[]; jti: string; now: number },
): Promise<void> {
  const { tags, exchanged } = plan.delegation ?? {};
  for (const resource of plan.transaction.resources.toSorted()) {
    await noteReach(tx, db, { restsOn: [...restsOn, resource], tags, exchanged, resource, now });
    // whoever ends this very token asks the log what it was for, which names where the transaction began
    await noteReach(tx, db, { restsOn: [], exchanged: jti, resource, now });
  }
}

/** What the contexts say is the organization's own, and may be about people: the log has none of it. */
export const transactionOnRecord = ({ txn, acting, requesters, resources }: PlannedTransaction, jti: string) => ({
  agent: acting.client_id,
  ...(acting.instance !== undefined && { instance: acting.instance }),
  requested_by: requesters,
  resources,
  ...(acting.task && { task: acting.task.id }),
  txn: txn ?? jti,
});

/** Whether a client requested this token last: itself, or an instance of it. */
export function isRequestedBy({ agent, instance }: Client, { req_wl, links }: TransactionClaims): boolean {
  if (!links.includes(linkTag(agent.id))) return false;
  const [, name] = parseSpiffeId(req_wl).path;
  return name === agent.name && (!instance || req_wl === instance.spiffeId);
}
