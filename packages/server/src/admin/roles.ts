import { z } from 'zod';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { narrowSubject, registerSubject } from '../liveness/liveness.ts';
import { isNarrower, type Role } from '../resources/role.ts';
import { findRole, insertRole, selectRoles, updateRole } from '../resources/role-store.ts';
import { pageOf } from '../web/paging.ts';
import { conflict } from '../web/problem.ts';
import { idOf, line, oneOf, record, scopeName, setOf, shownTime, slug } from './fields.ts';
import { adminScopesOfRole, keepingAnOperator, mustHold, notBuiltIn, notRetired, within } from './reach.ts';
import { revokedById } from './revoke.ts';
import { resolvedInheritance, resolvedPermissions, typesIn } from './role-power.ts';
import { type Call, read, write } from './route.ts';
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
  scopes: setOf(scopeName, 500, 'scopes').default([]),
  details: setOf(z.record(z.string(), z.unknown(), { error: 'must be a JSON object' }), 50, 'details')
    .optional()
    .meta({
      description:
        'Bounds of authorization_details (RFC 9396): such may be asked for as are within one of these. A member that a bound does not have may be anything.',
      examples: [[{ type: 'transfer', amount: 100 }]],
    }),
});

const writable = {
  description: line(500).default(''),
  permissions: setOf(permission, 100, 'permissions').default([]),
  inherits: setOf(idOf('role'), 20, 'roles')
    .default([])
    .meta({ description: 'Roles whose permissions it has as well: such as inherit nothing themselves.' }),
};

const shown = z.strictObject({
  ...common('role'),
  name: slug,
  description: z.string(),
  permissions: z.array(
    z.strictObject({
      resource: idOf('resource'),
      scopes: z.array(z.string()),
      details: z.array(z.record(z.string(), z.unknown())).optional(),
    }),
  ),
  inherits: z.array(idOf('role')),
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
  inherits: role.inherits,
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
        permissions: await resolvedPermissions(call, org.id, body.permissions, []),
        inherits: await resolvedInheritance(call, { org: org.id, name: body.name }, body.inherits, []),
        system: false,
        status: 'active',
        createdAt: now,
        updatedAt: now,
      };
      if (!(await insertRole(tx, role))) throw conflict('name', 'is or was the name of another role here');
      await registerSubject(tx, { id: role.id, kind: 'role', parent: org.id, now });
      const { name, description, permissions, inherits } = role;
      const changed = { name, description, permissions, inherits };
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
    description: 'What is taken away ends the tokens of all who hold the role, or one that inherits it.',
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
      const { description, permissions, inherits } = role;
      const wanted = patchedBy(z.strictObject(writable), { description, permissions, inherits }, body);
      const after: Role = {
        ...role,
        description: wanted.description,
        permissions: await resolvedPermissions(call, role.org, wanted.permissions, permissions),
        inherits: await resolvedInheritance(call, role, wanted.inherits, inherits),
        updatedAt: now,
      };
      const changed = changes(before, show(after));
      if (Object.keys(changed).length === 0) return { body: before };
      const kept = await adminScopesOfRole(tx, after);
      const lost = (await adminScopesOfRole(tx, role)).filter((scope) => !kept.includes(scope));
      mustHold(call, lost, `power over what the role ${role.name} gives`); // it could not be given back
      await keepingAnOperator(call, undefined, () => updateRole(tx, after));
      const rev =
        isNarrower(role, after, await typesIn(tx, [role, after])) &&
        (await narrowSubject(tx, { id: role.id, reason: 'narrowed by an administrator', by: call.caller.agent, now }));
      const told = { ...changed, ...(rev !== false && { rev }) };
      return { body: show(after), event: { type: 'role.updated', org: role.org, target: role.id, changed: told } };
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
      const role = await found(call, params.id);
      const reason = body.reason || 'retired by an administrator';
      const event = await revokedById(call, 'role', role.id, { effect: 'end', reason });
      return { body: show({ ...role, status: 'retired' }), event };
    },
  }),
] as const;
