import { z } from 'zod';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { endSubject, narrowSubject, registerSubject } from '../liveness/liveness.ts';
import { isNarrower, type Permission, type Role, scopesOn } from '../resources/role.ts';
import { findRole, insertRole, selectRoles, updateRole } from '../resources/role-store.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, invalid } from '../web/problem.ts';
import { idOf, line, oneOf, record, scopeName, setOf, shownTime, slug } from './fields.ts';
import { adminScopesIn, knownResource, mustHold, notBuiltIn, notRetired, within } from './reach.ts';
import { type Call, read, write } from './route.ts';
import { guardScope } from './scopes.ts';
import {
  byId,
  changes,
  checkMatch,
  common,
  listQuery,
  pageFilter,
  pageOfSchema,
  patchedBy,
  patchOf,
  stopBody,
} from './shapes.ts';

const permission = z.strictObject({
  resource: line(512, 1).meta({ description: 'Id or identifier of the resource; shown as its id.' }),
  scopes: setOf(scopeName, 500, 'scopes'),
});

const writable = {
  description: line(500).default(''),
  permissions: setOf(permission, 100, 'permissions').default([]),
};

const shown = z.strictObject({
  ...common('role'),
  name: slug,
  description: z.string(),
  permissions: z.array(z.strictObject({ resource: idOf('resource'), scopes: z.array(z.string()) })),
  system: z.boolean().meta({ description: 'Built in: usable from every organization, changed by none.' }),
  status: oneOf(['active', 'retired']),
  updated_at: shownTime,
});

const show = (role: Role): z.output<typeof shown> => ({
  id: role.id,
  organization: role.org,
  name: role.name,
  description: role.description,
  permissions: role.permissions,
  system: role.system,
  status: role.status,
  created_at: rfc3339(role.createdAt),
  updated_at: rfc3339(role.updatedAt),
});

const found = async (call: Call, id: string) => within(call, 'role', id, await findRole(call.q, id));

async function changeable(call: Call, id: string): Promise<Role> {
  const role = notBuiltIn('role', await found(call, id));
  notRetired('role', role);
  return role;
}

/**
 * Permissions with their references resolved. What the role gave before stays, even if it has ended since.
 * @throws Problem 422 naming the permission, 403 for scopes of the admin API that the caller lacks
 */
async function resolved(call: Call, org: string, wanted: readonly Permission[], before: readonly Permission[]) {
  const permissions: Permission[] = [];
  for (const [index, { resource: reference, scopes }] of wanted.entries()) {
    const field = `permissions[${index}]`;
    if (before.some((kept) => kept.resource === reference && scopes.every((scope) => kept.scopes.includes(scope)))) {
      permissions.push({ resource: reference, scopes });
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
    permissions.push({ resource: resource.id, scopes });
  }
  if (new Set(permissions.map(({ resource }) => resource)).size < permissions.length) {
    throw invalid('permissions', 'must name each resource once');
  }
  return permissions;
}

export const roleRoutes = [
  read({
    id: 'listRoles',
    path: '/roles',
    summary: 'List roles',
    scopes: ['roles:read'],
    query: listQuery({ name: slug.optional(), status: oneOf(['active', 'retired']).optional() }),
    response: pageOfSchema(shown),
    async handler(call, { query }) {
      const page = pageFilter('role', query);
      const { name, status } = query;
      return pageOf(await selectRoles(call.q, { org: call.org.id, name, status, ...page }), page.shown, show);
    },
  }),
  write('POST', {
    id: 'createRole',
    path: '/roles',
    summary: 'Make a role',
    scopes: ['roles:write'],
    status: 201,
    body: record({ name: slug, ...writable }),
    example: {
      name: 'ticket-reader',
      permissions: [{ resource: 'https://tickets.example.com/api', scopes: ['tickets:read'] }],
    },
    response: shown,
    async handler(call, { body }) {
      const { tx, deps, org, now } = call;
      const role: Role = {
        id: newId(deps, 'role'),
        org: org.id,
        name: body.name,
        description: body.description,
        permissions: await resolved(call, org.id, body.permissions, []),
        inherits: [],
        system: false,
        status: 'active',
        createdAt: now,
        updatedAt: now,
      };
      if (!(await insertRole(tx, role))) throw conflict('name', 'is or was the name of another role here');
      await registerSubject(tx, { id: role.id, kind: 'role', parent: org.id, now });
      const { name, description, permissions } = role;
      const changed = { name, description, permissions };
      return { body: show(role), event: { type: 'role.created', org: org.id, target: role.id, changed } };
    },
  }),
  read({
    id: 'getRole',
    path: '/roles/{id}',
    summary: 'Show a role',
    scopes: ['roles:read'],
    params: byId('role'),
    response: shown,
    handler: async (call, { params }) => show(await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateRole',
    path: '/roles/{id}',
    summary: 'Change a role',
    description: 'A scope that is taken away ends the tokens of all who hold the role.',
    scopes: ['roles:write'],
    params: byId('role'),
    body: patchOf(writable),
    example: { description: 'Reads tickets, and nothing else' },
    response: shown,
    async handler(call, { params, body }) {
      const { tx, now } = call;
      const role = await changeable(call, params.id);
      const before = show(role);
      checkMatch(call, before);
      const { description, permissions } = role;
      const wanted = patchedBy(z.strictObject(writable), { description, permissions }, body);
      const after: Role = {
        ...role,
        description: wanted.description,
        permissions: await resolved(call, role.org, wanted.permissions, permissions),
        updatedAt: now,
      };
      const changed = changes(before, show(after));
      if (Object.keys(changed).length === 0) return { body: before };
      const kept = await adminScopesIn(tx, after.permissions);
      const lost = (await adminScopesIn(tx, permissions)).filter((scope) => !kept.includes(scope));
      mustHold(call, lost, `power over what the role ${role.name} gives`); // it could not be given back
      await updateRole(tx, after);
      if (isNarrower(role, after, () => [])) {
        await narrowSubject(tx, { id: role.id, reason: 'narrowed by an administrator', by: call.caller.agent, now });
      }
      return { body: show(after), event: { type: 'role.updated', org: role.org, target: role.id, changed } };
    },
  }),
  write('POST', {
    id: 'retireRole',
    path: '/roles/{id}/retire',
    summary: 'End a role for good',
    description: 'Whoever holds it loses what it gave, and the tokens that rest on it end at once.',
    scopes: ['roles:write'],
    params: byId('role'),
    body: stopBody,
    example: { reason: 'nobody needs it' },
    response: shown,
    async handler(call, { params, body }) {
      const { tx, now } = call;
      const role = notBuiltIn('role', await found(call, params.id));
      if (role.status === 'retired') return { body: show(role) };
      mustHold(call, await adminScopesIn(tx, role.permissions), `power over the role ${role.name}`);
      const reason = body.reason || 'retired by an administrator';
      await endSubject(tx, { id: role.id, reason, by: call.caller.agent, now });
      const event = { type: 'role.retired' as const, org: role.org, target: role.id, details: { reason } };
      return { body: show({ ...role, status: 'retired' }), event };
    },
  }),
] as const;
