import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { RoleRow } from '../store/registry-tables.ts';
import type { HeldRole, Permission, Role, RolePower } from './role.ts';

type JoinedRow = RoleRow & { state: SubjectState };

/**
 * The roles that the agent holds now, each followed by those that it inherits: grants and roles that have ended are left out.
 * Ordered by grant.
 */
export async function rolesOf(q: Queries, agent: string): Promise<HeldRole[]> {
  const rows = await q.all<HeldRow>(
    `select g.agent as agent, g.id as grant_id, r.id as role, r.name as name, r.permissions as permissions, r.inherits as inherits
       from role_grants g
       join roles r on r.id = g.role
       join subjects s on s.id = g.id
       join subjects t on t.id = r.id
      where g.agent = ? and s.state = 'active' and t.state = 'active'
      order by g.id`,
    [agent],
  );
  return (await heldOf(q, rows)).map(({ held }) => held);
}

/** The same for many agents at once. */
export async function rolesOfAgents(q: Queries, agents: readonly string[]): Promise<Map<string, HeldRole[]>> {
  const byAgent = new Map<string, HeldRole[]>(agents.map((agent) => [agent, []]));
  if (agents.length === 0) return byAgent;
  const rows: HeldRow[] = await q.kysely
    .selectFrom('role_grants as g')
    .innerJoin('roles as r', 'r.id', 'g.role')
    .innerJoin('subjects as s', 's.id', 'g.id')
    .innerJoin('subjects as t', 't.id', 'r.id')
    .select(['g.agent as agent', 'g.id as grant_id', 'r.id as role', 'r.name as name'])
    .select(['r.permissions as permissions', 'r.inherits as inherits'])
    .where('g.agent', 'in', agents)
    .where('s.state', '=', 'active')
    .where('t.state', '=', 'active')
    .orderBy('g.id')
    .execute();
  for (const { agent, held } of await heldOf(q, rows)) byAgent.get(agent)?.push(held);
  return byAgent;
}

interface HeldRow {
  agent: string;
  grant_id: string;
  role: string;
  name: string;
  permissions: string;
  inherits: string;
}

async function heldOf(q: Queries, rows: readonly HeldRow[]): Promise<{ agent: string; held: HeldRole }[]> {
  const given = rows.map((row) => ({ row, inherits: JSON.parse(row.inherits) as string[] }));
  const inherited = await activeRoles(q, [...new Set(given.flatMap(({ inherits }) => inherits))]);
  return given.flatMap(({ row, inherits }) => {
    const { agent, grant_id: grant } = row;
    const own = { grant, role: row.role, roleName: row.name, permissions: JSON.parse(row.permissions) as Permission[] };
    const more = inherits.flatMap((id) => inherited.get(id) ?? []);
    return [
      { agent, held: own },
      ...more.map(({ id, name, permissions }) => ({
        agent,
        held: { grant, role: id, roleName: name, permissions, via: row.role },
      })),
    ];
  });
}

async function activeRoles(q: Queries, ids: readonly string[]): Promise<Map<string, Role>> {
  if (ids.length === 0) return new Map();
  const rows = await q.kysely
    .selectFrom('roles as r')
    .innerJoin('subjects as s', 's.id', 'r.id')
    .selectAll('r')
    .select('s.state as state')
    .where('r.id', 'in', ids)
    .where('s.state', '=', 'active')
    .execute();
  return new Map((rows as JoinedRow[]).map((row) => [row.id, roleOf(row)]));
}

/** All that whoever is given this role gets: what it gives itself, and what the roles give that it inherits. */
export async function permissionsOf(q: Queries, { permissions, inherits }: RolePower): Promise<Permission[]> {
  const inherited = await activeRoles(q, inherits);
  return [...permissions, ...[...inherited.values()].flatMap((role) => role.permissions)];
}

/** The roles that inherit this one and have not ended. */
export async function rolesInheriting(q: Queries, role: string): Promise<Role[]> {
  const rows = await q.kysely
    .selectFrom('roles as r')
    .innerJoin('subjects as s', 's.id', 'r.id')
    .selectAll('r')
    .select('s.state as state')
    .where('r.inherits', 'like', `%${role}%`)
    .where('s.state', '=', 'active')
    .orderBy('r.id')
    .execute();
  return (rows as JoinedRow[]).map(roleOf).filter(({ inherits }) => inherits.includes(role));
}

/** The role with this id, whatever its status. */
export async function findRole(q: Queries, id: string): Promise<Role | undefined> {
  const row = await q.get<JoinedRow>(
    'select r.*, s.state as state from roles r join subjects s on s.id = r.id where r.id = ?',
    [id],
  );
  return row && roleOf(row);
}

/** A built-in role by its name. */
export async function findSystemRole(q: Queries, name: string): Promise<Role | undefined> {
  const row = await q.get<JoinedRow>(
    'select r.*, s.state as state from roles r join subjects s on s.id = r.id where r.system = 1 and r.name = ?',
    [name],
  );
  return row && roleOf(row);
}

export interface RoleFilter {
  org: string;
  name?: string | undefined;
  status?: Role['status'] | undefined;
  after?: string | undefined;
  limit: number;
}

/** The organization's roles and the built-in ones, oldest first. */
export async function selectRoles(q: Queries, filter: RoleFilter): Promise<Role[]> {
  let query = q.kysely
    .selectFrom('roles as r')
    .innerJoin('subjects as s', 's.id', 'r.id')
    .selectAll('r')
    .select('s.state as state')
    .where(({ eb, or }) => or([eb('r.org', '=', filter.org), eb('r.system', '=', 1)]))
    .orderBy('r.id')
    .limit(filter.limit);
  if (filter.name !== undefined) query = query.where('r.name', '=', filter.name);
  if (filter.status !== undefined) query = query.where('s.state', filter.status === 'active' ? '=' : '!=', 'active');
  if (filter.after !== undefined) query = query.where('r.id', '>', filter.after);
  return ((await query.execute()) as JoinedRow[]).map(roleOf);
}

/** Answers false if the name is, or was, another role's of the organization. */
export async function insertRole(tx: Tx, role: Omit<Role, 'status'>): Promise<boolean> {
  const row = await tx.get(
    `insert into roles (id, org, name, description, permissions, inherits, system, created_at, updated_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing returning id`,
    [
      role.id,
      role.org,
      role.name,
      role.description,
      JSON.stringify(role.permissions),
      JSON.stringify(role.inherits),
      role.system ? 1 : 0,
      role.createdAt,
      role.updatedAt,
    ],
  );
  return row !== undefined;
}

/** Description, permissions and what it inherits; the rest never changes. */
export async function updateRole(tx: Tx, role: Omit<Role, 'status'>): Promise<void> {
  await tx.run('update roles set description = ?, permissions = ?, inherits = ?, updated_at = ? where id = ?', [
    role.description,
    JSON.stringify(role.permissions),
    JSON.stringify(role.inherits),
    role.updatedAt,
    role.id,
  ]);
}

export interface RoleGrant {
  id: string;
  org: string;
  agent: string;
  role: string;
  roleName: string;
  createdAt: number;
}

/** What an agent holds now, oldest first. */
export async function selectRoleGrants(
  q: Queries,
  filter: { agent: string; role?: string | undefined; after?: string | undefined; limit: number },
): Promise<RoleGrant[]> {
  let query = q.kysely
    .selectFrom('role_grants as g')
    .innerJoin('roles as r', 'r.id', 'g.role')
    .innerJoin('subjects as s', 's.id', 'g.id')
    .innerJoin('subjects as t', 't.id', 'r.id')
    .select([
      'g.id as id',
      'g.org as org',
      'g.agent as agent',
      'g.role as role',
      'r.name as roleName',
      'g.created_at as createdAt',
    ])
    .where('g.agent', '=', filter.agent)
    .where('s.state', '=', 'active')
    .where('t.state', '=', 'active')
    .orderBy('g.id')
    .limit(filter.limit);
  if (filter.role !== undefined) query = query.where('g.role', '=', filter.role);
  if (filter.after !== undefined) query = query.where('g.id', '>', filter.after);
  return query.execute();
}

/** The grant with this id, as long as the role was not taken away. */
export async function findRoleGrant(q: Queries, id: string): Promise<RoleGrant | undefined> {
  return q.get<RoleGrant>(
    `select g.id as id, g.org as org, g.agent as agent, g.role as role, r.name as "roleName", g.created_at as "createdAt"
       from role_grants g join roles r on r.id = g.role where g.id = ?`,
    [id],
  );
}

/** The grant of a role to an agent, be the role retired; undefined if it was never given, or taken away. */
export async function grantedRole(q: Queries, agent: string, role: string): Promise<string | undefined> {
  return (await q.get<{ id: string }>('select id from role_grants where agent = ? and role = ?', [agent, role]))?.id;
}

/** Answers false if the agent holds the role already. */
export async function insertRoleGrant(tx: Tx, grant: Omit<RoleGrant, 'roleName'>): Promise<boolean> {
  const row = await tx.get(
    `insert into role_grants (id, org, agent, role, created_at) values (?, ?, ?, ?, ?)
     on conflict do nothing returning id`,
    [grant.id, grant.org, grant.agent, grant.role, grant.createdAt],
  );
  return row !== undefined;
}

/** Forgets a grant; answers its id, which the caller ends. */
export async function deleteRoleGrant(tx: Tx, agent: string, role: string): Promise<string | undefined> {
  const row = await tx.get<{ id: string }>('delete from role_grants where agent = ? and role = ? returning id', [
    agent,
    role,
  ]);
  return row?.id;
}

/** Ids of all grants to an agent, or of a role. */
export async function grantsOf(q: Queries, of: { agent: string } | { role: string }): Promise<string[]> {
  const rows =
    'agent' in of
      ? await q.all<{ id: string }>('select id from role_grants where agent = ? order by id', [of.agent])
      : await q.all<{ id: string }>('select id from role_grants where role = ? order by id', [of.role]);
  return rows.map(({ id }) => id);
}

/**
 * The agents that hold the role, or one that inherits it, and can use it on the server's own API for good: nothing that is known today
 * stops them from getting a token for it, now or later.
 */
export async function lastingHolders(q: Queries, role: string): Promise<string[]> {
  const holders = new Set<string>();
  for (const each of [role, ...(await rolesInheriting(q, role)).map(({ id }) => id)]) {
    for (const agent of await lastingHoldersOf(q, each)) holders.add(agent);
  }
  return [...holders];
}

async function lastingHoldersOf(q: Queries, role: string): Promise<string[]> {
  const rows = await q.all<{ agent: string; grants: string; resources: string; system: string }>(
    `select a.id as agent, a.grants as grants, a.resources as resources, r.id as system
       from role_grants g
       join agents a on a.id = g.agent
       join resources r on r.system = 1
       join subjects s on s.id = a.id
       join subjects t on t.id = a.org
       join subjects u on u.id = g.id
      where g.role = ? and s.state = 'active' and t.state = 'active' and u.state = 'active'
        and a.expires_at is null and a.context = '{}'
        and exists (
          select c.id from credentials c join subjects v on v.id = c.id
           where c.agent = a.id and c.kind = 'public_key' and v.state = 'active' and c.expires_at is null
        )
      order by g.id`,
    [role],
  );
  return rows.filter(reachesOwnApi).map(({ agent }) => agent);
}

function reachesOwnApi({ grants, resources, system }: { grants: string; resources: string; system: string }): boolean {
  return (
    (JSON.parse(grants) as string[]).includes('client_credentials') &&
    (JSON.parse(resources) as { resource: string }[]).some(({ resource }) => resource === system)
  );
}

function roleOf(row: JoinedRow): Role {
  return {
    id: row.id,
    org: row.org,
    name: row.name,
    description: row.description,
    permissions: JSON.parse(row.permissions) as Permission[],
    inherits: JSON.parse(row.inherits) as string[],
    system: row.system === 1,
    status: row.state === 'active' ? 'active' : 'retired',
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
