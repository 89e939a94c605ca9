/** What a role may be given: permissions and other roles, each looked up, and none that the caller does not hold. */
import { type AuthorizationDetail, type ComparedType, operationType } from '@bailiwick/protocol';
import { checkBound } from '../resources/details-schema.ts';
import type { Resource } from '../resources/resource.ts';
import { type Permission, type RolePower, scopesOn } from '../resources/role.ts';
import { findRole, rolesInheriting } from '../resources/role-store.ts';
import { findResource } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';
import { invalid } from '../web/problem.ts';
import { adminScopesOfRole, knownResource, mustHold } from './reach.ts';
import { sayingWhere } from './resource-check.ts';
import type { Call } from './route.ts';
import { guardScope } from './scopes.ts';

/** A permission as it is written: the shape of its details is checked here. */
export interface WantedPermission {
  resource: string;
  scopes: string[];
  details?: Record<string, unknown>[] | undefined;
}

/**
 * Permissions with their references resolved. What the role gave before stays, even if it has ended since.
 * @throws Problem 422 naming the permission, 403 for scopes of the admin API that the caller lacks
 */
export async function resolvedPermissions(
  call: Call,
  org: string,
  wanted: readonly WantedPermission[],
  before: readonly Permission[],
): Promise<Permission[]> {
  const permissions: Permission[] = [];
  for (const [index, { resource: reference, scopes, details = [] }] of wanted.entries()) {
    const field = `permissions[${index}]`;
    const resolved = (resource: string): Permission => ({
      resource,
      scopes,
      ...(details.length > 0 && { details: details as AuthorizationDetail[] }),
    });
    if (before.some((kept) => kept.resource === reference && hasAll(kept, scopes, details))) {
      permissions.push(resolved(reference));
      continue;
    }
    const resource = await knownResource(call, org, reference, `${field}.resource`);
    const unknown = scopes.filter((scope) => !resource.scopes.some(({ name }) => name === scope));
    if (unknown.length > 0)
      throw invalid(`${field}.scopes`, `must be scopes of ${resource.name}: it has no ${unknown.join(', ')}`);
    if (resource.system === 'admin') {
      if (scopes.includes(guardScope))
        throw invalid(`${field}.scopes`, `can not give ${guardScope}: being registered as a guard does`);
      const given = scopesOn(before, resource.id);
      mustHold(
        call,
        scopes.filter((scope) => !given.includes(scope)),
        'this role',
      );
    }
    for (const [place, bound] of details.entries()) await checkBoundOf(resource, bound, `${field}.details[${place}]`);
    permissions.push(resolved(resource.id));
  }
  if (new Set(permissions.map(({ resource }) => resource)).size < permissions.length) {
    throw invalid('permissions', 'must name each resource once');
  }
  return permissions;
}

function hasAll(kept: Permission, scopes: readonly string[], details: readonly unknown[]): boolean {
  const known = (kept.details ?? []).map((each) => JSON.stringify(each));
  return (
    scopes.every((scope) => kept.scopes.includes(scope)) &&
    details.every((detail) => known.includes(JSON.stringify(detail)))
  );
}

async function checkBoundOf(resource: Resource, bound: unknown, field: string): Promise<void> {
  if (resource.system) throw invalid(field, 'is not for the server’s own APIs: they know scopes alone');
  await sayingWhere(checkBound(resource.detailsTypes, bound, field));
  const { type, actions } = bound as AuthorizationDetail;
  if (type !== operationType || !Array.isArray(actions)) return;
  const unknown = actions.filter((action) => !resource.operations.some(({ name }) => name === action));
  if (unknown.length > 0)
    throw invalid(`${field}.actions`, `must be operations of ${resource.name}: it has no ${unknown.join(', ')}`);
}

/**
 * The roles that a role inherits: of its organization or built in, and such as inherit nothing themselves, so that there is one level and no
 * circle. Those that it inherited before stay.
 * @throws Problem 422 naming the role, 403 for scopes of the admin API that the caller lacks
 */
export async function resolvedInheritance(
  call: Call,
  heir: { id?: string; org: string; name: string },
  wanted: readonly string[],
  before: readonly string[],
): Promise<string[]> {
  if (wanted.length === 0) return [];
  for (const [index, id] of wanted.entries()) {
    if (before.includes(id)) continue;
    const field = `inherits[${index}]`;
    const role = await findRole(call.q, id);
    if (role?.status !== 'active' || !(role.system || role.org === heir.org)) {
      throw invalid(field, 'must be the id of a role of the same organization');
    }
    if (role.id === heir.id) throw invalid(field, 'must be another role');
    if (role.inherits.length > 0) throw invalid(field, 'must be a role that inherits nothing itself');
    const scopes = await adminScopesOfRole(call.q, role);
    if (scopes.includes(guardScope))
      throw invalid(field, `can not give ${guardScope}: being registered as a guard does`);
    mustHold(call, scopes, `the role ${heir.name}, inheriting ${role.name},`);
  }
  const [heirOfThis] = heir.id === undefined ? [] : await rolesInheriting(call.q, heir.id);
  if (heirOfThis) throw invalid('inherits', `must stay empty: the role ${heirOfThis.name} inherits this one`);
  return [...wanted];
}

/** The types of details of all resources on which these give any. */
export async function typesIn(
  q: Queries,
  powers: readonly RolePower[],
): Promise<(resource: string) => readonly ComparedType[]> {
  const ids = new Set(
    powers.flatMap(({ permissions }) => permissions.filter(({ details }) => details).map(({ resource }) => resource)),
  );
  const types = new Map<string, readonly ComparedType[]>();
  for (const id of ids) types.set(id, (await findResource(q, id))?.detailsTypes ?? []);
  return (resource) => types.get(resource) ?? [];
}
