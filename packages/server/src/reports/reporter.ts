/** Who reports, and what about: a guard about its own resource, an agent about its own tasks. */
import { findAgent } from '../agents/store.ts';
import type { Deps } from '../deps.ts';
import { rememberedPer } from '../lib/remember.ts';
import type { Guard, Resource } from '../resources/resource.ts';
import { findGuardOfAgent, findResource } from '../resources/store.ts';
import { type Caller, insufficientScope } from '../web/caller.ts';
import { serviceResource } from '../web/service.ts';

export interface Reporter {
  caller: Caller;
  /** What it guards, if it is an active guard that may report. */
  guards: { guard: Guard; resource: Resource } | undefined;
  /** Whether it may report about its own tasks. */
  ownTasks: boolean;
}

const guarded = rememberedPer<{ guard: Guard; resource: Resource }>(10_000);
const owners = rememberedPer<string>(100_000);

/** @throws Problem 403 for a token that lets nothing be reported */
export async function reporterOf(deps: Deps, caller: Caller): Promise<Reporter> {
  const ownTasks = caller.scopes.includes('tasks:report');
  const asGuard = caller.scopes.includes('events:report');
  const resource = serviceResource(deps.config);
  if (!asGuard && !ownTasks) {
    const detail = 'this needs events:report (of a guard) or tasks:report, which the token does not have';
    throw insufficientScope(resource, ['events:report', 'tasks:report'], detail);
  }
  const guards = asGuard ? await guardedBy(deps, caller) : undefined;
  if (!guards && !ownTasks) {
    throw insufficientScope(resource, ['events:report'], 'only an active guard reports, about its own resource');
  }
  return { caller, guards, ownTasks };
}

const guardedBy = (deps: Deps, { agent, asOf }: Caller) =>
  guarded(deps.db).get(asOf.version, agent, async () => {
    const guard = await findGuardOfAgent(deps.db, agent);
    const resource = guard?.status === 'active' ? await findResource(deps.db, guard.resource) : undefined;
    return guard && resource && { guard, resource };
  });

/** Who answers for an agent: under whose key its events are sealed. */
export async function ownerOfAgent(deps: Deps, { asOf }: Caller, id: string): Promise<string> {
  const owner = await owners(deps.db).get(asOf.version, id, async () => (await findAgent(deps.db, id))?.owner);
  if (owner === undefined) throw new Error(`an event of ours names the agent ${id}, which was never registered`);
  return owner;
}
