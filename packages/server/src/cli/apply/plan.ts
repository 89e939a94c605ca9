/** What has to change so that the server is as the fleet file says. Pure: what is there in, changes out. */
import { canonicalJson, type Operation } from '@bailiwick/protocol';
import { operationLine } from '../operation.ts';
import type { Resource } from '../registry.ts';
import { type Change, change, type FieldChange, find, type Noun, type Present, type WantedOfAgent } from './changes.ts';
import type { Fleet, FleetResource } from './fleet.ts';
import { issuerChanges, issuersToEnd } from './issuers.ts';
import { mandateChanges, mandatesToEnd } from './mandates.ts';
import { agentChanges } from './plan-agent.ts';
import { heirsLast, roleNow, roleValues } from './plan-role.ts';
import { policiesToEnd, policyChanges, type WantedPolicy } from './policies.ts';
import { trustDomainChanges, type WantedBundle } from './trust-domains.ts';

/**
 * The changes in the order in which they can be made: what others refer to comes first, ends come last.
 * What the file says of a thing is the whole of it, list by list; what it doesn't mention stays.
 * @param credentials the keys and other credentials of each agent that names some
 * @param bundles those that the file names for trust domains
 * @param policies those that the file names, with their texts
 * @throws CliError (conflict) for what can't become what the file says
 */
export function plan(
  fleet: Fleet,
  present: Present,
  credentials: ReadonlyMap<string, WantedOfAgent>,
  bundles: ReadonlyMap<string, WantedBundle>,
  policies: ReadonlyMap<string, WantedPolicy>,
  { prune }: { prune: boolean },
): Change[] {
  const nameOf = namesOf(present);
  const ownerName = ownerNames(fleet, present);
  const resourceName = resourceNames(fleet, present);
  return [
    ...trustDomainChanges(fleet, present, bundles),
    ...Object.entries(fleet.people).flatMap(([name, wanted]) =>
      change(
        'person',
        name,
        find(present.people, name),
        { email: wanted.email, identities: wanted.identities?.map(identityLine).toSorted() },
        ({ email, identities = [] }) => ({ email, identities: identities.map(identityLine).toSorted() }),
      ),
    ),
    ...Object.entries(fleet.teams).flatMap(([name, wanted]) =>
      change('team', name, find(present.teams, name), { ...wanted, members: wanted.members?.toSorted() }, (team) => ({
        display_name: team.display_name,
        members: team.members.map(nameOf).toSorted(),
      })),
    ),
    ...Object.entries(fleet.resources).flatMap(([name, wanted]) =>
      change('resource', name, presentResource(present, name, wanted), resourceValues(name, wanted), resourceNow),
    ),
    ...heirsLast(fleet.roles).flatMap(([name, wanted]) =>
      change('role', name, find(present.roles, name), roleValues(wanted, resourceName), (role) =>
        roleNow(role, nameOf),
      ),
    ),
    ...policyChanges(present.policies, policies), // before there are agents for whom they are meant
    ...Object.entries(fleet.agents).flatMap(([name, wanted]) =>
      agentChanges(
        name,
        wanted,
        { fleet, present, names: { nameOf, ownerName, resourceName } },
        credentials.get(name) ?? {},
      ),
    ),
    ...Object.entries(fleet.resources).flatMap(([name, wanted]) =>
      referringChanges(name, wanted, presentResource(present, name, wanted), { nameOf, resourceName }),
    ),
    ...issuerChanges(fleet, present, { nameOf, resourceName }),
    ...mandateChanges(fleet, present, { nameOf, resourceName }),
    ...(prune
      ? [
          ...mandatesToEnd(fleet, present).map(ended('mandate')),
          ...issuersToEnd(fleet, present).map(ended('trusted_issuer')),
          ...ends(fleet, present),
          ...policiesToEnd(present.policies, policies).map(ended('policy')),
        ]
      : []),
  ];
}

const identityLine = ({ issuer, subject }: { issuer: string; subject: string }) => `${subject} at ${issuer}`;

/** The resource that the file means: by its identifier, else by its name. */
export function presentResource(
  { resources }: Pick<Present, 'resources'>,
  name: string,
  { identifier }: Pick<FleetResource, 'identifier'>,
): Resource | undefined {
  return resources.find((one) => one.identifier === identifier) ?? find(resources, name);
}

/** Ids to the names by which a fleet file speaks of them. */
function namesOf({ people, teams, resources, roles, agents }: Present): (id: string) => string {
  const names = new Map<string, string>();
  for (const { id, name } of [...people, ...teams, ...resources, ...roles, ...agents]) names.set(id, name);
  return (id) => names.get(id) ?? id;
}

/** `support`, `team:support` or an id to the one form `team:support`, so that equal owners compare equal. */
function ownerNames(fleet: Fleet, present: Present): (text: string) => string {
  const teams = new Set([...Object.keys(fleet.teams), ...present.teams.map(({ name }) => name)]);
  return (text) => {
    if (/^(team|person):/.test(text)) return text;
    const team = present.teams.find(({ id }) => id === text);
    const person = present.people.find(({ id }) => id === text);
    if (team !== undefined) return `team:${team.name}`;
    if (person !== undefined) return `person:${person.name}`;
    return `${teams.has(text) ? 'team' : 'person'}:${text}`;
  };
}

/** Resources may be named by identifier, too: the plan speaks of them by name. */
function resourceNames(fleet: Fleet, present: Present): (reference: string) => string {
  const names = new Map<string, string>();
  for (const { identifier, id, name } of present.resources) names.set(identifier, name).set(id, name);
  for (const [name, { identifier }] of Object.entries(fleet.resources)) names.set(identifier, name);
  return (reference) => names.get(reference) ?? reference;
}

/** A resource as the file describes it. Scopes that operations need are there even if they have no words of their own. */
export function resourceValues(name: string, wanted: FleetResource): Record<string, unknown> {
  const described = wanted.scopes ?? {};
  const needed = (wanted.operations ?? []).flatMap((operation) => operation.scope);
  const scopes = Object.fromEntries([
    ...Object.entries(described),
    ...needed.filter((scope) => !(scope in described)).map((scope) => [scope, ''] as const),
  ]);
  return {
    name,
    identifier: wanted.identifier,
    scopes: wanted.scopes === undefined && wanted.operations === undefined ? undefined : scopes,
    operations: wanted.operations?.map(fullLine).toSorted(),
    details_types:
      wanted.details_types &&
      Object.fromEntries(Object.entries(wanted.details_types).map(([type, said]) => [type, typeLine(said)])),
    token: wanted.token && withDefaults(ownToken(wanted.token)),
    feed: wanted.feed && { ...defaultFeed, ...wanted.feed },
  };
}

function resourceNow(resource: Resource): Record<string, unknown> {
  return {
    name: resource.name,
    identifier: resource.identifier,
    scopes: Object.fromEntries(resource.scopes.map(({ name, description }) => [name, description])),
    operations: resource.operations.map(fullLine).toSorted(),
    details_types: Object.fromEntries(resource.details_types.map(({ type, ...said }) => [type, typeLine(said)])),
    token: withDefaults(ownToken(resource.token)),
    feed: { ...defaultFeed, ...resource.feed },
  };
}

/** Who answers there, and where its transactions may come to, as a change of its own: after there are the agents and all resources. */
function referringChanges(
  name: string,
  wanted: FleetResource,
  known: Resource | undefined,
  { nameOf, resourceName }: { nameOf: (id: string) => string; resourceName: (reference: string) => string },
): Change[] {
  const inside = wanted.token && (wanted.token.transactions ?? []);
  const fields = [
    listChange('served_by', known?.served_by.map(nameOf), wanted.served_by?.map(nameOf)),
    listChange('transactions', known?.token.transactions?.map(resourceName), inside?.map(resourceName)),
  ].flat();
  if (fields.length === 0) return [];
  return [{ action: 'update', noun: 'resource', name, ...(known && { id: known.id }), fields }];
}

function listChange(field: string, there: readonly string[] = [], wanted: readonly string[] = there): FieldChange[] {
  const [before, after] = [there, wanted].map((names) => [...new Set(names)].toSorted());
  return before?.join(' ') === after?.join(' ') ? [] : [{ field, before, after }];
}

/** What its tokens are, without what refers to other resources. */
const ownToken = <Token extends { transactions?: unknown }>({ transactions: _, ...own }: Token) => own;

const defaultFeed = { lease_seconds: 2, when_lost: 'introspect' };

const withDefaults = (token: object) => ({
  alg: 'ES256',
  typ: 'at+jwt',
  dangerously_bearer: false,
  status_list: false,
  ...token,
});

/** A type of details in one line, the same however it was written. */
const typeLine = (said: { description?: string | undefined; schema: object; compare?: object | undefined }) =>
  canonicalJson({ description: '', compare: {}, ...said });

/** The line of an operation, with its name where that isn't the usual one, and what is known of its tool. */
function fullLine(operation: Operation): string {
  const line = operationLine({ ...operation, scope: operation.scope.toSorted() });
  const usual = operation.tool ?? `${operation.method} ${operation.path}`;
  const taking = operation.details === undefined ? line : `${line}  details ${canonicalJson(operation.details)}`;
  const named = operation.name === usual ? taking : `${taking}  (${operation.name})`;
  return operation.definition === undefined ? named : `${named}  definition ${operation.definition}`;
}

/** That it ends, since the file doesn't name it. */
const ended =
  (noun: Noun) =>
  ({ id, name }: { id: string; name: string }): Change => ({
    action: 'end',
    noun,
    name,
    id,
    pruned: true,
    fields: [],
  });

/** What the file doesn't name: agents first, so that nothing is left that refers to an ended thing. */
function ends(fleet: Fleet, present: Present): Change[] {
  const identifiers = new Set(Object.values(fleet.resources).map(({ identifier }) => identifier));
  return [
    ...present.agents
      .filter(({ id, name, status }) => status !== 'retired' && !(name in fleet.agents) && !present.kept.has(id))
      .map(ended('agent')),
    ...present.roles
      .filter(({ name, system, status }) => status !== 'retired' && !system && !(name in fleet.roles))
      .map(ended('role')),
    ...present.resources
      .filter(
        ({ identifier, name, system, status }) =>
          status !== 'retired' && !system && !identifiers.has(identifier) && !(name in fleet.resources),
      )
      .map(ended('resource')),
  ];
}
