/** The mandates of a fleet file: what people let agents do by decision of an administrator, compared with what is given, and given. */
import { type AuthorizationDetail, canonicalJson, type Excess, excessOf, type Power } from '@bailiwick/protocol';
import { CliError } from '../errors.ts';
import type { Mandate } from '../mandate-words.ts';
import type { Resource } from '../registry.ts';
import { type Change, change, type Present } from './changes.ts';
import type { Fleet } from './fleet.ts';
import type { FleetMandate, FleetPower } from './fleet-acting.ts';

/** How names and ids of others become the one name by which a plan speaks of them. */
export interface MandateNames {
  nameOf(reference: string): string;
  resourceName(reference: string): string;
}

/**
 * What has to change. A mandate is known by its name: what isn't as the file says it is narrowed, and what would be more is a new one.
 * @throws CliError (conflict) for one that would be more than it is, and for one that was ended
 */
export function mandateChanges(fleet: Fleet, present: Present, names: MandateNames): Change[] {
  return Object.entries(fleet.mandates).flatMap(([name, wanted]) => {
    const known = present.mandates.find((one) => one.name === name && Date.parse(one.expires_at) > present.now);
    if (known === undefined && Date.parse(wanted.expires_at) <= present.now) return []; // it had its time
    if (known?.status === 'ended') {
      throw new CliError('conflict', `The mandate ${name} was ended, and no file brings it back.`, {
        hint: 'Take it out of the file; or give it another name, if it is to be given anew.',
      });
    }
    const there = known && { ...known, name };
    const changes = change('mandate', name, there, valuesOf(wanted, names), (one) => valuesNow(one, names));
    if (known !== undefined) mustBeLess(name, wanted, known, present.resources, names);
    return changes;
  });
}

/** Those that a file has given and names no more, where it names some. What people gave elsewhere has no name, and stays. */
export function mandatesToEnd(fleet: Fleet, present: Present): { id: string; name: string }[] {
  if (Object.keys(fleet.mandates).length === 0) return [];
  return present.mandates.flatMap(({ id, name, status }) =>
    name === undefined || name in fleet.mandates || status === 'ended' || status === 'expired' ? [] : [{ id, name }],
  );
}

/** One of the file in the words of the admin API. @param id the id of what the file calls by a name */
export function mandateBody(
  { person, agent, resources, passing, ...rest }: FleetMandate,
  id: IdOf,
): Record<string, unknown> {
  return { ...rest, person: id('person', person), agent: id('agent', agent), ...powerBody({ resources, passing }, id) };
}

export type IdOf = (noun: 'person' | 'agent' | 'resource', name: string) => string;

/** What may be done, and how it may be passed on, in the words of the admin API. */
export function powerBody({ resources, passing }: FleetPower, id: IdOf): Record<string, unknown> {
  return {
    resources: Object.entries(resources).map(([name, { scope, details }]) => ({
      resource: id('resource', name),
      ...(scope.length > 0 && { scope: scope.join(' ') }),
      ...(details.length > 0 && { authorization_details: details }),
    })),
    passing: passing && { ...passing, ...(passing.to && { to: passing.to.map((name) => id('agent', name)) }) },
  };
}

type Amounts = NonNullable<FleetMandate['limits']>['amounts'];

function valuesOf(wanted: FleetMandate, { nameOf, resourceName }: MandateNames): Record<string, unknown> {
  const { person, agent, resources, context, task, limits, passing, expires_at } = wanted;
  return {
    person: nameOf(person),
    agent: nameOf(agent),
    resources: wantedLines(resources, resourceName),
    context,
    task,
    limits: limits && { ...limits, ...(limits.amounts && { amounts: amountLines(limits.amounts) }) },
    passing: passing && passingOf(passing, nameOf),
    expires_at: new Date(expires_at).toISOString(),
  };
}

function valuesNow(mandate: Mandate, { nameOf, resourceName }: MandateNames): Record<string, unknown> {
  const { person, agent, resources, context, task, limits, passing, expires_at } = mandate;
  return {
    person: nameOf(person),
    agent: nameOf(agent),
    resources: presentLines(resources, resourceName),
    context: context ?? {},
    task: task ?? {},
    limits: limits ? { ...limits, ...(limits.amounts && { amounts: amountLines(limits.amounts) }) } : {},
    passing: passingOf(passing, nameOf),
    expires_at: new Date(expires_at).toISOString(),
  };
}

type ResourceName = MandateNames['resourceName'];

/** What may be done on each resource, item by item: as the file says it. */
export const wantedLines = (resources: FleetMandate['resources'], nameOf: ResourceName) =>
  Object.fromEntries(
    Object.entries(resources).map(([name, { scope, details }]) => [nameOf(name), linesOf(scope, details)]),
  );

/** The same, as it is. */
export const presentLines = (resources: Mandate['resources'], nameOf: ResourceName) =>
  Object.fromEntries(
    resources.map(({ resource, scope, authorization_details }) => [
      nameOf(resource),
      linesOf(scope?.split(' ') ?? [], authorization_details ?? []),
    ]),
  );

const linesOf = (scope: readonly string[], details: readonly object[]) => [
  ...scope.toSorted(),
  ...details.map((detail) => canonicalJson(detail)).toSorted(),
];

/** The order in which amounts are counted is the server's. */
const amountLines = (amounts: NonNullable<Amounts>) => amounts.map((amount) => canonicalJson(amount)).toSorted();

export const passingOf = (
  { depth = 0, to }: { depth?: number | undefined; to?: string[] | undefined },
  nameOf: (id: string) => string,
) => ({
  depth,
  ...(to && { to: to.map(nameOf).toSorted() }),
});

/** @throws CliError (conflict) naming what would be more */
function mustBeLess(
  name: string,
  wanted: FleetMandate,
  known: Mandate,
  resources: readonly Resource[],
  names: MandateNames,
): void {
  const { nameOf, resourceName } = names;
  const typesOf = (name: string) =>
    resources.find(({ identifier }) => resourceName(identifier) === name)?.details_types ?? [];
  const before: Power = {
    resources: known.resources.map(({ resource, scope, authorization_details }) => ({
      resource: resourceName(resource),
      scope: scope?.split(' ') ?? [],
      details: (authorization_details ?? []) as AuthorizationDetail[],
    })),
    context: known.context,
    task: known.task,
    limits: known.limits ?? {},
    passing: passingOf(known.passing, nameOf),
    endsAt: Date.parse(known.expires_at),
  };
  const after: Power = {
    resources: Object.entries(wanted.resources).map(([one, { scope, details }]) => ({
      resource: resourceName(one),
      scope,
      details: details as AuthorizationDetail[],
    })),
    context: wanted.context ?? before.context,
    task: wanted.task ?? before.task,
    limits: wanted.limits ?? before.limits,
    passing: wanted.passing ? passingOf(wanted.passing, nameOf) : before.passing,
    endsAt: Date.parse(wanted.expires_at),
  };
  const more = excessOf(after, before, typesOf).map(inWords);
  if (more.length === 0) return;
  throw new CliError('conflict', `The mandate ${name} would be more than it is: ${more.join(', ')}.`, {
    hint: 'A mandate only ever gets less. Give this one another name, which makes it a new one; --prune then ends the old one.',
  });
}

function inWords(excess: Excess): string {
  switch (excess.what) {
    case 'resource':
      return excess.value;
    case 'scope':
      return `${excess.value.join(' ')} on ${excess.resource}`;
    case 'authorization_details':
      return `${excess.value.map((detail) => canonicalJson(detail)).join(' ')} on ${excess.resource}`;
    case 'limits':
      return excess.value === 'uses' ? 'limits.uses' : `the limit of ${excess.value.type}`;
    case 'lifetime':
      return 'expires_at';
    default:
      return `${excess.what}.${excess.value}`;
  }
}
