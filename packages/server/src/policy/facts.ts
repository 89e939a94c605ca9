/** What one request says, in the words of the schema: for our comparisons, for what is remembered, and for Cedar. */
import { formatPrefix, type Prefix, readAddress } from '@bailiwick/protocol';
import type { CedarQuestion, CedarValueJson, EntityJson, TypeAndId } from './cedar.ts';
import { localTime, minuteOf } from './local-time.ts';
import {
  type PolicyContext,
  type PolicyRequest,
  type SignalContext,
  type SignalRequest,
  signalClaims,
} from './request.ts';
import { signalAction } from './schema.ts';
import type { Path } from './words.ts';

/** Strings, longs, sets of strings, addresses, instants (a {@link Date}'s milliseconds are compared as numbers), records of these. */
export type Value = string | number | readonly string[] | Prefix | { readonly [name: string]: Value | undefined };

export type AnyRequest = PolicyRequest | SignalRequest;

export interface Facts {
  readonly request: AnyRequest;
  readonly principal: TypeAndId;
  /** Names of the roles that it is in. */
  readonly roles: readonly string[];
  readonly resource: TypeAndId;
  /** The same of the resource, where that is an agent. */
  readonly resourceRoles: readonly string[];
  /** The API that the resource is in, where it is not itself one. */
  readonly api: string | undefined;
  /** What was read of the context so far. */
  readonly members: Map<string, Value | undefined>;
}

/** Strings that are no Unicode have no meaning for Cedar: what is broken in them becomes U+FFFD, as it does everywhere on the wire. */
const text = (value: string): string => (value.isWellFormed() ? value : value.toWellFormed());

/** Prepares a request. Nothing of its context is read yet. */
export function factsOf(request: AnyRequest): Facts {
  const { principal, resource } = request;
  return {
    request,
    principal:
      principal.type === 'Agent' || principal.type === 'Source'
        ? { type: principal.type, id: text(principal.name) }
        : { type: 'Subject', id: `${text(principal.kind)}:${text(principal.id)}` },
    roles: principal.type === 'Agent' ? principal.roles : noRoles,
    resource: { type: resource.type, id: resourceId(resource) },
    resourceRoles: resource.type === 'Agent' ? resource.roles : noRoles,
    api: resource.type === 'Operation' || resource.type === 'Tool' ? text(resource.identifier) : undefined,
    members: new Map(),
  };
}

const noRoles: readonly string[] = [];

/** Pasted together from parts that are clean: it is looked at as a whole only where a policy names one. */
function resourceId(resource: AnyRequest['resource']): string {
  if (resource.type === 'Agent') return text(resource.name);
  if (resource.type === 'Api') return text(resource.identifier);
  if (resource.type === 'Object') return `${text(resource.kind)}:${text(resource.id)}`;
  return `${text(resource.identifier)}#${text(resource.name)}`;
}

/** What a path leads to, or undefined where there is nothing: then {@link missingAt} says how far there is something. */
export function valueAt(facts: Facts, path: Path): Value | undefined {
  const { of, steps, tag } = path;
  if (tag !== undefined) return own(tagsOf(facts, path), tag);
  const [first] = steps;
  let value = first === undefined ? undefined : attribute(facts, of, first);
  for (let i = 1; i < steps.length; i += 1) value = isRecord(value) ? own(value, steps[i] as string) : undefined;
  return value;
}

/** How many of its steps a path that leads nowhere can be followed. */
export function missingAt(facts: Facts, { of, steps }: Path): number {
  let found = 0;
  while (found < steps.length && valueAt(facts, { of, steps: steps.slice(0, found + 1) }) !== undefined) found += 1;
  return found;
}

function own<V>(record: { readonly [name: string]: V }, name: string): V | undefined {
  if (!Object.hasOwn(record, name)) return undefined;
  const value = record[name];
  return typeof value === 'string' ? (text(value) as V) : value;
}

/** Whether it has members of its own: no list, and no address. */
export function isRecord(value: Value | undefined): value is { readonly [name: string]: Value | undefined } {
  return typeof value === 'object' && !Array.isArray(value) && !('bits' in value);
}

const noTags: Readonly<Record<string, string>> = {};

/** The tags of the entity that a path leads to. */
export function tagsOf({ request }: Facts, { of, steps }: Path): Readonly<Record<string, string>> {
  if (request.action === signalAction) return noTags;
  const { principal, resource, context } = request;
  if (of === 'context') return steps[0] === 'claimed' ? (context.claimed ?? noTags) : noTags;
  if (of === 'principal') return principal.type === 'Agent' ? principal.attested : principal.properties;
  return resource.type === 'Object' ? resource.properties : noTags;
}

function attribute(facts: Facts, of: Path['of'], name: string): Value | undefined {
  if (of === 'context') return member(facts, name);
  const { principal, resource } = facts.request;
  const value =
    of === 'principal'
      ? attributesOf[principal.type]?.[name]?.(principal as never)
      : attributesOf[resource.type]?.[name]?.(resource as never);
  return optional(value);
}

type Principal<Type> = Extract<AnyRequest['principal'], { type: Type }>;
type Resource<Type> = Extract<PolicyRequest['resource'], { type: Type }>;

const operationAttributes = {
  __proto__: null,
  api: ({ identifier }: Resource<'Tool'>) => identifier,
  name: ({ name }: Resource<'Tool'>) => name,
  sensitivity: ({ sensitivity }: Resource<'Tool'>) => sensitivity,
};

/** Made without a prototype, as everything in which names are looked up that others gave. */
const attributesOf = {
  __proto__: null,
  Agent: {
    __proto__: null,
    id: ({ id }: Principal<'Agent'>) => id,
    name: ({ name }: Principal<'Agent'>) => name,
    kind: ({ kind }: Principal<'Agent'>) => kind,
    environment: ({ environment }: Principal<'Agent'>) => environment,
    owner: ({ owner }: Principal<'Agent'>) => owner,
    instance: ({ instance }: Principal<'Agent'>) => instance,
  },
  Source: {
    __proto__: null,
    id: ({ id }: Principal<'Source'>) => id,
    name: ({ name }: Principal<'Source'>) => name,
    issuer: ({ issuer }: Principal<'Source'>) => issuer,
  },
  Subject: {
    __proto__: null,
    kind: ({ kind }: Principal<'Subject'>) => kind,
    id: ({ id }: Principal<'Subject'>) => id,
  },
  Api: {
    __proto__: null,
    identifier: ({ identifier }: Resource<'Api'>) => identifier,
    name: ({ name }: Resource<'Api'>) => name,
    sensitivity: ({ sensitivity }: Resource<'Api'>) => sensitivity,
  },
  Operation: operationAttributes,
  Tool: operationAttributes,
  Object: {
    __proto__: null,
    kind: ({ kind }: Resource<'Object'>) => kind,
    id: ({ id }: Resource<'Object'>) => id,
    sensitivity: ({ properties }: Resource<'Object'>) => claimedSensitivity(properties),
  },
} as unknown as Record<string, Record<string, (entity: never) => string | undefined>>;

/** Nobody here knows how much harm it can do. */
function claimedSensitivity(properties: Readonly<Record<string, string>>): string {
  const said = own(properties, 'sensitivity');
  return said === 'low' || said === 'medium' ? said : 'high';
}

function member(facts: Facts, name: string): Value | undefined {
  const { members } = facts;
  const known = members.get(name);
  if (known !== undefined || members.has(name)) return known;
  const { request } = facts;
  const value =
    request.action === signalAction ? signalMembers[name]?.(request.context) : contextMembers[name]?.(request.context);
  members.set(name, value);
  return value;
}

const contextMembers = {
  __proto__: null,
  task: ({ task }: PolicyContext) =>
    task && recordOf(['provenance', 'id', 'workflow', 'step', 'environment', 'purpose'], task),
  address: ({ address }: PolicyContext) => (address === undefined ? undefined : readAddress(address)),
  address_provenance: ({ addressProvenance }: PolicyContext) => addressProvenance ?? 'told',
  country: ({ country }: PolicyContext) => optional(country),
  zone: ({ zone }: PolicyContext) => zone && recordOf(['name', 'provenance'], zone),
  time: ({ at, timeZone }: PolicyContext) => localTime(at, timeZone) as unknown as Value,
  now: ({ at }: PolicyContext) => whole(minuteOf(at), 'the time'),
  binding: ({ binding }: PolicyContext) => text(binding),
  method: ({ method }: PolicyContext) => text(method),
  // older rather than younger than it is
  proof_age: ({ proofAge }: PolicyContext) => whole(Math.ceil(proofAge), 'the age of the proof'),
  scope: ({ scope }: PolicyContext) => scope.map(text),
  details: ({ details }: PolicyContext) => details.map(text),
  chain_depth: ({ chainDepth }: PolicyContext) => whole(chainDepth, 'the depth of the chain'),
  subject: ({ subject }: PolicyContext) => optional(subject),
  chain: ({ chain }: PolicyContext) => chain?.map(text),
  mandate: ({ mandate }: PolicyContext) => optional(mandate),
  operation: ({ operation }: PolicyContext) => optional(operation),
  claimed: () => ({}),
} as unknown as Record<string, (context: PolicyContext) => Value | undefined>;

const signalMembers = {
  __proto__: null,
  event: ({ event }: SignalContext) => text(event),
  effect: ({ effect }: SignalContext) => effect,
  concerns: ({ concerns }: SignalContext) => concerns,
  time: ({ at, timeZone }: SignalContext) => localTime(at, timeZone) as unknown as Value,
  now: ({ at }: SignalContext) => whole(minuteOf(at), 'the time'),
  ...Object.fromEntries(signalClaims.map((name) => [name, ({ claims }: SignalContext) => optional(claims[name])])),
} as unknown as Record<string, (context: SignalContext) => Value | undefined>;

export const contextMemberNames: readonly string[] = [
  ...new Set([...Object.keys(contextMembers), ...Object.keys(signalMembers)]),
];

const optional = (value: string | undefined) => (value === undefined ? undefined : text(value));

function recordOf(names: readonly string[], from: Readonly<Record<string, string | undefined>>): Value {
  const record: Record<string, string> = {};
  for (const name of names) {
    const value = from[name];
    if (value !== undefined) record[name] = text(value);
  }
  return record;
}

function whole(value: number, what: string): number {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${what} is no number that policy can read`);
  return value;
}

/** The request as Cedar reads it, with these members of the context. */
export function questionOf(facts: Facts, members: Iterable<string>): CedarQuestion {
  const { request, principal, roles, resource } = facts;
  const context: Record<string, CedarValueJson> = {};
  const entities: EntityJson[] = [
    {
      uid: principal,
      attrs: attributes(request.principal),
      parents: roles.map((id) => ({ type: 'Role', id: text(id) })),
      tags: stated(tagsOf(facts, { of: 'principal', steps: [] })),
    },
    {
      uid: resource,
      attrs: attributes(request.resource),
      parents: [
        ...(facts.api === undefined ? [] : [{ type: 'Api', id: facts.api }]),
        ...facts.resourceRoles.map((id) => ({ type: 'Role', id: text(id) })),
      ],
      tags: stated(tagsOf(facts, { of: 'resource', steps: [] })),
    },
  ];
  for (const name of members) {
    const value = member(facts, name);
    if (value === undefined) continue;
    context[name] = cedarValue(name, value);
    if (name === 'claimed') {
      entities.push({
        uid: claimed,
        attrs: {},
        parents: [],
        tags: stated(tagsOf(facts, { of: 'context', steps: [name] })),
      });
    }
  }
  return { principal, action: { type: 'Action', id: request.action }, resource, context, entities };
}

const claimed = { type: 'Claimed', id: 'claimed' };

function attributes(entity: AnyRequest['principal'] | AnyRequest['resource']): Record<string, string> {
  const known = Object.entries(attributesOf[entity.type] ?? {}).map(
    ([name, read]) => [name, read(entity as never)] as const,
  );
  return stated(Object.fromEntries(known));
}

/** A name that is no Unicode is none that a policy could mean. */
const stated = (from: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(from).flatMap(([name, value]) =>
      value === undefined || !name.isWellFormed() ? [] : [[name, text(value)]],
    ),
  );

function cedarValue(name: string, value: Value): CedarValueJson {
  if (name === 'now') return { __extn: { fn: 'datetime', arg: new Date(value as number).toISOString() } };
  if (name === 'address') return { __extn: { fn: 'ip', arg: formatPrefix(value as Prefix) } };
  if (name === 'claimed') return { __entity: claimed };
  return value as CedarValueJson;
}

/** A value as part of a key: values that are not the same are not written the same. */
export function written(value: Value): string {
  if (typeof value === 'object' && 'bits' in value) return formatPrefix(value as Prefix);
  return JSON.stringify(Array.isArray(value) ? [...value].sort() : value);
}
