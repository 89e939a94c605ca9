import type { AuthorizationDetail } from '@bailiwick/protocol';

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

/** A role that an agent holds, with what it gives. */
export interface HeldRole {
  /** Id of the grant: what a revocation names when only this agent loses the role. */
  grant: string;
  role: string;
  roleName: string;
  permissions: Permission[];
}

/** Whether a change takes a scope away from whoever holds the role. */
export function isNarrower(before: readonly Permission[], after: readonly Permission[]): boolean {
  return before.some(({ resource, scopes }) => {
    const kept = scopesOn(after, resource);
    return scopes.some((scope) => !kept.includes(scope));
  });
}

/** All scopes that these permissions give on one resource, each once. */
export function scopesOn(permissions: readonly Permission[], resource: string): string[] {
  return [...new Set(permissions.filter((one) => one.resource === resource).flatMap((one) => one.scopes))];
}
