/** What the registry gives an agent of ours: the bound of every answer, whatever policies say. */
import { grantsOperation } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { mayAct, mayBeReached } from '../decide/decide.ts';
import { boundPlace, mustBeInside, narrowedOrDenied, seenPlace } from '../decide/place.ts';
import type { Deps } from '../deps.ts';
import type { Permission } from '../resources/role.ts';
import type { Question } from './question.ts';
import type { Asked } from './resource.ts';
import type { ShownToken } from './token.ts';
import { No } from './verdict.ts';

/** Who would act. */
export interface Actor {
  agent: Agent;
  /** The running copy, where it is known. */
  instance: Instance | undefined;
  /** What its roles give, all of them together. */
  permissions: readonly Permission[];
  /** What it shows, where the asking side has that. */
  token: ShownToken | undefined;
}

/**
 * Alive, where its tokens may be used, and given this: by its registration, by its roles, and by the token if there is one.
 * @param now milliseconds
 * @throws No, or OAuthError as the token endpoint would
 */
export function mustBeGiven(deps: Deps, actor: Actor, asked: Asked, question: Question, now: number): void {
  const { agent, instance, token } = actor;
  mayAct(agent, now);
  const bound = narrowedOrDenied(agent.context, instance && boundPlace(deps, agent, instance));
  mustBeInside(bound, seenPlace(deps, question.context.presenterAddress, instance), now);
  const { registered, operation } = asked;
  if (!registered) return;
  mayBeReached(registered, agent);
  if (!agent.resources.some(({ resource }) => resource === registered.id))
    throw new No('the agent was not given this resource');
  const given = within(actor, registered.id);
  if (given.scopes.size === 0 && given.details.length === 0)
    throw new No('no role of the agent gives anything on this resource');
  if (!operation) return;
  const types = registered.detailsTypes;
  const parameters = () => question.action.parameters;
  if (!grantsOperation(operation, { scope: given.scopes, details: given.details, types }, parameters)) {
    throw new No('no role of the agent gives this operation');
  }
  if (!token) return;
  const carried = { scope: token.scope, details: token.claims.authorization_details ?? [], types };
  if (!grantsOperation(operation, carried, parameters)) throw new No('the token does not carry this operation');
}

/** What roles give on a resource; a child of an instance has of it what its parent let it have, which is scopes alone. */
function within({ instance, permissions }: Actor, resource: string) {
  const here = permissions.filter((each) => each.resource === resource);
  const scopes = here.flatMap((each) => each.scopes);
  if (instance?.allowed === undefined) {
    return { scopes: new Set(scopes), details: here.flatMap(({ details = [] }) => details) };
  }
  const allowed = instance.allowed.find((each) => each.resource === resource)?.scope ?? [];
  return { scopes: new Set(scopes.filter((scope) => allowed.includes(scope))), details: [] };
}
