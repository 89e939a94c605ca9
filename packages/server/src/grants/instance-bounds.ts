/** What instances of a chain let be done where the token that they got isn't for: no more than they may do there themselves. */
import { type AccessTokenClaims, actorsOf } from '@bailiwick/protocol';
import type { Instance } from '../agents/instance.ts';
import type { Client, DelegationBound } from '../decide/plan.ts';
import { agentCalled } from '../decide/registered.ts';
import type { Deps } from '../deps.ts';
import type { Resource } from '../resources/resource.ts';
import type { Subject } from './subject.ts';

/** The bounds of all instances that a token names and that were given less than their agent, where it is exchanged for another resource. */
export async function instanceBoundsOn(
  deps: Deps,
  { agent, asOf }: Client,
  { token, resource: of }: Pick<Subject, 'token' | 'resource'>,
  resource: Resource,
): Promise<DelegationBound[]> {
  if (token === undefined || of === resource.id) return [];
  const bounds: DelegationBound[] = [];
  for (const name of namesIn(token)) {
    const found = await agentCalled(deps, asOf.version, agent.org, name);
    if (found?.instance?.allowed) bounds.push(boundOf(found.instance, resource));
  }
  return bounds;
}

/** Who acted, and whose authority it is: the same one twice where an agent got a token for itself. */
const namesIn = ({ iss, sub, act }: AccessTokenClaims) =>
  new Set([sub, ...actorsOf(act).flatMap((actor) => (actor.iss === iss ? [actor.sub] : []))]);

const boundOf = ({ allowed, expiresAt }: Instance, resource: Resource): DelegationBound => ({
  by: 'instance',
  scope: allowed?.find((each) => each.resource === resource.id)?.scope ?? [],
  details: [], // what it was given are scopes
  context: undefined,
  endsAt: expiresAt,
});
