/** An agent passes a part of its mandate on: known, allowed, looked up, then one transaction. */
import type { PowerLimits } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { findAgent } from '../agents/store.ts';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { activeAgent, knownPassing, knownTask, runningInstance } from '../decide/named-in-mandates.ts';
import { namedResources } from '../decide/named-resources.ts';
import { boundPlace } from '../decide/place.ts';
import type { Deps } from '../deps.ts';
import { readContext } from '../lib/context-fields.ts';
import { newId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { Unfit } from '../lib/unfit.ts';
import { endedSince } from '../liveness/liveness.ts';
import { type Holder, isHeldBy } from '../mandates/holder.ts';
import { leftOf, openLedger } from '../mandates/ledger.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { type Bound, boundsOf, mayComeTo, partOf, type Receiver } from '../mandates/pass-on.ts';
import { mandateRestsOn, mandateStanding, registerMandate } from '../mandates/standing.ts';
import { countPassedOn, insertMandate, mandateWithAncestors } from '../mandates/store.ts';
import { toldMandate } from '../mandates/told.ts';
import type { Resource } from '../resources/resource.ts';
import { findResource } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import { type Answer, earlierAnswer, idempotentRequest, rememberAnswer } from '../web/idempotency.ts';
import { fitting, parsedBody } from '../web/invalid.ts';
import { ownerOf } from '../web/own-api.ts';
import { conflict, Problem } from '../web/problem.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope, serviceResource } from '../web/service.ts';
import { type PassOnBody, passOnBody } from './body.ts';
import { holderOf, shown } from './held.ts';

/** How many that live may have been passed on from one. */
const passedOnAtMost = 1000;

/**
 * Passes a part on. With an `Idempotency-Key` once, however often it is asked for.
 * @throws Problem; what is refused to a known caller is on record by then
 */
export async function passOn(
  deps: Deps,
  caller: Caller,
  { body, once }: { body: unknown; once: string | string[] | undefined },
): Promise<Answer> {
  return recorded(deps, caller, { type: 'mandate.refused', operation: 'passOnMandate' }, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const wanted = parsedBody(passOnBody, body);
    const request = idempotentRequest(once, caller.claims.instance ?? caller.agent, {
      method: 'POST',
      url: '/mandates',
      body,
    });
    const planned = await plan(deps, caller, wanted).catch(problemOf);
    const person = planned instanceof Problem ? undefined : planned.mandate.person;
    // what is personal of it goes with the person; of a refusal there is nothing to seal here
    const sealing = await sealingFor(deps, caller.asOf.version, person ?? (await ownerOf(deps, caller)));
    // as a task, it moves no version of the registry
    return deps.db.settle(async (tx) => {
      await mayWrite(tx, serviceResource(deps.config), caller);
      const earlier = request && (await earlierAnswer(tx, request, deps.clock.now()));
      if (earlier) return { ...earlier, headers: { ...earlier.headers, 'idempotent-replayed': 'true' } };
      if (planned instanceof Problem) throw planned;
      const { mandate, restsOn } = planned;
      if (await endedSince(tx, restsOn, caller.asOf.rev)) throw conflict('parent', 'was changed meanwhile: ask again');
      if ((await countPassedOn(tx, wanted.parent, mandate.createdAt, passedOnAtMost)) >= passedOnAtMost) {
        throw conflict('parent', `has been passed on ${passedOnAtMost} times already: end some`);
      }
      await insertMandate(tx, mandate);
      await openLedger(tx, mandate);
      await registerMandate(tx, mandate);
      const { changed, details } = toldMandate(mandate);
      await appendEvent(tx, deps, sealing, {
        type: 'mandate.given',
        outcome: 'allowed',
        org: mandate.org,
        agent: caller.agent,
        instance: caller.claims.instance,
        resource: serviceResource(deps.config),
        target: mandate.id,
        jti: caller.jti,
        trace: caller.trace,
        decided_on: { scope: caller.scopes, changed },
        personal: { person: mandate.person, ...(Object.keys(details).length > 0 && { details }) },
      });
      const answer: Answer = {
        status: 201,
        headers: { location: `${deps.config.issuer}/mandates/${mandate.id}` },
        body: JSON.stringify(await shown(tx, mandate, mandate.createdAt)),
      };
      if (request) await rememberAnswer(tx, request, answer);
      return answer;
    }, `mandates of ${wanted.parent}`);
  });
}

/** A refusal that waits: whoever asks again hears what was answered before, whatever has changed since. */
function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  throw error;
}

/**
 * The mandate as it would be, and ids of what it rests on.
 * @throws Problem 422 naming the field that can't be accepted as things stand
 */
async function plan(
  deps: Deps,
  caller: Caller,
  wanted: PassOnBody,
): Promise<{ mandate: Mandate; restsOn: readonly string[] }> {
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
    ];
    const part = partOf(
      bounds,
      {
        resources: wanted.resources && (await namedResources(db, agent, wanted.resources, 'bounds')),
        context: readContext(wanted.context),
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
