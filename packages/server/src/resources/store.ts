import type { DetailsType, Operation } from '@bailiwick/protocol';
import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { ResourceRow } from '../store/registry-tables.ts';
import {
  defaultFeedTerms,
  type FeedTerms,
  type Guard,
  type Resource,
  type ResourceScope,
  type SystemResource,
  systemResources,
  type TokenProfile,
} from './resource.ts';

export { rolesOf } from './role-store.ts';

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

/** Resources that take tokens with this `aud`: several of one organization may share one. */
export async function findResourcesByAudience(q: Queries, audience: string): Promise<Resource[]> {
  const rows = await q.all<JoinedRow>(
    `select r.*, s.state as state from audiences a join resources r on r.id = a.resource join subjects s on s.id = r.id where a.audience = ?`,
    [audience],
  );
  return rows.map(resourceOf);
}

export interface ResourceFilter {
  org: string;
  identifier?: string | undefined;
  name?: string | undefined;
  status?: Resource['status'] | undefined;
  after?: string | undefined;
  limit: number;
}

/** The organization's resources and the server's own, oldest first. */
export async function selectResources(q: Queries, filter: ResourceFilter): Promise<Resource[]> {
  let query = q.kysely
    .selectFrom('resources as r')
    .innerJoin('subjects as s', 's.id', 'r.id')
    .selectAll('r')
    .select('s.state as state')
    .where(({ eb, or }) => or([eb('r.org', '=', filter.org), eb('r.system', '<>', 0)]))
    .orderBy('r.id')
    .limit(filter.limit);
  if (filter.identifier !== undefined) query = query.where('r.identifier', '=', filter.identifier);
  if (filter.name !== undefined) query = query.where('r.name', '=', filter.name);
  if (filter.status !== undefined) {
    query = query.where('s.state', '=', filter.status === 'retired' ? 'ended' : filter.status);
  }
  if (filter.after !== undefined) query = query.where('r.id', '>', filter.after);
  return ((await query.execute()) as JoinedRow[]).map(resourceOf);
}

/** Answers false if the identifier is, or was, another resource's of this deployment. */
export async function insertResource(tx: Tx, resource: Omit<Resource, 'status'>): Promise<boolean> {
  const row = await tx.get(
    `insert into resources
       (id, org, identifier, name, scopes, operations, details_types, token, feed, served_by, system, created_at, updated_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing returning id`,
    [
      resource.id,
      resource.org,
      resource.identifier,
      resource.name,
      JSON.stringify(resource.scopes),
      JSON.stringify(resource.operations),
      JSON.stringify(resource.detailsTypes),
      JSON.stringify(resource.token),
      JSON.stringify(resource.feed),
      JSON.stringify(resource.servedBy),
      resource.system === undefined ? 0 : systemNumbers[resource.system],
      resource.createdAt,
      resource.updatedAt,
    ],
  );
  if (!row) return false;
  await claimAudiences(tx, resource);
  return true;
}

/** Everything but id, organization and identifier, which never change. */
export async function updateResource(tx: Tx, resource: Omit<Resource, 'status'>): Promise<void> {
  await tx.run(
    `update resources set name = ?, scopes = ?, operations = ?, details_types = ?, token = ?, feed = ?, served_by = ?, updated_at = ? where id = ?`,
    [
      resource.name,
      JSON.stringify(resource.scopes),
      JSON.stringify(resource.operations),
      JSON.stringify(resource.detailsTypes),
      JSON.stringify(resource.token),
      JSON.stringify(resource.feed),
      JSON.stringify(resource.servedBy),
      resource.updatedAt,
      resource.id,
    ],
  );
  await claimAudiences(tx, resource);
}

/**
 * Gives the server's own resource another identifier. Nobody else's ever changes. Answers false, and changes nothing,
 * if another resource has claimed it, by its identifier or by its token profile.
 */
export async function renameSystemResource(tx: Tx, resource: Omit<Resource, 'status'>): Promise<boolean> {
  const { id, org, identifier } = resource;
  if (await audienceTaken(tx, { audience: identifier, by: id, org, identifies: true })) return false;
  await tx.run('update resources set identifier = ?, updated_at = ? where id = ? and system <> 0', [
    resource.identifier,
    resource.updatedAt,
    resource.id,
  ]);
  await claimAudiences(tx, resource);
  return true;
}

/** How a resource stands to an audience, in `audiences.identifies`. */
const claims = { identifier: 1, audience: 0, givenUp: -1 } as const;

/** What a resource gives up stays its organization's: verifiers of those tokens may still be there. */
async function claimAudiences(tx: Tx, { id, identifier, token }: Omit<Resource, 'status'>): Promise<void> {
  await tx.run('update audiences set identifies = ? where resource = ?', [claims.givenUp, id]);
  const claim = (audience: string, as: number) =>
    tx.run(
      `insert into audiences (audience, resource, identifies) values (?, ?, ?)
       on conflict (audience, resource) do update set identifies = excluded.identifies`,
      [audience, id, as],
    );
  await claim(identifier, claims.identifier);
  if (token.audience !== undefined && token.audience !== identifier) await claim(token.audience, claims.audience);
}

/**
 * Whether somebody else would take tokens with this `aud` for theirs. Two resources of one organization may share an
 * audience that identifies neither (a cloud asks for the same one everywhere), and take over what another of them gave
 * up. Nobody gets an audience that identifies another resource, or that another organization, or the server itself,
 * ever claimed: a verifier that looks at `aud` alone could not tell whose token it sees.
 * @param claim `identifies`: it is to be the identifier; else the token profile's audience
 */
export async function audienceTaken(
  q: Queries,
  claim: { audience: string; by: string; org: string; identifies: boolean },
): Promise<boolean> {
  const row = await q.get(
    `select a.resource from audiences a join resources r on r.id = a.resource
      where a.audience = ? and a.resource <> ? and (r.org <> ? or r.system <> 0 or a.identifies >= ?) limit 1`,
    [claim.audience, claim.by, claim.org, claim.identifies ? claims.audience : claims.identifier],
  );
  return row !== undefined;
}

/** How the server's own resources are told apart in `resources.system`; 0 is everybody else's. */
const systemNumbers = { admin: 1, service: 2 } as const satisfies Record<SystemResource, number>;

/** The server's own. */
export async function findSystemResource(q: Queries, which: SystemResource = 'admin'): Promise<Resource | undefined> {
  const row = await q.get<JoinedRow>(
    'select r.*, s.state as state from resources r join subjects s on s.id = r.id where r.system = ? order by r.id limit 1',
    [systemNumbers[which]],
  );
  return row && resourceOf(row);
}

// guards

type GuardRecord = {
  id: string;
  org: string;
  resource: string;
  agent: string;
  created_at: number;
  name: string;
  state: SubjectState;
};

const guardColumns = `select g.*, a.name as name, s.state as state
  from guards g join agents a on a.id = g.agent join subjects s on s.id = g.id`;

export async function findGuard(q: Queries, id: string): Promise<Guard | undefined> {
  const row = await q.get<GuardRecord>(`${guardColumns} where g.id = ?`, [id]);
  return row && guardOf(row);
}

/** What the agent guards, whatever the guard's status. */
export async function findGuardOfAgent(q: Queries, agent: string): Promise<Guard | undefined> {
  const row = await q.get<GuardRecord>(`${guardColumns} where g.agent = ?`, [agent]);
  return row && guardOf(row);
}

/** The agents of all guards that still are. */
export async function agentsOfGuards(q: Queries): Promise<string[]> {
  const rows = await q.all<{ agent: string }>(
    "select g.agent as agent from guards g join subjects s on s.id = g.id where s.state <> 'ended' order by g.id",
  );
  return rows.map(({ agent }) => agent);
}

/** Oldest first. */
export async function selectGuards(
  q: Queries,
  filter: { org: string; resource?: string | undefined; after?: string | undefined; limit: number },
): Promise<Guard[]> {
  let query = q.kysely
    .selectFrom('guards as g')
    .innerJoin('agents as a', 'a.id', 'g.agent')
    .innerJoin('subjects as s', 's.id', 'g.id')
    .selectAll('g')
    .select(['a.name as name', 's.state as state'])
    .where('g.org', '=', filter.org)
    .orderBy('g.id')
    .limit(filter.limit);
  if (filter.resource !== undefined) query = query.where('g.resource', '=', filter.resource);
  if (filter.after !== undefined) query = query.where('g.id', '>', filter.after);
  return ((await query.execute()) as GuardRecord[]).map(guardOf);
}

export async function insertGuard(tx: Tx, guard: Omit<Guard, 'status' | 'name'>): Promise<void> {
  await tx.run('insert into guards (id, org, resource, agent, created_at) values (?, ?, ?, ?, ?)', [
    guard.id,
    guard.org,
    guard.resource,
    guard.agent,
    guard.createdAt,
  ]);
}

function guardOf(row: GuardRecord): Guard {
  return {
    id: row.id,
    org: row.org,
    resource: row.resource,
    agent: row.agent,
    name: row.name,
    status: row.state === 'active' ? 'active' : 'retired',
    createdAt: row.created_at,
  };
}

/** A row of `resources`, joined with what `liveness/` says of it. */
function resourceOf(row: JoinedRow): Resource {
  return {
    id: row.id,
    org: row.org,
    identifier: row.identifier,
    name: row.name,
    scopes: JSON.parse(row.scopes) as ResourceScope[],
    operations: JSON.parse(row.operations) as Operation[],
    detailsTypes: JSON.parse(row.details_types) as DetailsType[],
    token: JSON.parse(row.token) as TokenProfile,
    feed: { ...defaultFeedTerms, ...(JSON.parse(row.feed) as Partial<FeedTerms>) },
    servedBy: JSON.parse(row.served_by) as string[],
    status: row.state === 'ended' ? 'retired' : row.state,
    system: systemResources.find((which) => systemNumbers[which] === row.system),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
