/** Who asks, and about what they may: a guard about its own resource, others about their whole organization. */
import type { Agent } from '../agents/agent.ts';
import { agentById } from '../decide/registered.ts';
import type { Deps } from '../deps.ts';
import type { Resource } from '../resources/resource.ts';
import type { Caller } from '../web/caller.ts';
import { Problem } from '../web/problem.ts';
import { mustHaveScope } from '../web/service.ts';
import { guardOf, resourceById } from './registered.ts';

/** The policy enforcement point, in AuthZEN's words. */
export interface Asking {
  caller: Caller;
  agent: Agent;
  /** A guard asks about agents at this resource, and about nothing else. */
  only: Resource | undefined;
}

/**
 * An agent that was given `access:evaluate` by a role asks about anything of its organization; being registered as a guard
 * gives it too, but then for one resource.
 * @throws Problem 403 for a token without the scope, and for a guard that has ended
 */
export async function askingSide(deps: Deps, caller: Caller): Promise<Asking> {
  mustHaveScope(deps, caller, 'access:evaluate');
  const { version } = caller.asOf;
  const agent = await agentById(deps, version, caller.agent);
  if (!agent) throw new Error(`a token of ours names the agent ${caller.agent}, which was never registered`);
  const guard = await guardOf(deps, version, agent.id);
  if (!guard) return { caller, agent, only: undefined };
  const only = guard.status === 'active' ? await resourceById(deps, version, guard.resource) : undefined;
  if (!only) throw new Problem('insufficient-scope', 'this guard has ended: it has nothing to ask about');
  return { caller, agent, only };
}
