import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries } from '../store/database.ts';
import type { AgentRow } from '../store/registry-tables.ts';
import type { Agent, AgentLimits, AgentResource, AgentStatus } from './agent.ts';

type JoinedRow = AgentRow & { org_name: string; state: SubjectState; org_state: SubjectState };

/**
 * The agent with this id, whatever its status; `undefined` when nobody was ever registered under it. Its own time may
 * be up (`expiresAt`): the caller has the clock.
 */
export async function findAgent(q: Queries, id: string): Promise<Agent | undefined> {
  const row = await q.get<JoinedRow>(
    `select a.*, o.name as org_name, s.state as state, t.state as org_state
       from agents a
       join organizations o on o.id = a.org
       join subjects s on s.id = a.id
       join subjects t on t.id = a.org
      where a.id = ?`,
    [id],
  );
  return row && agentOf(row);
}

/** A row of `agents`, joined with its organization and with what `liveness/` says of both. */
export function agentOf(row: JoinedRow): Agent {
  return {
    id: row.id,
    org: row.org,
    orgName: row.org_name,
    name: row.name,
    kind: row.kind as Agent['kind'],
    owner: row.owner,
    purpose: row.purpose,
    environment: row.environment,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    grants: JSON.parse(row.grants) as string[],
    resources: JSON.parse(row.resources) as AgentResource[],
    limits: JSON.parse(row.limits) as AgentLimits,
    status: statusOf(row.state),
    orgStatus: statusOf(row.org_state),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

const statusOf = (state: SubjectState): AgentStatus => (state === 'ended' ? 'retired' : state);
