/** An instance goes on: by proof of its key, with that key or a new one, as far as its agent's template goes now. */

import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { findInstance } from '../agents/instance-store.ts';
import { mayAct } from '../decide/decide.ts';
import { mustBeWhereBound } from '../decide/place.ts';
import type { Deps } from '../deps.ts';
import { plannedAnew } from '../tokens/planned-anew.ts';
import type { InstanceAnswer } from './answer.ts';
import { attributesOf, mustFit } from './attributes.ts';
import { parsed, renewBody, type Wanted } from './body.ts';
import { keyOfRequest } from './csr.ts';
import { askedOf } from './enrol.ts';
import type { InstanceRequest } from './enroller.ts';
import { given } from './given.ts';
import { holderOf } from './holder.ts';
import { endOf, mayStillBe } from './plan.ts';
import type { ProvenKey } from './proof.ts';

/** @throws OAuthError `invalid_client` for whom it does not live any more; else as `enrol` */
export async function renew(deps: Deps, request: InstanceRequest, id: string): Promise<InstanceAnswer> {
  const body = parsed(renewBody, request.body);
  const { context } = request;
  const asked = { id, method: 'POST', below: '/renew', byParents: false };
  return plannedAnew(deps, {
    type: 'instance.refused',
    context,
    asked: () => askedOf(body),
    who: (since) => holderOf(deps, request, asked, since),
    async attempt({ client, instance: before }, spends) {
      const { agent } = client;
      const now = deps.clock.now();
      mayAct(agent, now);
      mayStillBe(agent.instances, before);
      mustBeWhereBound(deps, agent, before, context);
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
      return given(deps, { client, instance, key, before, spends, context }, body);
    },
  });
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
