import type { TokenContext } from '@bailiwick/protocol';
import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { AgentRow } from '../store/registry-tables.ts';
import type { Agent, AgentLimits, AgentResource, AgentStatus } from './agent.ts';
import type { InstanceTemplate } from './instance.ts';

type JoinedRow = AgentRow & { org_name: string; org_time_zone: string; state: SubjectState; org_state: SubjectState };

/**
 * The agent with this id, whatever its status; `undefined` when nobody was ever registered under it. Its own time may
 * be up (`expiresAt`): the caller has the clock.
 */
export async function findAgent(q: Queries, id: string): Promise<Agent | undefined> {
  const row = await q.get<JoinedRow>(
    `select a.*, o.name as org_name, o.time_zone as org_time_zone, s.state as state, t.state as org_state
       from agents a
       join organizations o on o.id = a.org
       join subjects s on s.id = a.id
       join subjects t on t.id = a.org
      where a.id = ?`,
    [id],
  );
  return row && agentOf(row);
}

export interface AgentFilter {
  org: string;
  name?: string | undefined;
  kind?: Agent['kind'] | undefined;
  owner?: string | undefined;
  environment?: string | undefined;
  status?: AgentStatus | undefined;
  /** Id of a resource that it may ask tokens for. */
  resource?: string | undefined;
  /** Id of a role that it holds. */
  role?: string | undefined;
  after?: string | undefined;
  limit: number;
}

/** Oldest first. */
export async function selectAgents(q: Queries, filter: AgentFilter): Promise<Agent[]> {
  let query = q.kysely
    .selectFrom('agents as a')
    .innerJoin('organizations as o', 'o.id', 'a.org')
    .innerJoin('subjects as s', 's.id', 'a.id')
    .innerJoin('subjects as t', 't.id', 'a.org')
    .selectAll('a')
    .select(['o.name as org_name', 'o.time_zone as org_time_zone', 's.state as state', 't.state as org_state'])
    .where('a.org', '=', filter.org)
    .orderBy('a.id')
    .limit(filter.limit);
  for (const column of ['name', 'kind', 'owner', 'environment'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(`a.${column}`, '=', value);
  }
  if (filter.status !== undefined) query = query.where('s.state', '=', stateOf(filter.status));
  if (filter.after !== undefined) query = query.where('a.id', '>', filter.after);
  const { resource, role } = filter;
  // an id holds no wildcard and no quote, and stands in this list as a whole string only
  if (resource !== undefined)
    query = query.where('a.resources', 'like', `%"resource":"${resource.replace(/[^a-z0-9_]/g, '')}"%`);
  if (role !== undefined) {
    query = query.where(({ exists, selectFrom }) =>
      exists(
        selectFrom('role_grants as g')
          .innerJoin('subjects as u', 'u.id', 'g.id')
          .select('g.id')
          .where('u.state', '=', 'active')
          .where('g.role', '=', role)
          .whereRef('g.agent', '=', 'a.id'),
      ),
    );
  }
  return ((await query.execute()) as JoinedRow[]).map(agentOf);
}

/** The names of these agents of an organization, by id: an agent keeps its name for ever. */
export async function agentNames(q: Queries, org: string, ids: readonly string[]): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map();
  const rows = await q.kysely
    .selectFrom('agents')
    .select(['id', 'name'])
    .where('org', '=', org)
    .where('id', 'in', ids)
    .execute();
  return new Map(rows.map(({ id, name }) => [id, name]));
}

/** Whether a person or team answers for an agent that has not been retired. */
export async function ownsAgents(q: Queries, owner: string): Promise<boolean> {
  const row = await q.get(
    `select a.id from agents a join subjects s on s.id = a.id where a.owner = ? and s.state <> 'ended' limit 1`,
    [owner],
  );
  return row !== undefined;
}

/** Answers false if the name is, or was, another agent's of the organization. */
export async function insertAgent(
  tx: Tx,
  agent: Omit<Agent, 'orgName' | 'orgTimeZone' | 'status' | 'orgStatus'>,
): Promise<boolean> {
  const row = await tx.get(
    `insert into agents
       (id, org, name, kind, owner, purpose, environment, expires_at, grants, resources, limits, instances, context, created_at, updated_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing returning id`,
    [
      agent.id,
      agent.org,
      agent.name,
      agent.kind,
      agent.owner,
      agent.purpose,
      agent.environment,
      agent.expiresAt ?? null,
      JSON.stringify(agent.grants),
      JSON.stringify(
        agent.resources.map(({ resource, default: meant, scope }) => ({ resource, default: meant, scope })),
      ),
      JSON.stringify(agent.limits),
      JSON.stringify(agent.instances),
      JSON.stringify(agent.context),
      agent.createdAt,
      agent.updatedAt,
    ],
  );
  return row !== undefined;
}

/** Everything but id, organization, name and kind, which never change. */
export async function updateAgent(
  tx: Tx,
  agent: Omit<Agent, 'orgName' | 'orgTimeZone' | 'status' | 'orgStatus'>,
): Promise<void> {
  await tx.run(
    `update agents
        set owner = ?, purpose = ?, environment = ?, expires_at = ?, grants = ?, resources = ?, limits = ?, instances = ?,
            context = ?, updated_at = ?
      where id = ?`,
    [
      agent.owner,
      agent.purpose,
      agent.environment,
      agent.expiresAt ?? null,
      JSON.stringify(agent.grants),
      JSON.stringify(
        agent.resources.map(({ resource, default: meant, scope }) => ({ resource, default: meant, scope })),
      ),
      JSON.stringify(agent.limits),
      JSON.stringify(agent.instances),
      JSON.stringify(agent.context),
      agent.updatedAt,
      agent.id,
    ],
  );
}

/** A row of `agents`, joined with its organization and with what `liveness/` says of both. */
function agentOf(row: JoinedRow): Agent {
  return {
    id: row.id,
    org: row.org,
    orgName: row.org_name,
    orgTimeZone: row.org_time_zone,
    name: row.name,
    kind: row.kind as Agent['kind'],
    owner: row.owner,
    purpose: row.purpose,
    environment: row.environment,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    grants: JSON.parse(row.grants) as string[],
    resources: JSON.parse(row.resources) as AgentResource[],
    limits: JSON.parse(row.limits) as AgentLimits,
    instances: JSON.parse(row.instances) as InstanceTemplate,
    context: JSON.parse(row.context) as TokenContext,
    status: statusOf(row.state),
    orgStatus: statusOf(row.org_state),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

const statusOf = (state: SubjectState): AgentStatus => (state === 'ended' ? 'retired' : state);
const stateOf = (status: AgentStatus): SubjectState => (status === 'retired' ? 'ended' : status);

/** Forgets what the agents that somebody answered for were for: there they may be named. */
export async function forgetPurposes(tx: Tx, owner: string): Promise<void> {
  await tx.run("update agents set purpose = '' where owner = ?", [owner]);
}
