/** Sub-agents inside of one process: an instance enrols named children with keys of their own, never with more than it has. */

import { ProtocolError, parseScope } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { mayAct } from '../decide/decide.ts';
import { mustBeWhereBound } from '../decide/place.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { ownUrls } from '../lib/own-urls.ts';
import { scopesOn } from '../resources/role.ts';
import { findResource, findResourceByIdentifier, rolesOf } from '../resources/store.ts';
import { plannedAnew } from '../tokens/planned-anew.ts';
import type { InstanceAnswer } from './answer.ts';
import { attributesOf, mustFit } from './attributes.ts';
import { type ChildBody, childBody, parsed } from './body.ts';
import { keyOfRequest } from './csr.ts';
import { askedOf } from './enrol.ts';
import type { InstanceRequest } from './enroller.ts';
import { given } from './given.ts';
import { holderOf } from './holder.ts';
import { instancesPath } from './paths.ts';
import { endOf, mayHaveChildren, newInstance } from './plan.ts';
import { keyOfProof, type ProvenKey } from './proof.ts';

/** @throws OAuthError as `enrol`; `invalid_target` and `invalid_scope` for more than the parent has */
export async function enrolChild(deps: Deps, request: InstanceRequest, id: string): Promise<InstanceAnswer> {
  const body = parsed(childBody, request.body);
  const { context } = request;
  const asked = { id, method: 'POST', below: '/children', byParents: false };
  return plannedAnew(deps, {
    type: 'instance.refused',
    context,
    asked: () => askedOf(body),
    who: (since) => holderOf(deps, request, asked, since),
    async attempt({ client, instance: parent }, spends) {
      const { agent } = client;
      const now = deps.clock.now();
      mayAct(agent, now);
      mayHaveChildren(agent.instances, parent);
      mustBeWhereBound(deps, agent, parent, context);
      const key = keyOfChild(deps, body, id, agent);
      spends.push(...key.proofs);
      const attributes = attributesOf({
        address: context.address,
        orchestrated: {},
        declared: body.attributes,
        known: parent.attributes,
      });
      mustFit(agent.instances, attributes);
      const expiresAt = endOf(deps, now, body, { client, parent });
      const allowed = await allowedTo(deps, agent, parent, body.allowed);
      const child = { parent, name: body.name, allowed };
      const instance = newInstance(deps, now, { client, key, attributes, expiresAt, child });
      return given(deps, { client, instance, key, spends, context }, body);
    },
  });
}

function keyOfChild(deps: Deps, { proof, csr }: ChildBody, parent: string, agent: Agent): ProvenKey {
  if ((proof === undefined) === (csr === undefined)) {
    throw new OAuthError('invalid_request', 'prove the key of the child: either proof, a DPoP proof by it, or csr');
  }
  if (csr !== undefined) return keyOfRequest(deps.config, csr, agent);
  return keyOfProof(deps, proof as string, {
    method: 'POST',
    urls: ownUrls(deps.config, `${instancesPath}/${parent}/children`),
  });
}

/**
 * What a child may ask tokens for: what is asked for it, if the agent's roles give it and its parent has it; what its
 * parent has, if nothing is said.
 * @throws OAuthError `invalid_target`, `invalid_scope`, `invalid_request`
 */
async function allowedTo(
  deps: Deps,
  agent: Agent,
  parent: Instance,
  wanted: ChildBody['allowed'],
): Promise<Instance['allowed']> {
  if (wanted === undefined) return parent.allowed;
  const held = (await rolesOf(deps.db, agent.id)).flatMap(({ permissions }) => permissions);
  const allowed: { resource: string; scope: readonly string[] }[] = [];
  for (const { resource: reference, scope: text } of wanted) {
    const resource = reference.startsWith('res_')
      ? await findResource(deps.db, reference)
      : await findResourceByIdentifier(deps.db, reference);
    if (!resource || !agent.resources.some((each) => each.resource === resource.id)) {
      throw new OAuthError('invalid_target', 'allowed names a resource that this agent was not given');
    }
    if (allowed.some((each) => each.resource === resource.id)) {
      throw new OAuthError('invalid_request', 'allowed must name each resource once');
    }
    const scope = scopesIn(text);
    const given = scopesOn(held, resource.id);
    const parents = parent.allowed?.find((each) => each.resource === resource.id)?.scope;
    const has = parent.allowed === undefined ? given : given.filter((each) => parents?.includes(each));
    const beyond = scope.filter((each) => !has.includes(each));
    if (beyond.length > 0) {
      throw new OAuthError('invalid_scope', `its parent does not have ${beyond.join(' ')} on this resource`);
    }
    allowed.push({ resource: resource.id, scope });
  }
  return allowed;
}

function scopesIn(text: string): string[] {
  try {
    return [...parseScope(text)];
  } catch (error) {
    if (error instanceof ProtocolError) throw new OAuthError('invalid_scope', error.message);
    throw error;
  }
}
