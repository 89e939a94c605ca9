/**
 * How far a caller reaches. Two rules, each in one place: an administrator sees and touches one organization (unless
 * the token says `organizations:any`), and nobody gives what they do not hold.
 */
import type { Agent } from '../agents/agent.ts';
import { findAgent } from '../agents/store.ts';
import { findOrganization, findPerson, findTeam } from '../people/store.ts';
import { adminScopesOf } from '../resources/power.ts';
import type { Resource } from '../resources/resource.ts';
import type { Role } from '../resources/role.ts';
import { findRole } from '../resources/role-store.ts';
import { findResource, findResourceByIdentifier } from '../resources/store.ts';
import { keepingLastOperator, LastOperatorError } from '../revocations/last-operator.ts';
import type { Queries } from '../store/database.ts';
import { type Caller, insufficientScope } from '../web/caller.ts';
import { conflict, invalid, notFound, Problem, printable } from '../web/problem.ts';
import type { Call } from './route.ts';
import { adminResource, guardScope } from './scopes.ts';

export const reachesAny = (caller: Caller): boolean => caller.scopes.includes('organizations:any');

/** Whether the caller may know of what belongs to this organization. */
export const reaches = (caller: Caller, org: string): boolean => caller.org === org || reachesAny(caller);

/**
 * The organization that a list or creation is about.
 * @throws Problem 404 naming `organization`, the same for one that isn't there and one that is not the caller's
 */
export async function selectedOrganization(
  q: Queries,
  caller: Caller,
  wanted: string | undefined,
): Promise<Call['org']> {
  const found = await findOrganization(q, wanted ?? caller.org);
  if (found && reaches(caller, found.id)) {
    const { id, name, timeZone } = found;
    return { id, name, timeZone };
  }
  throw new Problem('not-found', `there is no organization ${printable(wanted ?? caller.org)} here`, {
    errors: [{ field: 'organization', message: 'must be the id or name of an organization within your reach' }],
  });
}

/** Whether, or which of those built in, something is. */
type BuiltIn = boolean | string | undefined;

/** What was found, if the caller may know of it. @throws Problem 404, the same for what is not there and what is elsewhere */
export function within<Thing extends { org: string; system?: BuiltIn }>(
  call: Call,
  noun: string,
  id: string,
  thing: Thing | undefined,
): Thing {
  const asked = call.orgNamed ? call.org.id : undefined;
  if (thing?.system) return thing;
  if (thing && reaches(call.caller, thing.org) && (asked === undefined || asked === thing.org)) return thing;
  throw notFound(noun, id);
}

/** Refuses to change what is built in. @throws Problem 409 */
export function notBuiltIn<Thing extends { system: BuiltIn }>(noun: string, thing: Thing): Thing {
  if (thing.system) throw conflict(noun, 'is built in and can not be changed');
  return thing;
}

// references from one thing to another: always within one organization, or to what is built in

/** @throws Problem 422 naming `owner` */
export async function knownOwner(call: Call, org: string, owner: string): Promise<string> {
  const found = owner.startsWith('per_') ? await findPerson(call.q, owner) : await findTeam(call.q, owner);
  if (found?.org === org && found.status === 'active') return owner;
  throw invalid('owner', 'must be the id of a person or team of the same organization');
}

/** By id or identifier. @throws Problem 422 naming the field */
export async function knownResource(call: Call, org: string, reference: string, field: string): Promise<Resource> {
  const found = reference.startsWith('res_')
    ? await findResource(call.q, reference)
    : await findResourceByIdentifier(call.q, reference);
  if (found && found.status !== 'retired' && (found.system || found.org === org)) return found;
  throw invalid(field, 'must be the id or identifier of a resource of the same organization');
}

/** For a filter: the id of what is named by id or identifier; something that matches nothing if there is no such thing. */
export async function selectedReference(call: Call, reference: string | undefined): Promise<string | undefined> {
  if (reference === undefined || reference.startsWith('res_')) return reference;
  const found = await findResourceByIdentifier(call.q, reference);
  return found && (found.system || found.org === call.org.id) ? found.id : 'none';
}

/** By id. @throws Problem 404, since it stands in the path */
export async function knownRole(call: Call, org: string, id: string): Promise<Role> {
  const found = await findRole(call.q, id);
  if (found && found.status === 'active' && (found.system || found.org === org)) return found;
  throw notFound('role', id);
}

export { adminScopesIn, adminScopesOf, adminScopesOfRole } from '../resources/power.ts';

// nobody gives what they do not hold

/**
 * Refuses unless the caller's own token has every one of these scopes of the admin API.
 * @param what completes "… would give"
 * @throws Problem 403 `insufficient_scope` naming what is missing
 */
export function mustHold(call: Call, scopes: readonly string[], what: string): void {
  const missing = scopes.filter((scope) => scope !== guardScope && !call.caller.scopes.includes(scope));
  if (missing.length === 0) return;
  throw insufficientScope(
    adminResource(call.deps.config),
    missing,
    `${what} would give ${missing.join(' ')}, which your own token does not have`,
  );
}

/**
 * The agent of a credential, a role grant or a change: within reach, not retired, and no mightier than the caller.
 * Otherwise a narrow administrator could add a key to a mighty agent, or change it, and be it.
 * @param field where the id stood, if it stood in the body: then it is a 422 and not a 404
 * @throws Problem 404, 409 or 403
 */
export async function governedAgent(call: Call, id: string, field?: string): Promise<Agent> {
  const found = await findAgent(call.q, id);
  if (field !== undefined && !(found && reaches(call.caller, found.org))) {
    throw invalid(field, 'must be the id of an agent of the same organization');
  }
  const agent = within(call, 'agent', id, found);
  notRetired('agent', agent);
  mustHold(call, await adminScopesOf(call.q, agent.id), `power over ${agent.name}`);
  return agent;
}

/** @throws Problem 409 */
export function notRetired(noun: string, thing: { status: string }): void {
  if (thing.status === 'retired') throw conflict(noun, 'has ended for good');
}

/**
 * Makes a change, and refuses it if nobody could administer the server for good any more.
 * @param agent whom it concerns; `undefined` when it concerns more than one
 * @throws Problem 409
 */
export async function keepingAnOperator<Result>(
  call: Call,
  agent: string | undefined,
  change: () => Promise<Result>,
): Promise<Result> {
  try {
    return await keepingLastOperator(call.q, agent, change);
  } catch (error) {
    throw error instanceof LastOperatorError ? lastOperator(error) : error;
  }
}

export const lastOperator = ({ message }: LastOperatorError): Problem =>
  new Problem('conflict', message, { errors: [{ field: 'agent', message: 'is the last operator' }] });
