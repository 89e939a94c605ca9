/** What of the server's own admin API somebody holds: power over whom is power over all that they can do. */
import type { Queries } from '../store/database.ts';
import { type Permission, type RolePower, scopesOn } from './role.ts';
import { permissionsOf, rolesOf } from './role-store.ts';
import { findSystemResource } from './store.ts';

/** The scopes of the admin API among these permissions. */
export async function adminScopesIn(q: Queries, permissions: readonly Permission[]): Promise<string[]> {
  const admin = await findSystemResource(q);
  return admin ? scopesOn(permissions, admin.id) : [];
}

/** The scopes of the admin API that a role gives, by itself or by what it inherits. */
export async function adminScopesOfRole(q: Queries, role: RolePower): Promise<string[]> {
  return adminScopesIn(q, await permissionsOf(q, role));
}

/** The scopes of the admin API that an agent's roles give it. */
export async function adminScopesOf(q: Queries, agent: string): Promise<string[]> {
  const roles = await rolesOf(q, agent);
  return adminScopesIn(
    q,
    roles.flatMap(({ permissions }) => permissions),
  );
}
