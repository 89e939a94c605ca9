/** What is left of what somebody lets agents do: roles and registration bound every token, whoever's word it goes by. */
import { operationType } from '@bailiwick/protocol';
import type { Mandate } from '../mandate-words.ts';
import type { Agent, Resource, Role } from '../registry.ts';

/** What the registry holds, as far as this identity may see it. */
export interface Registered {
  agents: readonly Agent[];
  roles: readonly Role[];
  resources: readonly Resource[];
}

type Allowed = Mandate['resources'];

/** Whether roles and registration of an agent give any of it now. */
export function isGivenAny(id: string, allowed: Allowed, { agents, roles, resources }: Registered): boolean {
  const agent = agents.find((one) => one.id === id);
  if (agent === undefined) return true; // not this identity's to see
  const own = roles.filter((role) => agent.roles.some((held) => held.id === role.id));
  const held = [...own, ...roles.filter((role) => own.some(({ inherits }) => inherits.includes(role.id)))];
  return allowed.some(({ resource: identifier, scope, authorization_details: details = [] }) => {
    const resource = livingResource(identifier, resources);
    if (resource === undefined || !agent.resources.some((use) => use.resource === resource.id)) return false;
    const given = held.flatMap(({ permissions }) => permissions.filter((each) => each.resource === resource.id));
    const types = new Set(given.flatMap((each) => (each.details ?? []).map(({ type }) => type)));
    const scopes = new Set(given.flatMap((each) => each.scopes));
    return (
      scopesLeft(scope, resource).some((one) => scopes.has(one)) ||
      details.some((one) => types.has(typeOf(one)) || (typeOf(one) === operationType && given.length > 0))
    );
  });
}

/** Whether anything of it is there at all: a resource that lives, and a scope or details on it. */
export function isThereAny(allowed: Allowed, { resources }: Registered): boolean {
  return allowed.some(({ resource: identifier, scope, authorization_details: details = [] }) => {
    const resource = livingResource(identifier, resources);
    return resource !== undefined && (scopesLeft(scope, resource).length > 0 || details.length > 0);
  });
}

const livingResource = (identifier: string, resources: readonly Resource[]) =>
  resources.find((one) => one.identifier === identifier && one.status !== 'retired');

/** A role goes on naming what its resource had once. */
const scopesLeft = (scope = '', { scopes }: Resource): string[] =>
  scope.split(' ').filter((one) => scopes.some(({ name }) => name === one));

const typeOf = (detail: object): string => ('type' in detail ? String(detail.type) : '');
