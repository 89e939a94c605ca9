/** A mandate as administrators give and see it. */
import { ProtocolError } from '@bailiwick/protocol';
import { findAgent } from '../agents/store.ts';
import { activeAgent, knownPassing, knownTask, runningInstance } from '../decide/named-in-mandates.ts';
import { namedResources } from '../decide/named-resources.ts';
import { givenByRoles } from '../decide/roles.ts';
import { readContext } from '../lib/context-fields.ts';
import { newId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { Unfit } from '../lib/unfit.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { type ShownMandate, showMandates } from '../mandates/shown.ts';
import { findMandate } from '../mandates/store.ts';
import { limitsOf, type MandateBody, mandateEnd } from '../mandates/wanted.ts';
import { findPerson } from '../people/store.ts';
import { rolesOf } from '../resources/role-store.ts';
import { findResource } from '../resources/store.ts';
import { fitting } from '../web/invalid.ts';
import { within } from './reach.ts';
import type { Call, WriteCall } from './route.ts';

export const identifierOf = (call: Call) => async (resource: string) =>
  (await findResource(call.q, resource))?.identifier ?? resource;

export const foundMandate = async (call: Call, id: string): Promise<Mandate> =>
  within(call, 'mandate', id, await findMandate(call.q, id));

/** Whose agents' mandates the caller may see, if that is all; undefined for who may see all. */
export async function ownerLimit(call: Call): Promise<string | undefined> {
  if (call.caller.scopes.includes('mandates:read')) return undefined;
  return (await findAgent(call.q, call.caller.agent))?.owner ?? 'nobody';
}

/** Mandates as they stand now. */
export const showAll = (call: Call, mandates: readonly Mandate[]): Promise<ShownMandate[]> =>
  showMandates(call.q, mandates, { now: call.now, identifierOf: identifierOf(call) });

export async function showOne(call: Call, mandate: Mandate): Promise<ShownMandate> {
  return (await showAll(call, [mandate]))[0] as ShownMandate;
}

/**
 * What an administrator writes, as a mandate: all that it names is there.
 * @throws Problem 422 naming the field
 */
export async function writtenMandate(call: WriteCall, body: MandateBody): Promise<Mandate> {
  return fitting(async () => {
    const { deps, q, org, caller, now } = call;
    const person = await findPerson(q, body.person);
    if (person?.org !== org.id || person.status !== 'active') {
      throw new Unfit('person', 'must be the id of a person of the same organization');
    }
    const agent = await activeAgent(call, org.id, body.agent);
    if (body.instance !== undefined) await runningInstance(call, org.id, body.instance, agent);
    const resources = await namedResources(q, agent, body.resources, 'bounds');
    const { way, text, language } = body.given;
    return {
      id: newId(deps, 'mandate'),
      org: org.id,
      person: person.id,
      agent: agent.id,
      instance: body.instance,
      parent: undefined,
      ancestors: [],
      name: body.name,
      resources,
      context: contextOf(body.context),
      task: await knownTask(call, org.id, body.task),
      limits: limitsOf(body.limits, resources),
      passing: await knownPassing(call, org.id, body.passing),
      given: {
        way,
        by: caller.agent,
        ...(text !== undefined && { text }),
        ...(language !== undefined && { language }),
      },
      createdAt: now,
      endsAt: mandateEnd(body, now),
      endedAt: undefined,
    };
  });
}

/** What isn't limited at all isn't written. */
export function contextOf(written: MandateBody['context']): Mandate['context'] {
  const context = readContext(written);
  return Object.keys(context).length === 0 ? undefined : context;
}

/** What no role of the agent gives now: it may be in the mandate, and in no token. */
export async function hintsFor({ q }: Call, { agent, resources }: Mandate): Promise<string[]> {
  const held = await rolesOf(q, agent);
  const hints: string[] = [];
  for (const { resource: id, scope, details } of resources) {
    const resource = await findResource(q, id);
    if (!resource) continue;
    const asked = [
      ...scope.map((one) => ({ what: one, scope: [one], details: [] })),
      ...details.map((one) => ({ what: `all of ${JSON.stringify(one)}`, scope: [], details: [one] })),
    ];
    for (const { what, ...each } of asked) {
      if (isGiven({ resource, ...each }, held)) continue;
      hints.push(`no role of the agent gives ${what} on ${resource.identifier}: roles bound every token`);
    }
  }
  return hints;
}

function isGiven(...[asked, held]: Parameters<typeof givenByRoles>): boolean {
  try {
    givenByRoles(asked, held);
    return true;
  } catch (error) {
    if (error instanceof OAuthError || error instanceof ProtocolError) return false;
    throw error;
  }
}
