/**
 * What one may do on the authority of another, and when one power is within another: the algebra of mandates and chains. Who passes
 * something on says less than it holds or the same, in every dimension, so that whatever comes of it stays within the first word.
 */
import type { Actor } from './access-token.ts';
import { type ContextDimension, contextDimensions, isContextWithin, narrowed, type TokenContext } from './context.ts';
import { type AuthorizationDetail, areWithin, type ComparedType, isWithin } from './details.ts';
import { isJsonObject } from './encoding.ts';
import { ProtocolError } from './errors.ts';
import { intersect } from './scope.ts';

/** What somebody lets an agent do: until when, how often, how deep it may be passed on. */
export interface Power {
  /** Each resource once; what isn't listed isn't allowed. */
  resources: readonly PowerOnResource[];
  /** Where and when it may be used; anywhere, if nothing is said. */
  context: TokenContext | undefined;
  /** The work that it is for; any, if nothing is said. */
  task: PowerTask | undefined;
  limits: PowerLimits;
  passing: Passing;
  /** Milliseconds. */
  endsAt: number;
}

/** What may be done on one resource. */
export interface PowerOnResource {
  /** Id of the resource. */
  resource: string;
  scope: readonly string[];
  /** Bounds (RFC 9396): what a token says is within one of them. */
  details: readonly AuthorizationDetail[];
}

/** What a task has to say; what isn't said isn't asked. */
export interface PowerTask {
  /** Id of the one task. */
  id?: string;
  workflow?: string;
  environment?: string;
}

/** How much may be done with it and all that is passed on of it, together; as much as one likes of what isn't named. */
export interface PowerLimits {
  /** So many tokens. */
  uses?: number;
  /** Each type and amount once, so in one unit. */
  amounts?: readonly AmountLimit[];
}

/** What the details of one type may come to in total. */
export interface AmountLimit {
  /** Type of the details. */
  type: string;
  /** JSON Pointer to the amount in such a detail: a number, or a decimal number as text. @see RFC 6901 */
  amount: string;
  /** JSON Pointer to its unit, and which one is counted: what says another can't be had. */
  unit?: { at: string; is: string };
  /** At most six decimals. */
  total: number;
}

/** How it may be passed on. */
export interface Passing {
  /** How many times over: 0 is not at all. */
  depth: number;
  /** Ids of the agents that it may come to, at any depth; any of the organization, if nothing is said. */
  to?: readonly string[];
}

/** Something that a power says and another doesn't allow. `value` says what of it, in the words of the power. */
export type Excess =
  /** The id of a resource. */
  | { what: 'resource'; value: string }
  | { what: 'scope'; resource: string; value: readonly string[] }
  | { what: 'authorization_details'; resource: string; value: readonly AuthorizationDetail[] }
  | { what: 'context'; value: ContextDimension }
  | { what: 'task'; value: keyof PowerTask }
  /** `uses`, or the limit of the other one that nothing of this one keeps. */
  | { what: 'limits'; value: 'uses' | AmountLimit }
  | { what: 'passing'; value: keyof Passing }
  /** When it would end. */
  | { what: 'lifetime'; value: number };

/**
 * What of `inner` is beyond `outer`, each named once; empty where `inner` allows nothing that `outer` doesn't. A limit that only `outer` has is
 * beyond too: whoever is limited can't let others do without.
 * @param typesOf the types of details of a resource, by its id
 */
export function excessOf(inner: Power, outer: Power, typesOf: (resource: string) => readonly ComparedType[]): Excess[] {
  return [
    ...inner.resources.flatMap((each) => excessOn(each, outer.resources, typesOf)),
    ...contextDimensions
      .filter((name) => !isContextWithin(inner.context, only(outer.context, name)))
      .map((value) => ({ what: 'context' as const, value })),
    ...taskMembers
      .filter((name) => outer.task?.[name] !== undefined && inner.task?.[name] !== outer.task[name])
      .map((value) => ({ what: 'task' as const, value })),
    ...excessOfLimits(inner.limits, outer.limits),
    ...excessOfPassing(inner.passing, outer.passing),
    // what is no number is within nothing
    ...(inner.endsAt <= outer.endsAt ? [] : [{ what: 'lifetime' as const, value: inner.endsAt }]),
  ];
}

/** Whether `inner` allows nothing that `outer` doesn't, in any dimension. Reflexive and transitive. */
export function isWithinPower(
  inner: Power,
  outer: Power,
  typesOf: (resource: string) => readonly ComparedType[],
): boolean {
  return excessOf(inner, outer, typesOf).length === 0;
}

const taskMembers = ['id', 'workflow', 'environment'] as const;

function excessOn(
  { resource, scope, details }: PowerOnResource,
  all: readonly PowerOnResource[],
  typesOf: (resource: string) => readonly ComparedType[],
): Excess[] {
  const bound = all.find((each) => each.resource === resource);
  if (bound === undefined) return [{ what: 'resource', value: resource }];
  const scopes = scope.filter((each) => !bound.scope.includes(each));
  const types = typesOf(resource);
  const beyond = details.filter((each) => !bound.details.some((one) => isWithin(types, each, one)));
  return [
    ...(scopes.length === 0 ? [] : [{ what: 'scope' as const, resource, value: scopes }]),
    ...(beyond.length === 0 ? [] : [{ what: 'authorization_details' as const, resource, value: beyond }]),
  ];
}

const only = (context: TokenContext | undefined, name: ContextDimension): TokenContext | undefined =>
  context?.[name] === undefined ? undefined : { [name]: context[name] };

function excessOfLimits(inner: PowerLimits, outer: PowerLimits): Excess[] {
  const keepsUses = outer.uses === undefined || (inner.uses !== undefined && inner.uses <= outer.uses);
  const lost = (outer.amounts ?? []).filter((bound) => !inner.amounts?.some((each) => keeps(each, bound)));
  return [
    ...(keepsUses ? [] : [{ what: 'limits' as const, value: 'uses' as const }]),
    ...lost.map((value) => ({ what: 'limits' as const, value })),
  ];
}

/** Whether who keeps one limit keeps the other as well: the same is counted, or of it only what has one unit. */
function keeps(inner: AmountLimit, outer: AmountLimit): boolean {
  const { unit } = outer;
  return (
    inner.type === outer.type &&
    inner.amount === outer.amount &&
    (unit === undefined || (inner.unit?.at === unit.at && inner.unit.is === unit.is)) &&
    inner.total <= outer.total
  );
}

/** To whom it may come is nothing to say where it can't be passed on. */
function excessOfPassing(inner: Passing, outer: Passing): Excess[] {
  const { to } = outer;
  const depth = inner.depth <= outer.depth;
  const fits = to === undefined || inner.depth === 0 || (inner.to?.every((agent) => to.includes(agent)) ?? false);
  return [
    ...(depth ? [] : [{ what: 'passing' as const, value: 'depth' as const }]),
    ...(fits ? [] : [{ what: 'passing' as const, value: 'to' as const }]),
  ];
}

/**
 * What two powers both allow, as far as it can be written: within each of them.
 * @throws ProtocolError `nowhere` where no place, work or unit is left that both allow, `too_many` as `narrowed` of contexts
 */
export function commonPower(one: Power, other: Power, typesOf: (resource: string) => readonly ComparedType[]): Power {
  return {
    resources: one.resources.flatMap((each) => {
      const same = other.resources.find(({ resource }) => resource === each.resource);
      return same ? commonOn(each, same, typesOf(each.resource)) : [];
    }),
    context: narrowed(one.context, other.context),
    task: commonTask(one.task, other.task),
    limits: commonLimits(one.limits, other.limits),
    passing: commonPassing(one.passing, other.passing),
    endsAt: Math.min(one.endsAt, other.endsAt),
  };
}

function commonOn(one: PowerOnResource, other: PowerOnResource, types: readonly ComparedType[]): PowerOnResource[] {
  const scope = intersect(one.scope, other.scope);
  const details = one.details.filter((each) => areWithin(types, [each], other.details));
  details.push(
    ...other.details.filter((each) => areWithin(types, [each], one.details) && !areWithin(types, [each], details)),
  );
  return scope.length + details.length === 0 ? [] : [{ resource: one.resource, scope, details }];
}

function commonTask(one: PowerTask | undefined, other: PowerTask | undefined): PowerTask | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  const differ = taskMembers.some(
    (name) => one[name] !== undefined && other[name] !== undefined && one[name] !== other[name],
  );
  if (differ) throw new ProtocolError('nowhere', 'no work is allowed by everybody who limits it');
  return { ...one, ...other };
}

function commonLimits(one: PowerLimits, other: PowerLimits): PowerLimits {
  const uses = Math.min(one.uses ?? Number.POSITIVE_INFINITY, other.uses ?? Number.POSITIVE_INFINITY);
  const amounts = new Map<string, AmountLimit>();
  for (const each of [...(one.amounts ?? []), ...(other.amounts ?? [])]) {
    const what = JSON.stringify([each.type, each.amount]);
    const known = amounts.get(what);
    amounts.set(what, known ? commonAmount(known, each) : each);
  }
  return {
    ...(uses === Number.POSITIVE_INFINITY ? {} : { uses }),
    ...(amounts.size === 0 ? {} : { amounts: [...amounts.values()] }),
  };
}

function commonAmount(one: AmountLimit, other: AmountLimit): AmountLimit {
  if (!keeps(one, { ...other, total: one.total }) && !keeps(other, { ...one, total: other.total })) {
    throw new ProtocolError('nowhere', `no unit of ${one.type} is counted by everybody who limits it`);
  }
  return { ...one, ...other, total: Math.min(one.total, other.total) };
}

function commonPassing(one: Passing, other: Passing): Passing {
  const to = one.to && other.to ? intersect(one.to, other.to) : (one.to ?? other.to);
  return { depth: Math.min(one.depth, other.depth), ...(to && { to }) };
}

/** More actors than these are refused. @see draft-mcguinness-oauth-actor-profile */
export const deepestChain = 5;

/** One actor of a chain, without those before it. */
export type ChainedActor = Omit<Actor, 'act'>;

/**
 * The actors that an `act` claim names: who acts now first, then those before it.
 * @throws ProtocolError `malformed` for what is no chain, `too_deep` beyond {@link deepestChain}
 * @see RFC 8693 §4.1
 */
export function actorsOf(act: unknown): ChainedActor[] {
  const actors: ChainedActor[] = [];
  for (let level = act; level !== undefined; level = level.act) {
    if (actors.length === deepestChain) throw tooDeep();
    if (!isJsonObject(level)) throw new ProtocolError('malformed', 'an actor is no object');
    const { act: _, ...actor } = level;
    if (typeof actor.sub !== 'string' || actor.sub === '') throw new ProtocolError('malformed', 'an actor has no sub');
    for (const name of ['iss', 'sub_profile'] as const) {
      if (actor[name] !== undefined && typeof actor[name] !== 'string') {
        throw new ProtocolError('malformed', `the ${name} of an actor is no text`);
      }
    }
    actors.push(actor as unknown as ChainedActor);
  }
  return actors;
}

/**
 * The `act` claim of a token in which `actor` acts after all the earlier ones.
 * @throws ProtocolError `too_deep` for more than {@link deepestChain} of them, `cycle` where somebody would act twice, `malformed`
 * @see RFC 8693 §4.1
 */
export function nestActor(actor: ChainedActor, earlier: Actor | undefined): Actor {
  const before = actorsOf(earlier);
  if (before.some((each) => isSameActor(each, actor))) {
    throw new ProtocolError('cycle', 'the same actor would stand twice in the chain');
  }
  if (before.length + 1 > deepestChain) throw tooDeep();
  return earlier === undefined ? { ...actor } : { ...actor, act: earlier };
}

/** Who doesn't say who vouches for its name could be anybody of that name. */
const isSameActor = (one: ChainedActor, other: ChainedActor) =>
  one.sub === other.sub && (one.iss === undefined || other.iss === undefined || one.iss === other.iss);

const tooDeep = () => new ProtocolError('too_deep', `a chain has at most ${deepestChain} actors`);
