/** Who may open tasks: looked at again with every token of a task, since a task works only while its orchestrator may open such. */
import type { Agent } from '../agents/agent.ts';
import { findAgent } from '../agents/store.ts';
import type { Deps } from '../deps.ts';
import { rememberedPer } from '../lib/remember.ts';
import { rolesOf } from '../resources/role-store.ts';
import { findSystemResource } from '../resources/store.ts';

/** The scope that opening and ending tasks takes. */
export const openingScope = 'tasks:open';

export interface Orchestrator {
  agent: Agent;
  /** Ids of a role that lets it open tasks, and of its being given; undefined where none does. */
  by: { role: string; grant: string } | undefined;
  /** Whether it is registered for the API at which tasks are opened. */
  hasService: boolean;
}

const orchestrators = rememberedPer<Orchestrator>(10_000);

/** The agent with this id and what lets it open tasks, as of this version of the registry; undefined for one that never was. */
export async function orchestratorOf(deps: Deps, version: number, id: string): Promise<Orchestrator | undefined> {
  return orchestrators(deps.db).get(version, id, async () => {
    const agent = await findAgent(deps.db, id);
    if (!agent) return undefined;
    const service = await findSystemResource(deps.db, 'service');
    const giving = (await rolesOf(deps.db, id)).find(({ permissions }) =>
      permissions.some(({ resource, scopes }) => resource === service?.id && scopes.includes(openingScope)),
    );
    const hasService = agent.resources.some(({ resource }) => resource === service?.id);
    return { agent, by: giving && { role: giving.role, grant: giving.grant }, hasService };
  });
}

/** Whether it may open tasks for agents of this organization at `now` (ms). */
export function mayOrchestrate({ agent, by, hasService }: Orchestrator, org: string, now: number): boolean {
  const alive = agent.status === 'active' && agent.orgStatus === 'active';
  return (
    by !== undefined &&
    hasService &&
    alive &&
    agent.org === org &&
    (agent.expiresAt === undefined || agent.expiresAt > now)
  );
}
