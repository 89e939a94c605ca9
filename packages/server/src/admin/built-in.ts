/** What every deployment has from its first start: the admin API as a resource, and the roles on it. */
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { registerSubject } from '../liveness/liveness.ts';
import type { Resource } from '../resources/resource.ts';
import type { Role } from '../resources/role.ts';
import { findSystemRole, insertRole, updateRole } from '../resources/role-store.ts';
import { findSystemResource, insertResource, updateResource } from '../resources/store.ts';
import type { Tx } from '../store/database.ts';
import { adminResource, adminScopes, allAdminScopes, guardScope, operatorScopes } from './scopes.ts';

const roles = [
  {
    name: 'operator',
    description: 'Everything that an administrator can do, in every organization',
    scopes: operatorScopes,
  },
  { name: 'guard', description: 'What being registered as a guard gives', scopes: [guardScope] },
] as const;

const scopes = allAdminScopes.map((name) => ({ name, description: adminScopes[name] }));

export interface BuiltIn {
  resource: Resource;
  operator: Role;
}

/**
 * Makes what is missing of it and brings what is there up to date with this version of the program.
 * @returns whether anything was changed, which the caller must say to the registry
 */
export async function ensureBuiltIn(tx: Tx, deps: Deps, org: string): Promise<BuiltIn & { changed: boolean }> {
  const now = deps.clock.now();
  let changed = false;
  let resource = await findSystemResource(tx);
  if (!resource) {
    resource = await makeResource(tx, deps, org);
    changed = true;
  } else if (JSON.stringify(resource.scopes) !== JSON.stringify(scopes)) {
    resource = { ...resource, scopes, updatedAt: now };
    await updateResource(tx, resource);
    changed = true;
  }
  for (const { name, description, scopes: given } of roles) {
    const permissions = [{ resource: resource.id, scopes: [...given] }];
    const known = await findSystemRole(tx, name);
    if (!known) {
      const role = {
        id: newId(deps, 'role'),
        org,
        name,
        description,
        permissions,
        system: true,
        createdAt: now,
        updatedAt: now,
      };
      await insertRole(tx, role);
      await registerSubject(tx, { id: role.id, kind: 'role', parent: org, now });
      changed = true;
    } else if (JSON.stringify(known.permissions) !== JSON.stringify(permissions)) {
      await updateRole(tx, { ...known, permissions, updatedAt: now });
      changed = true;
    }
  }
  const operator = await findSystemRole(tx, 'operator');
  if (!operator)
    throw new Error('the built-in role operator was not made: another role of the organization has its name');
  return { resource, operator, changed };
}

async function makeResource(tx: Tx, deps: Deps, org: string): Promise<Resource> {
  const now = deps.clock.now();
  const resource: Resource = {
    id: newId(deps, 'resource'),
    org,
    identifier: adminResource(deps.config),
    name: 'Bailiwick admin API',
    scopes,
    operations: [],
    token: { alg: 'ES256', typ: 'at+jwt', dangerously_bearer: false },
    status: 'active',
    system: true,
    createdAt: now,
    updatedAt: now,
  };
  await insertResource(tx, resource);
  await registerSubject(tx, { id: resource.id, kind: 'resource', parent: org, now });
  return resource;
}
