/** Whether the agent whose stream it is may still be told: nobody shows a token where we push, so that it is looked at before each delivery. */
import { findAgent } from '../agents/store.ts';
import { rolesOf } from '../resources/role-store.ts';
import { findSystemResource } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';

/** Scopes that let somebody have what a stream tells; either will do. */
export const receiverScopes = ['ssf.manage', 'ssf.read'] as const;

export interface ReceiverStanding {
  /** `stopped` may be told again one day; `gone` is for good. */
  state: 'may' | 'stopped' | 'gone';
  /** A sentence's beginning for administrators, unless it may. */
  why: string;
}

/** How the receiver stands now (ms): itself, its organization, its roles, and what it is registered for. */
export async function receiverStanding(q: Queries, agentId: string, now: number): Promise<ReceiverStanding> {
  const agent = await findAgent(q, agentId);
  if (!agent || agent.status === 'retired') return { state: 'gone', why: 'its receiver was retired' };
  const stopped = (why: string): ReceiverStanding => ({ state: 'stopped', why });
  if (agent.orgStatus !== 'active') return stopped('the organization of its receiver is suspended');
  if (agent.status !== 'active') return stopped('its receiver is suspended');
  if (agent.expiresAt !== undefined && agent.expiresAt <= now) return stopped('the time of its receiver is over');
  const api = await findSystemResource(q, 'service');
  const registered = agent.resources.some(({ resource }) => resource === api?.id);
  if (!api || !registered) return stopped('its receiver is not registered for this API any more');
  const held = (await rolesOf(q, agentId)).flatMap(({ permissions }) => permissions);
  const given = held.some(
    ({ resource, scopes }) => resource === api.id && receiverScopes.some((scope) => scopes.includes(scope)),
  );
  return given ? { state: 'may', why: '' } : stopped('no role of its receiver gives ssf.read any more');
}
