/** An agent passes a part of its mandate on: known, allowed, looked up, then one transaction. */
import type { ComparedType, PowerLimits } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { findAgent } from '../agents/store.ts';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { activeAgent, knownPassing, knownTask, runningInstance } from '../decide/named-in-mandates.ts';
import { namedResources } from '../decide/named-resources.ts';
import type { Deps } from '../deps.ts';
import { readContext } from '../lib/context-fields.ts';
import { newId } from '../lib/ids.ts';
import { Unfit } from '../lib/unfit.ts';
import { endedSince } from '../liveness/liveness.ts';
import { type Holder, isHeldBy } from '../mandates/holder.ts';
import { leftOf, openLedger } from '../mandates/ledger.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { type Bound, boundsOf, mayComeTo, partOf, type Receiver } from '../mandates/pass-on.ts';
import { mandateRestsOn, mandateStanding, registerMandate } from '../mandates/standing.ts';
import { countPassedOn, insertMandate, mandateWithAncestors } from '../mandates/store.ts';
import { toldMandate } from '../mandates/told.ts';
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
    const { agent, ...to } = await receiver(at, caller.org, wanted);
    mayComeTo(line, { agent: agent.id, ...to });
    if (to.instance && to.instance.id === holder.instance?.id) throw new Unfit('instance', 'is the one that asks');
    const left = new Map<string, PowerLimits>();
    for (const each of line) left.set(each.id, await leftOf(db, each));
    const bounds = [
      ...boundsOf(line, ({ id }) => left.get(id) as PowerLimits),
      ...boundOfInstance(holder.instance, line),
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
      await detailsTypes(db, line),
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

/** Whoever was given less than its agent may passes on no more than that: scopes, as it was given them. */
function boundOfInstance(instance: Instance | undefined, [held]: readonly Mandate[]): Bound[] {
  if (instance?.allowed === undefined || held === undefined) return [];
  const resources = instance.allowed.map(({ resource, scope }) => ({ resource, scope, details: [] }));
  return [{ by: `instance ${instance.id}`, power: { ...held, resources } }];
}

async function detailsTypes(
  q: Queries,
  line: readonly Mandate[],
): Promise<(resource: string) => readonly ComparedType[]> {
  const types = new Map<string, readonly ComparedType[]>();
  for (const { resource } of line.flatMap(({ resources }) => resources)) {
    if (!types.has(resource)) types.set(resource, (await findResource(q, resource))?.detailsTypes ?? []);
  }
  return (resource) => types.get(resource) ?? [];
}
