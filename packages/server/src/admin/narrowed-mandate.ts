/** What an administrator leaves of a mandate. */
import type { DetailsType } from '@bailiwick/protocol';
import { z } from 'zod';
import type { Agent } from '../agents/agent.ts';
import { findAgent } from '../agents/store.ts';
import { knownPassing, knownTask } from '../decide/named-in-mandates.ts';
import { namedResources } from '../decide/named-resources.ts';
import { rfc3339 } from '../lib/clock.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { mustBeNarrower, narrowedLimits } from '../mandates/narrow.ts';
import { showPower } from '../mandates/shown.ts';
import { limitsOf, mandateEnd, narrowable } from '../mandates/wanted.ts';
import { findResource } from '../resources/store.ts';
import { fitting } from '../web/invalid.ts';
import { contextOf, identifierOf } from './mandate.ts';
import type { WriteCall } from './route.ts';
import { patchedBy } from './shapes.ts';

/**
 * What a patch leaves of a mandate. What it doesn't name isn't looked up again.
 * @throws Problem 422 naming the field, 400 for what is malformed
 */
export async function narrowedMandate(
  call: WriteCall,
  before: Mandate,
  patch: Readonly<Record<string, unknown>>,
): Promise<Mandate> {
  const { q, now } = call;
  const written = { ...(await showPower(before, identifierOf(call))), expires_at: rfc3339(before.endsAt) };
  const wanted = patchedBy(z.strictObject(narrowable), written, patch);
  const types = new Map<string, DetailsType[]>();
  for (const { resource: id } of before.resources) types.set(id, (await findResource(q, id))?.detailsTypes ?? []);
  return fitting(async () => {
    const agent = (await findAgent(q, before.agent)) as Agent;
    const resources =
      'resources' in patch ? await namedResources(q, agent, wanted.resources, 'bounds') : before.resources;
    const after: Mandate = {
      ...before,
      resources,
      context: contextOf(wanted.context),
      task: wanted.task && 'task' in patch ? await knownTask(call, before.org, wanted.task) : wanted.task,
      limits: limitsOf(narrowedLimits(before.limits, wanted.limits), resources),
      passing: 'passing' in patch ? await knownPassing(call, before.org, wanted.passing) : before.passing,
      endsAt: 'expires_at' in patch ? mandateEnd(wanted, now) : before.endsAt,
    };
    mustBeNarrower(after, before, (resource) => types.get(resource) ?? []);
    return after;
  });
}
