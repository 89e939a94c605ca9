import type { Operation } from '@bailiwick/protocol';
import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries } from '../store/database.ts';
import type { ResourceRow } from '../store/registry-tables.ts';
import type { Resource, ResourceScope, TokenProfile } from './resource.ts';
import type { HeldRole, Permission } from './role.ts';

type JoinedRow = ResourceRow & { state: SubjectState };

/** The resource with this id, whatever its status. */
export async function findResource(q: Queries, id: string): Promise<Resource | undefined> {
  const row = await q.get<JoinedRow>(
    'select r.*, s.state as state from resources r join subjects s on s.id = r.id where r.id = ?',
    [id],
  );
  return row && resourceOf(row);
}

/**
 * The resource that calls itself exactly so, whatever its status.
 * @see RFC 8707 §2: identifiers are compared as they are written
 */
export async function findResourceByIdentifier(q: Queries, identifier: string): Promise<Resource | undefined> {
  const row = await q.get<JoinedRow>(
    'select r.*, s.state as state from resources r join subjects s on s.id = r.id where r.identifier = ?',
    [identifier],
  );
  return row && resourceOf(row);
}

/** The roles that the agent holds now: grants and roles that have ended are left out. Ordered by grant. */
export async function rolesOf(q: Queries, agent: string): Promise<HeldRole[]> {
  const rows = await q.all<{ grant_id: string; role: string; name: string; permissions: string }>(
    `select g.id as grant_id, r.id as role, r.name as name, r.permissions as permissions
       from role_grants g
       join roles r on r.id = g.role
       join subjects s on s.id = g.id
       join subjects t on t.id = r.id
      where g.agent = ? and s.state = 'active' and t.state = 'active'
      order by g.id`,
    [agent],
  );
  return rows.map((row) => ({
    grant: row.grant_id,
    role: row.role,
    roleName: row.name,
    permissions: JSON.parse(row.permissions) as Permission[],
  }));
}

/** A row of `resources`, joined with what `liveness/` says of it. */
export function resourceOf(row: JoinedRow): Resource {
  return {
    id: row.id,
    org: row.org,
    identifier: row.identifier,
    name: row.name,
    scopes: JSON.parse(row.scopes) as ResourceScope[],
    operations: JSON.parse(row.operations) as Operation[],
    token: JSON.parse(row.token) as TokenProfile,
    status: row.state === 'ended' ? 'retired' : row.state,
    system: row.system === 1,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
