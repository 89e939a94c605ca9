/** An instance goes on: by proof of its key, with that key or a new one, as far as its agent's template goes now. */
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { findInstance } from '../agents/instance-store.ts';
import { mayAct, withinBudget } from '../decide/decide.ts';
import type { Deps } from '../deps.ts';
import { asOf } from '../liveness/liveness.ts';
import { changed } from '../tokens/issue.ts';
import { refuse } from '../tokens/refusal.ts';
import { answerOf, documentsFor, type InstanceAnswer, tokenFor } from './answer.ts';
import { attributesOf, mustFit } from './attributes.ts';
import { parsed, renewBody, type Wanted } from './body.ts';
import { keyOfRequest } from './csr.ts';
import { askedOf, plansAtMost, tooMuchChanges } from './enrol.ts';
import type { InstanceRequest } from './enroller.ts';
import { holderOf } from './holder.ts';
import { endOf, mayStillBe } from './plan.ts';
import type { ProvenKey } from './proof.ts';
import { settleInstance } from './settle.ts';

/** @throws OAuthError `invalid_client` for whom it does not live any more; else as `enrol` */
export async function renew(deps: Deps, request: InstanceRequest, id: string): Promise<InstanceAnswer> {
  const body = parsed(renewBody, request.body);
  const { context } = request;
  for (let planned = 0; ; planned++) {
    const since = await asOf(deps.db);
    const asked = { id, method: 'POST', below: '/renew', byParents: false };
    const { client, instance: before } = await holderOf(deps, request, asked, since);
    const { agent, proofs: spends } = client;
    try {
      if (planned === 0) withinBudget(deps, agent);
      if (planned === plansAtMost) throw tooMuchChanges();
      const now = deps.clock.now();
      mayAct(agent, now);
      mayStillBe(agent.instances, before);
      const key = nextKey(deps, body, before, agent);
      const attributes = attributesOf({
        address: context.address,
        orchestrated: {},
        declared: {},
        known: before.attributes,
      });
      mustFit(agent.instances, attributes);
      const parent = before.parent === undefined ? undefined : await findInstance(deps.db, before.parent);
      const expiresAt = endOf(deps, now, body, { client, parent, before });
      const { jwk, alg, thumbprint } = key;
      const instance = { ...before, jwk, alg, thumbprint, attributes, renewedAt: now, expiresAt };
      const documents = await documentsFor(deps, client, { instance, key }, body);
      const made = { instance, key, x5t: documents.x509?.x5t };
      const token = body.token && (await tokenFor(deps, client, made, body.token, context));
      const settlement = { client, instance, before, spends, token, x5t: made.x5t, context };
      if ((await settleInstance(deps, settlement)) === changed) continue;
      return answerOf(instance, documents, token);
    } catch (error) {
      throw await refuse(deps, { type: 'instance.refused', client, spends, context, error, asked: askedOf(body) });
    }
  }
}

/** The key that it has, or the one of a csr. Names stand in a csr each time, or its certificates carry them no longer. */
function nextKey(
  { config }: Deps,
  { csr }: Wanted,
  { thumbprint, alg, jwk, spiffeId }: Instance,
  agent: Agent,
): ProvenKey {
  if (csr !== undefined) return keyOfRequest(config, csr, agent, spiffeId);
  return { thumbprint, alg, jwk, by: 'dpop', dnsNames: [], proofs: [] };
}
