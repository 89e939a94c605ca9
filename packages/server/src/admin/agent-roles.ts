/** The roles that an agent holds: giving them is what administration is about, and what escalates. */
import { z } from 'zod';
import { findAgent } from '../agents/store.ts';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { registerSubject } from '../liveness/liveness.ts';
import { findRole, grantedRole, insertRoleGrant, type RoleGrant, selectRoleGrants } from '../resources/role-store.ts';
import { pageOf } from '../web/paging.ts';
import { notFound } from '../web/problem.ts';
import { idOf, slug } from './fields.ts';
import { adminScopesOfRole, governedAgent, knownRole, mustHold, notRetired, within } from './reach.ts';
import { revokedById } from './revoke.ts';
import { read, type WriteCall, write } from './route.ts';
import { byId, common, listQuery, pageFilter, pageOfSchema } from './shapes.ts';

const held = z.strictObject({ id: idOf('agent'), role_id: idOf('role') });

const shown = z.strictObject({ ...common('grant'), agent: idOf('agent'), role: idOf('role'), role_name: slug });

const show = (grant: RoleGrant): z.output<typeof shown> => ({
  id: grant.id,
  organization: grant.org,
  agent: grant.agent,
  role: grant.role,
  role_name: grant.roleName,
  created_at: rfc3339(grant.createdAt),
});

/** Gives an agent a role that was checked already; answers the grant, and whether it is new. */
export async function giveRole(
  call: WriteCall,
  agent: { id: string; org: string },
  role: { id: string; name: string },
): Promise<{ grant: RoleGrant; made: boolean }> {
  const { tx, deps, now } = call;
  const [held] = await selectRoleGrants(tx, { agent: agent.id, role: role.id, limit: 1 });
  if (held) return { grant: held, made: false };
  const id = newId(deps, 'grant');
  const grant = { id, org: agent.org, agent: agent.id, role: role.id, roleName: role.name, createdAt: now };
  if (!(await insertRoleGrant(tx, grant))) throw new Error('a role was given twice within one transaction');
  await registerSubject(tx, { id: grant.id, kind: 'grant', parent: agent.id, now });
  return { grant, made: true };
}

export const agentRoleRoutes = [
  read({
    id: 'listAgentRoles',
    path: '/agents/{id}/roles',
    summary: 'List the roles that an agent holds',
    scopes: ['agents:read'],
    params: byId('agent'),
    query: listQuery({}),
    response: pageOfSchema(shown),
    async handler(call, { params, query }) {
      const agent = within(call, 'agent', params.id, await findAgent(call.q, params.id));
      const page = pageFilter('grant', query);
      return pageOf(await selectRoleGrants(call.q, { agent: agent.id, ...page }), page.shown, show);
    },
  }),
  write('PUT', {
    id: 'giveRole',
    path: '/agents/{id}/roles/{role_id}',
    summary: 'Give an agent a role',
    description: 'Scopes of the admin API can be given only by who holds them.',
    scopes: ['roles:write'],
    params: held,
    response: shown,
    async handler(call, { params }) {
      const agent = await governedAgent(call, params.id);
      const role = await knownRole(call, agent.org, params.role_id);
      mustHold(call, await adminScopesOfRole(call.tx, role), `the role ${role.name}`);
      const { grant, made } = await giveRole(call, agent, role);
      const body = show(grant);
      if (!made) return { body };
      const changed = { role: role.id, role_name: role.name, grant: grant.id };
      return { body, event: { type: 'role.granted', org: agent.org, target: agent.id, changed } };
    },
  }),
  write('DELETE', {
    id: 'takeRole',
    path: '/agents/{id}/roles/{role_id}',
    summary: 'Take a role from an agent',
    description: 'Tokens that rest on it end at once.',
    scopes: ['roles:write'],
    params: held,
    async handler(call, { params }) {
      const { tx } = call;
      const agent = within(call, 'agent', params.id, await findAgent(tx, params.id));
      notRetired('agent', agent);
      const role = await findRole(tx, params.role_id);
      // whoever may not take it is told so, whether the agent holds it or not
      if (role) mustHold(call, await adminScopesOfRole(tx, role), `power over the role ${role.name}`);
      const grant = await grantedRole(tx, agent.id, params.role_id);
      if (grant === undefined) throw notFound('role', params.role_id);
      const wanted = { effect: 'end' as const, reason: 'role taken away' };
      return { body: undefined, event: await revokedById(call, 'role_grant', grant, wanted) };
    },
  }),
] as const;
