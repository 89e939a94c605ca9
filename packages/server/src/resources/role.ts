import { type AuthorizationDetail, areWithin, type ComparedType } from '@bailiwick/protocol';
import type { Resource } from './resource.ts';

/** Scopes on one resource, and details up to these. */
export interface Permission {
  /** Id of the resource. */
  resource: string;
  scopes: string[];
  /** What details may be granted: such as are within one of these. */
  details?: AuthorizationDetail[];
}

/** A named set of permissions that is given to agents. */
export interface Role {
  id: string;
  org: string;
  name: string;
  description: string;
  permissions: Permission[];
  /** Ids of roles whose permissions it has as well; such a role inherits nothing itself. */
  inherits: string[];
  /** Built in: usable from every organization, changed by none. */
  system: boolean;
  status: 'active' | 'retired';
  createdAt: number;
  updatedAt: number;
}

/**
 * What every agent may without a role, of the API for agents: to say how its own tasks go, and to pass on of what it was given itself. It
 * reaches nothing else, so nobody has to give it.
 */
export const givenToAll = (resource: Pick<Resource, 'system'>, scope: string): boolean =>
  resource.system === 'service' && (scope === 'tasks:report' || scope === 'mandates:pass');

/** A role that an agent holds, itself or by inheritance, with what it gives. */
export interface HeldRole {
  /** Id of the grant: what a revocation names when only this agent loses the role. */
  grant: string;
  role: string;
  roleName: string;
  permissions: Permission[];
  /** Id of the role that the agent was given, where that inherits this one. */
  via?: string;
}

/** Ids of all that a held role rests on: when one of them ends or is narrowed, so does what it gave. */
export const heldBy = ({ role, via, grant }: HeldRole): string[] =>
  via === undefined ? [role, grant] : [role, via, grant];

/** What a change of a role is about. */
export type RolePower = Pick<Role, 'permissions' | 'inherits'>;

/**
 * Whether a change takes something from whoever holds the role: a scope, a detail that is within no bound any more, a role that it inherited.
 * @param typesOf the types of details of a resource, by its id. What isn't registered is within nothing, so it counts as taken.
 */
export function isNarrower(
  before: RolePower,
  after: RolePower,
  typesOf: (resource: string) => readonly ComparedType[],
): boolean {
  if (before.inherits.some((role) => !after.inherits.includes(role))) return true;
  return before.permissions.some(({ resource, scopes, details = [] }) => {
    const kept = scopesOn(after.permissions, resource);
    if (scopes.some((scope) => !kept.includes(scope))) return true;
    const bounds = detailsOn(after.permissions, resource);
    if (details.length === 0 || JSON.stringify(details) === JSON.stringify(bounds)) return false;
    return !areWithin(typesOf(resource), details, bounds);
  });
}

/** All scopes that these permissions give on one resource, each once. */
export function scopesOn(permissions: readonly Permission[], resource: string): string[] {
  return [...new Set(permissions.filter((one) => one.resource === resource).flatMap((one) => one.scopes))];
}

/** All bounds of details that these permissions give on one resource. */
export function detailsOn(permissions: readonly Permission[], resource: string): AuthorizationDetail[] {
  return permissions.filter((one) => one.resource === resource).flatMap((one) => one.details ?? []);
}
