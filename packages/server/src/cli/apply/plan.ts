/** What has to change so that the server is as the fleet file says. Pure: what is there in, changes out. */
import type { Operation, PublicJwk } from '@bailiwick/protocol';
import { CliError } from '../errors.ts';
import { operationLine } from '../operation.ts';
import type { Agent, Credential, Person, Resource, Role, Team } from '../registry.ts';
import type { Fleet, FleetAgent, FleetResource } from './fleet.ts';

/** What the server has now, of one organization. */
export interface Present {
  people: readonly Person[];
  teams: readonly (Team & { members: readonly string[] })[];
  resources: readonly Resource[];
  roles: readonly Role[];
  agents: readonly Agent[];
  credentials: readonly Credential[];
  /** Agents that --prune leaves alone: the one that asks, and guards. */
  kept: ReadonlySet<string>;
}

/** A public key that the file gives an agent. */
export interface WantedKey {
  /** RFC 7638: the same key, however it is written. */
  thumbprint: string;
  /** As the plan calls it: its file, or its thumbprint. */
  title: string;
  jwk: PublicJwk;
  label: string | undefined;
  expires_at: string | undefined;
}

/** One field of a thing, as it is and as it will be. Lists are compared item by item. */
export interface FieldChange {
  field: string;
  before: unknown;
  after: unknown;
}

export type Noun = 'person' | 'team' | 'resource' | 'role' | 'agent' | 'key' | 'grant';

/** One thing to make, change or end. References in `fields` are names, which the doing turns into ids. */
export interface Change {
  action: 'create' | 'update' | 'end';
  noun: Noun;
  name: string;
  /** Of what is there already. */
  id?: string;
  /** The agent whose key or role it is. */
  agent?: string;
  key?: WantedKey;
  fields: readonly FieldChange[];
}

/**
 * The changes in the order in which they can be made: what others refer to comes first, ends come last.
 * What the file says of a thing is the whole of it, list by list; what it doesn't mention stays.
 * @param keys the keys of each agent that names some
 * @throws CliError (conflict) for what can't become what the file says
 */
export function plan(
  fleet: Fleet,
  present: Present,
  keys: ReadonlyMap<string, readonly WantedKey[]>,
  { prune }: { prune: boolean },
): Change[] {
  const nameOf = namesOf(present);
  const ownerName = ownerNames(fleet, present);
  const resourceName = resourceNames(fleet, present);
  return [
    ...Object.entries(fleet.people).flatMap(([name, wanted]) =>
      change('person', name, find(present.people, name), { email: wanted.email }, ({ email }) => ({ email })),
    ),
    ...Object.entries(fleet.teams).flatMap(([name, wanted]) =>
      change('team', name, find(present.teams, name), { ...wanted, members: wanted.members?.toSorted() }, (team) => ({
        display_name: team.display_name,
        members: team.members.map(nameOf).toSorted(),
      })),
    ),
    ...Object.entries(fleet.resources).flatMap(([name, wanted]) =>
      change(
        'resource',
        name,
        present.resources.find(({ identifier }) => identifier === wanted.identifier) ?? find(present.resources, name),
        resourceValues(name, wanted),
        resourceNow,
      ),
    ),
    ...Object.entries(fleet.roles).flatMap(([name, wanted]) =>
      change(
        'role',
        name,
        find(present.roles, name),
        {
          description: wanted.description,
          permissions: wanted.permissions && sortedPermissions(wanted.permissions, resourceName),
        },
        (role) => ({
          description: role.description,
          permissions: sortedPermissions(
            Object.fromEntries(role.permissions.map(({ resource, scopes }) => [nameOf(resource), scopes])),
          ),
        }),
      ),
    ),
    ...Object.entries(fleet.agents).flatMap(([name, wanted]) =>
      agentChanges(name, wanted, present, { nameOf, ownerName, resourceName }, keys.get(name)),
    ),
    ...(prune ? ends(fleet, present) : []),
  ];
}

/** Of those with the name, the one that lives. */
function find<T extends { name: string; status: string }>(all: readonly T[], name: string): T | undefined {
  const named = all.filter((one) => one.name === name);
  return named.find(({ status }) => status !== 'retired' && status !== 'erased') ?? named[0];
}

/** Ids to the names by which a fleet file speaks of them. */
export function namesOf(present: Pick<Present, 'people' | 'teams' | 'resources' | 'roles'>): (id: string) => string {
  const names = new Map<string, string>();
  for (const { id, name } of [...present.people, ...present.teams, ...present.resources, ...present.roles]) {
    names.set(id, name);
  }
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

/** One thing: made if it isn't there, changed where the file says something else, else nothing. */
function change<T extends { id: string; status: string }>(
  noun: Noun,
  name: string,
  present: T | undefined,
  wanted: Record<string, unknown>,
  now: (present: T) => Record<string, unknown>,
): Change[] {
  const said = Object.entries(wanted).filter(([, value]) => value !== undefined);
  if (present === undefined) {
    const fields = said.map(([field, after]) => ({ field, before: undefined, after }));
    return [{ action: 'create', noun, name, fields }];
  }
  if (present.status === 'retired' || present.status === 'erased') {
    throw new CliError('conflict', `The ${noun} ${name} has ended for good, and its name is never used again.`, {
      hint: 'Choose another name, or take it out of the file.',
    });
  }
  const before = now(present);
  const fields = said
    .map(([field, after]) => ({ field, before: before[field], after }))
    .filter((one) => !same(one.before, one.after));
  if (fields.length === 0) return [];
  const fixed = fields.find(({ field }) => field === 'kind' || field === 'identifier');
  if (fixed !== undefined) {
    throw new CliError('conflict', `The ${fixed.field} of ${noun} ${name} is ${fixed.before} and never changes.`, {
      hint: `The file says ${fixed.after}: register that under another name.`,
    });
  }
  return [{ action: 'update', noun, name, id: present.id, fields }];
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(sortKeys(a ?? null)) === JSON.stringify(sortKeys(b ?? null));
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined && inner !== null)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sortKeys(inner)]),
  );
}

const sortedPermissions = (
  permissions: Readonly<Record<string, readonly string[]>>,
  nameOf = (reference: string) => reference,
) => Object.fromEntries(Object.entries(permissions).map(([resource, scopes]) => [nameOf(resource), scopes.toSorted()]));

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
    token: wanted.token && withDefaults(wanted.token),
  };
}

function resourceNow(resource: Resource): Record<string, unknown> {
  return {
    name: resource.name,
    identifier: resource.identifier,
    scopes: Object.fromEntries(resource.scopes.map(({ name, description }) => [name, description])),
    operations: resource.operations.map(fullLine).toSorted(),
    token: withDefaults(resource.token),
  };
}

const withDefaults = (token: object) => ({ alg: 'ES256', typ: 'at+jwt', dangerously_bearer: false, ...token });

/** The line of an operation, with its name where that isn't the usual one. */
function fullLine(operation: Operation): string {
  const line = operationLine({ ...operation, scope: operation.scope.toSorted() });
  const usual = operation.tool ?? `${operation.method} ${operation.path}`;
  return operation.name === usual ? line : `${line}  (${operation.name})`;
}

function agentChanges(
  name: string,
  wanted: FleetAgent,
  present: Present,
  { nameOf, ownerName, resourceName }: Record<'nameOf' | 'ownerName' | 'resourceName', (text: string) => string>,
  keys: readonly WantedKey[] | undefined,
): Change[] {
  const agent = find(present.agents, name);
  const ownChanges = change('agent', name, agent, agentValues(wanted, ownerName, resourceName), (one) => ({
    kind: one.kind,
    owner: `${one.owner.startsWith('tea_') ? 'team' : 'person'}:${nameOf(one.owner)}`,
    purpose: one.purpose,
    environment: one.environment,
    expires_at: one.expires_at && new Date(one.expires_at).toISOString(),
    grants: one.grants.toSorted(),
    resources: Object.fromEntries(
      one.resources.map((use) => [nameOf(use.resource), { default: use.default, scope: use.scope.toSorted() }]),
    ),
    limits: one.limits,
  }));
  const held = agent?.roles ?? [];
  const own = present.credentials.filter((credential) => credential.agent === agent?.id);
  const isIn = (all: readonly { thumbprint: string }[]) => (one: { thumbprint: string }) =>
    all.some(({ thumbprint }) => thumbprint === one.thumbprint);
  const addedKeys = (keys ?? []).filter((key) => !isIn(own)(key));
  const endedKeys = keys === undefined ? [] : own.filter((credential) => !isIn(keys)(credential));
  const roles = wanted.roles ?? held.map((role) => role.name);
  const addedRoles = roles.filter((name) => !held.some((role) => role.name === name));
  const endedRoles = held.filter((role) => !roles.includes(role.name));
  const part = (action: 'create' | 'end', noun: Noun, what: string, rest: Partial<Change>): Change => ({
    action,
    noun,
    name: what,
    agent: name,
    fields: [],
    ...rest,
  });
  return [
    ...ownChanges,
    ...addedKeys.map((key) => part('create', 'key', key.title, { key })),
    ...endedKeys.map((credential) => part('end', 'key', credential.label || credential.kid, { id: credential.id })),
    ...addedRoles.map((role) => part('create', 'grant', role, {})),
    ...endedRoles.map((role) => part('end', 'grant', role.name, { id: role.id })),
  ];
}

function agentValues(
  wanted: FleetAgent,
  ownerName: (text: string) => string,
  resourceName: (text: string) => string,
): Record<string, unknown> {
  return {
    kind: wanted.kind,
    owner: ownerName(wanted.owner),
    purpose: wanted.purpose,
    environment: wanted.environment,
    expires_at: wanted.expires_at && new Date(wanted.expires_at).toISOString(),
    grants: wanted.grants?.toSorted(),
    resources:
      wanted.resources &&
      Object.fromEntries(
        Object.entries(wanted.resources).map(([name, use]) => [
          resourceName(name),
          {
            default: use.default ?? Object.keys(wanted.resources ?? {}).length === 1,
            scope: (use.scope ?? []).toSorted(),
          },
        ]),
      ),
    limits: wanted.limits,
  };
}

/** What the file doesn't name: agents first, so that nothing is left that refers to an ended thing. */
function ends(fleet: Fleet, present: Present): Change[] {
  const end = (noun: Noun, { id, name }: { id: string; name: string }): Change => ({
    action: 'end',
    noun,
    name,
    id,
    fields: [],
  });
  const identifiers = new Set(Object.values(fleet.resources).map(({ identifier }) => identifier));
  return [
    ...present.agents
      .filter(({ id, name, status }) => status !== 'retired' && !(name in fleet.agents) && !present.kept.has(id))
      .map((one) => end('agent', one)),
    ...present.roles
      .filter(({ name, system, status }) => status !== 'retired' && !system && !(name in fleet.roles))
      .map((one) => end('role', one)),
    ...present.resources
      .filter(
        ({ identifier, name, system, status }) =>
          status !== 'retired' && !system && !identifiers.has(identifier) && !(name in fleet.resources),
      )
      .map((one) => end('resource', one)),
  ];
}
