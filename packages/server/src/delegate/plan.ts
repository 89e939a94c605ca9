/** A part of a mandate as it would be: known, allowed, looked up, and not written yet. */
import { type AuthorizationDetail, operationType, type PowerLimits } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { findAgent } from '../agents/store.ts';
import { activeAgent, knownPassing, knownTask, runningInstance } from '../decide/named-in-mandates.ts';
import { namedResources } from '../decide/named-resources.ts';
import { boundPlace } from '../decide/place.ts';
import type { Deps } from '../deps.ts';
import { readContext } from '../lib/context-fields.ts';
import { newId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { Unfit } from '../lib/unfit.ts';
import { type Holder, isHeldBy } from '../mandates/holder.ts';
import { leftOf } from '../mandates/ledger.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { type Bound, boundsOf, mayComeTo, partOf, type Receiver } from '../mandates/pass-on.ts';
import type { MandateRequest } from '../mandates/request.ts';
import { mandateRestsOn, mandateStanding } from '../mandates/standing.ts';
import { mandateWithAncestors } from '../mandates/store.ts';
import type { Resource } from '../resources/resource.ts';
import { findResource } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';
import type { Caller } from '../web/caller.ts';
import { fitting } from '../web/invalid.ts';
import type { PassOnBody } from './body.ts';
import { holderOf } from './held.ts';

/** A mandate that isn't written yet, and ids of what it rests on. */
export interface PlannedPart {
  mandate: Mandate;
  restsOn: readonly string[];
}

/**
 * The mandate as it would be.
 * @param asked the request that it would be granted to: what comes of that is within it
 * @throws Problem 422 naming the field that can't be accepted as things stand
 */
export async function plannedPart(
  deps: Deps,
  caller: Caller,
  wanted: PassOnBody,
  asked?: MandateRequest,
): Promise<PlannedPart> {
  const { db } = deps;
  const at = { q: db, now: deps.clock.now() };
  return fitting(async () => {
    const holder = await holderOf(db, caller);
    const line = await heldLine(at, holder, wanted.parent);
    const resources = await resourcesOf(db, line);
    mustBeAbout(resources, line, wanted);
    const { agent, ...to } = await receiver(at, caller.org, wanted);
    mayComeTo(line, { agent: agent.id, ...to });
    if (to.instance && to.instance.id === holder.instance?.id) throw new Unfit('instance', 'is the one that asks');
    const left = new Map<string, PowerLimits>();
    for (const each of line) left.set(each.id, await leftOf(db, each));
    const bounds = [
      ...boundsOf(line, ({ id }) => left.get(id) as PowerLimits),
      ...(await boundsOfPasser(deps, holder, line)),
      ...(asked ? [boundOf(asked, resources, at.now)] : []),
    ];
    const part = partOf(
      bounds,
      {
        resources: wanted.resources && (await namedResources(db, agent, wanted.resources, 'bounds')),
        context: wanted.context && readContext(wanted.context),
        task: await knownTask(at, caller.org, wanted.task),
        limits: wanted.limits,
        passing: wanted.passing && (await knownPassing(at, caller.org, wanted.passing)),
        endsAt: wanted.expires_in === undefined ? undefined : at.now + wanted.expires_in * 1000,
      },
      (resource) => resources.get(resource)?.detailsTypes ?? [],
    );
    const [parent] = line as [Mandate, ...Mandate[]];
    const mandate: Mandate = {
      id: newId(deps, 'mandate'),
      org: parent.org,
      person: parent.person,
      agent: agent.id,
      instance: to.instance?.id,
      parent: parent.id,
      ancestors: [parent.id, ...parent.ancestors],
      ...part,
      given: { way: 'passed_on', by: caller.agent, ...(holder.instance && { instance: holder.instance.id }) },
      createdAt: at.now,
      endsAt: part.endsAt,
      endedAt: undefined,
    };
    return { mandate, restsOn: (await mandateRestsOn(db, [mandate, ...line])).restsOn };
  });
}

/**
 * The mandate that is passed on, with those above it.
 * @throws Unfit: the same for what isn't there and what is others'
 */
async function heldLine(at: { q: Queries; now: number }, holder: Holder, id: string): Promise<Mandate[]> {
  const line = await mandateWithAncestors(at.q, id);
  const [parent] = line ?? [];
  if (!line || !parent || !isHeldBy(parent, holder)) {
    throw new Unfit('parent', 'must be the id of a mandate that this agent holds');
  }
  const { stoppedBy } = await mandateStanding(at.q, line, at.now);
  if (stoppedBy !== undefined) throw new Unfit('parent', `may not be used: ${stoppedBy} is stopped or over`);
  return line;
}

/** @throws Unfit */
async function receiver(
  at: { q: Queries; now: number },
  org: string,
  { agent, instance: id }: PassOnBody,
): Promise<{ agent: Agent; instance?: Receiver['instance'] }> {
  if ((agent === undefined) === (id === undefined)) {
    throw new Unfit('agent', 'or instance must say to whom it is passed on: one of them');
  }
  if (agent !== undefined) return { agent: await activeAgent(at, org, agent) };
  const instance = await runningInstance(at, org, id as string);
  return { agent: (await findAgent(at.q, instance.agent)) as Agent, instance };
}

/**
 * What whoever passes it on is bound by itself: where its agent may act and, of an instance, where it is bound to. One that was given less
 * than its agent may passes on no more than that: scopes, as it was given them.
 * @throws Unfit where that isn't known
 */
async function boundsOfPasser(
  deps: Deps,
  { agent: id, instance }: Holder & { instance: Instance | undefined },
  [held]: readonly Mandate[],
): Promise<Bound[]> {
  const agent = await findAgent(deps.db, id);
  if (!agent || !held) return [];
  const bounds = [{ by: 'the registration of this agent', power: { ...held, context: agent.context ?? held.context } }];
  if (!instance) return bounds;
  const resources = instance.allowed?.map((each) => ({ ...each, details: [] })) ?? held.resources;
  const context = placeOf(deps, agent, instance) ?? held.context;
  return [...bounds, { by: `instance ${instance.id}`, power: { ...held, resources, context } }];
}

function placeOf(deps: Deps, agent: Agent, instance: Instance) {
  try {
    return boundPlace(deps, agent, instance);
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error;
    throw new Unfit('parent', `can not be passed on: ${error.message}`);
  }
}

/**
 * What the mandate isn't about is refused before anything else is looked at: nobody learns here which APIs there are, and who was given them.
 * @throws Unfit
 */
function mustBeAbout(
  known: ReadonlyMap<string, Resource>,
  [held]: readonly Mandate[],
  { parent, resources: wanted = [] }: PassOnBody,
): void {
  const names = new Set((held?.resources ?? []).flatMap(({ resource: id }) => [id, known.get(id)?.identifier]));
  const other = wanted.findIndex(({ resource }) => !names.has(resource));
  if (other >= 0) throw new Unfit(`resources[${other}].resource`, `must be among those that mandate ${parent} is for`);
}

/** What each mandate of a line is for, by its id. */
async function resourcesOf(q: Queries, line: readonly Mandate[]): Promise<ReadonlyMap<string, Resource>> {
  const found = new Map<string, Resource>();
  for (const { resource: id } of line.flatMap(({ resources }) => resources)) {
    const resource = found.has(id) ? undefined : await findResource(q, id);
    if (resource) found.set(id, resource);
  }
  return found;
}

/** What is asked for, as a bound: of what isn't said, all that there is, but nothing that may be passed on again. */
function boundOf({ id, wanted }: MandateRequest, known: ReadonlyMap<string, Resource>, now: number): Bound {
  const { resources = [], context, task, limits = {}, passing = { depth: 0 }, expires_in } = wanted;
  const { depth, to } = passing;
  return {
    by: `request ${id}`,
    power: {
      resources: [...known.values()].flatMap((resource) => {
        const named = resources.find((each) => each.resource === resource.id || each.resource === resource.identifier);
        if (!named) return [];
        const { scope, operations, authorization_details: details = [] } = named;
        // what of these is unknown is within nothing that anybody holds
        const actions = operations === undefined ? [] : [{ type: operationType, actions: operations }];
        const bounds = [...(details as AuthorizationDetail[]), ...actions];
        return [{ resource: resource.id, scope: scope?.split(' ') ?? [], details: bounds }];
      }),
      context: context && readContext(context),
      task,
      limits,
      passing: { depth, ...(to && { to }) },
      endsAt: expires_in === undefined ? Number.POSITIVE_INFINITY : now + expires_in * 1000,
    },
  };
}
