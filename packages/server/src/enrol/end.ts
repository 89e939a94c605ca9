/** An instance looks at itself or goes; so may its parents look at it and end it. */
import { endInstance } from '../agents/instance-end.ts';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { rfc3339 } from '../lib/clock.ts';
import { asOf } from '../liveness/liveness.ts';
import { proofReplayed, spendAll } from '../tokens/spend.ts';
import { shownInstance } from './answer.ts';
import type { InstanceRequest } from './enroller.ts';
import { holderOf } from './holder.ts';

/** @throws OAuthError `invalid_client`, `invalid_dpop_proof` */
export async function show(deps: Deps, request: InstanceRequest, id: string): Promise<object> {
  const asked = { id, method: 'GET', below: '', byParents: true };
  const { client, instance } = await holderOf(deps, request, asked, await asOf(deps.db));
  const { proofs } = client;
  if (proofs.length > 0 && (await deps.db.settle((tx) => spendAll(tx, proofs)))) throw proofReplayed();
  const { createdAt, renewedAt } = instance;
  return { ...shownInstance(instance), created_at: rfc3339(createdAt), renewed_at: rfc3339(renewedAt) };
}

/**
 * Ends it with its children and all their tokens, at once. One that is gone already is as gone as was asked for, but nobody
 * can show its key any more.
 * @throws OAuthError `invalid_client`, `invalid_dpop_proof`
 */
export async function end(deps: Deps, request: InstanceRequest, id: string): Promise<void> {
  const asked = { id, method: 'DELETE', below: '', byParents: true };
  const since = await asOf(deps.db);
  const { client, instance } = await holderOf(deps, request, asked, since);
  const { agent } = client;
  const sealing = await sealingFor(deps, since.version, agent.owner);
  const refused = await deps.db.transaction(async (tx) => {
    if (await spendAll(tx, client.proofs)) return proofReplayed();
    const own = client.instance.id === instance.id;
    const reason = own ? 'ended by itself' : 'ended by its parent';
    const ended = await endInstance(tx, instance, { reason, by: agent.id, now: deps.clock.now() });
    if (ended.length === 0) return undefined; // somebody was faster
    await appendEvent(tx, deps, sealing, {
      type: 'instance.ended',
      outcome: 'allowed',
      org: instance.org,
      agent: agent.id,
      instance: client.instance.id,
      target: instance.id,
      reason,
      trace: request.context.traceparent,
      decided_on: { children: ended.slice(1), key: client.thumbprint },
      personal: { owner: agent.owner, address: request.context.address },
    });
    return undefined;
  });
  if (refused) throw refused;
}
