/** Agents, instances and tasks that somebody names in a mandate, found in the registry: all of the same organization. */
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { selectInstances } from '../agents/instance-store.ts';
import { findAgent } from '../agents/store.ts';
import { Unfit } from '../lib/unfit.ts';
import type { MandateTask, Passing } from '../mandates/mandate.ts';
import type { Queries } from '../store/database.ts';
import { taskOpen } from '../tasks/standing.ts';
import { findTask } from '../tasks/store.ts';

/** Where to look, and as of when (milliseconds) what is named has to live. */
interface Now {
  q: Queries;
  now: number;
}

/** @throws Unfit naming `agent`: the same for what isn't there and what is elsewhere */
export async function activeAgent({ q, now }: Now, org: string, id: string): Promise<Agent> {
  const agent = await findAgent(q, id);
  const expired = agent?.expiresAt !== undefined && agent.expiresAt <= now;
  if (agent?.org === org && agent.status === 'active' && agent.orgStatus === 'active' && !expired) return agent;
  throw new Unfit('agent', 'must be the id of an active agent of the same organization');
}

/** @param of the agent whose it has to be, if it matters. @throws Unfit naming `instance` */
export async function runningInstance({ q, now }: Now, org: string, id: string, of?: Agent): Promise<Instance> {
  const [instance] = await selectInstances(q, { id, org, now, limit: 1 });
  if (instance?.status === 'active' && (of === undefined || instance.agent === of.id)) return instance;
  throw new Unfit('instance', `must be the id of a running instance of ${of ? 'the agent' : 'the same organization'}`);
}

/** @throws Unfit naming `task.id` for a task that nobody could name any more */
export async function knownTask(
  { q, now }: Now,
  org: string,
  task: MandateTask | undefined,
): Promise<MandateTask | undefined> {
  if (task?.id === undefined) return task;
  const found = await findTask(q, task.id);
  if (found?.org === org && (await taskOpen(q, found, now))) return task;
  throw new Unfit('task.id', 'must be the id of an open task of the same organization');
}

/** @throws Unfit naming the one in `passing.to` */
export async function knownPassing({ q }: Pick<Now, 'q'>, org: string, { depth, to }: Passing): Promise<Passing> {
  for (const [index, id] of (to ?? []).entries()) {
    const agent = await findAgent(q, id);
    if (agent?.org === org && agent.status !== 'retired') continue;
    throw new Unfit(`passing.to[${index}]`, 'must be the id of an agent of the same organization');
  }
  return { depth, ...(to && { to }) };
}
