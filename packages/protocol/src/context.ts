/** Where and when a token may be used, and how two such limits become one. */
import { fewest, formatPrefix, isInside, masked, type Prefix, readAddress, readNetwork } from './address.ts';
import { isJsonObject } from './encoding.ts';
import { ProtocolError } from './errors.ts';
import { allOf, areHoursWithin, isOpen, neverOpen, parseSchedule, type Schedule } from './hours.ts';

/** Where and when a token may be used, beside by which key: its `ctx` claim. What isn't said isn't limited. */
export interface TokenContext {
  /** Addresses and networks: the presenter's is in one of them. */
  ip?: readonly string[];
  /** ISO 3166-1 alpha-2, in capitals. */
  country?: readonly string[];
  /** Compute zones, by the names that the operator gave them. */
  zone?: readonly string[];
  /** All of these hold: each came from somebody who may only narrow. */
  hours?: readonly Schedule[];
}

export const contextDimensions = ['ip', 'country', 'zone', 'hours'] as const;
export type ContextDimension = (typeof contextDimensions)[number];

/** What is known of whoever presents a token. What isn't known is outside of every limit. */
export interface Presenter {
  readonly address: string | undefined;
  /** ISO 3166-1 alpha-2. Read only where a country is asked for. */
  readonly country?: string | undefined;
  /** Read only where a zone is asked for. */
  readonly zone?: string | undefined;
  /** Milliseconds. */
  readonly now: number;
}

const mostEntries = 64;
const mostSchedules = 8;

/**
 * Reads a context strictly, in its canonical form: addresses in one spelling, IPv4 in IPv6 as IPv4, lists sorted, without repetition and
 * with the fewest networks that hold the same addresses.
 * @throws ProtocolError `malformed` with a sentence that names the member and says what it must be
 */
export function parseContext(value: unknown): TokenContext {
  if (!isJsonObject(value)) throw malformed('a context must be an object');
  const context: { -readonly [Name in keyof TokenContext]: TokenContext[Name] } = {};
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue;
    if (name === 'ip') context.ip = written(listOf(member, name, mostEntries).map((each) => network(each, 'ip')));
    else if (name === 'country')
      context.country = namesOf(member, name, isCountry, 'countries by two capitals, such as DE');
    else if (name === 'zone') context.zone = namesOf(member, name, isZoneName, 'names of zones, such as eu-1');
    else if (name === 'hours') {
      context.hours = allOf(listOf(member, name, mostSchedules).map((each, i) => parseSchedule(each, `hours[${i}]`)));
    } else throw malformed('a context has no members but ip, country, zone and hours');
  }
  return context;
}

/** Is it the code of a country as contexts write it: ISO 3166-1 alpha-2, in capitals? */
export const isCountry = (value: unknown): value is string => typeof value === 'string' && /^[A-Z]{2}$/.test(value);

/** Is it what a compute zone can be called: letters, digits, dots, underscores and hyphens, at most 63 of them? */
export const isZoneName = (value: unknown): value is string =>
  typeof value === 'string' && /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(value);

function listOf(value: unknown, name: string, most: number): unknown[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > most) {
    throw malformed(`${name} must be a list of 1 to ${most}`);
  }
  return value;
}

function namesOf(value: unknown, name: string, isOne: (each: unknown) => each is string, what: string): string[] {
  const list = listOf(value, name, mostEntries);
  if (!list.every(isOne)) throw malformed(`${name} must be a list of ${what}`);
  return sorted(list);
}

function network(value: unknown, name: string): Prefix {
  const prefix = typeof value === 'string' && value.length <= 64 ? readNetwork(value) : undefined;
  if (prefix === undefined) throw malformed(`${name} must be a list of addresses and networks such as 10.0.0.0/8`);
  if (masked(prefix).value !== prefix.value) {
    throw malformed(`${name} has a network with more bits than its prefix: 10.1.2.3/8 must be 10.0.0.0/8`);
  }
  return prefix;
}

/**
 * What two contexts both allow, exactly: whoever is inside of the result is inside of both, and the other way round.
 * @returns undefined where nothing is limited
 * @throws ProtocolError `nowhere` where nobody could be inside of both; `too_many` where the result would need more entries than a
 *   context may have
 */
export function narrowed(a: TokenContext | undefined, b: TokenContext | undefined): TokenContext | undefined {
  if (a === undefined || a === b || isUnlimited(a)) return limited(b);
  if (b === undefined || isUnlimited(b)) return limited(a);
  const context = {
    ip: both(a.ip, b.ip, 'addresses', mostEntries, (x, y) => {
      const [xs, ys] = [prefixesOf(x), prefixesOf(y)];
      return written([...xs.filter((each) => isInAny(each, ys)), ...ys.filter((each) => isInAny(each, xs))]);
    }),
    country: both(a.country, b.country, 'countries', mostEntries, shared),
    zone: both(a.zone, b.zone, 'zones', mostEntries, shared),
    hours: both(a.hours, b.hours, 'hours', mostSchedules, (x, y) => {
      const all = allOf([...x, ...y]);
      return neverOpen(all) ? [] : all;
    }),
  };
  return Object.fromEntries(Object.entries(context).filter(([, list]) => list !== undefined)) as TokenContext;
}

function both<Entry>(
  a: readonly Entry[] | undefined,
  b: readonly Entry[] | undefined,
  what: string,
  most: number,
  join: (a: readonly Entry[], b: readonly Entry[]) => readonly Entry[],
): readonly Entry[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const list = join(a, b);
  if (list.length === 0) throw new ProtocolError('nowhere', `no ${what} are allowed by everybody who limits them`);
  if (list.length > most) throw new ProtocolError('too_many', `more than ${most} ${what} would be left to name`);
  return list;
}

const shared = (a: readonly string[], b: readonly string[]) => sorted(a.filter((each) => b.includes(each)));

/** Whether everything that `narrower` allows is allowed by `wider` too. Where hours of several time zones meet it may say no for a yes. */
export function isContextWithin(narrower: TokenContext | undefined, wider: TokenContext | undefined): boolean {
  const { ip, country, zone, hours = [] } = wider ?? {};
  const inside = (list: readonly string[] | undefined, all: readonly string[]) =>
    list?.every((each) => all.includes(each)) ?? false;
  return (
    (ip === undefined || (narrower?.ip !== undefined && areNetworksWithin(narrower.ip, ip))) &&
    (country === undefined || inside(narrower?.country, country)) &&
    (zone === undefined || inside(narrower?.zone, zone)) &&
    hours.every((schedule) => areHoursWithin(narrower?.hours ?? [], schedule))
  );
}

function areNetworksWithin(narrower: readonly string[], wider: readonly string[]): boolean {
  const all = fewest(prefixesOf(wider));
  return prefixesOf(narrower).every((each) => isInAny(each, all));
}

/**
 * Which limit of a context somebody is outside of: undefined if of none. An address, country or zone that is unknown is outside, and
 * so is everybody of a limit that can't be read.
 */
export function contextRefusal(context: TokenContext | undefined, presenter: Presenter): ContextDimension | undefined {
  if (context === undefined) return undefined;
  const { ip, country, zone, hours } = context;
  if (ip !== undefined && !isAddressIn(presenter.address, context, ip)) return 'ip';
  if (country !== undefined && !isNamed(presenter.country, country)) return 'country';
  if (zone !== undefined && !isNamed(presenter.zone, zone)) return 'zone';
  if (hours !== undefined && !(hours.length > 0 && hours.every((schedule) => isOpen(schedule, presenter.now))))
    return 'hours';
  return undefined;
}

/** Whether one of these contexts' limits needs to know where a token is presented. Hours don't. */
export const limitsPlace = (context: TokenContext | undefined): boolean =>
  context !== undefined && (context.ip !== undefined || context.country !== undefined || context.zone !== undefined);

const isNamed = (name: string | undefined, list: readonly string[]) => name !== undefined && list.includes(name);

/** The networks of a context whose token is shown again and again. */
const read = new WeakMap<TokenContext, readonly Prefix[]>();

function isAddressIn(address: string | undefined, context: TokenContext, list: readonly string[]): boolean {
  const one = address === undefined ? undefined : readAddress(address);
  if (one === undefined) return false;
  let prefixes = read.get(context);
  if (prefixes === undefined) {
    prefixes = prefixesOf(list);
    read.set(context, prefixes);
  }
  return isInAny(one, prefixes);
}

/** What can't be read holds nobody. */
const prefixesOf = (list: readonly string[]) =>
  list
    .map(readNetwork)
    .filter((each) => each !== undefined)
    .map(masked);
const isInAny = (one: Prefix, list: readonly Prefix[]) => list.some((each) => isInside(one, each));
const written = (list: readonly Prefix[]) => fewest(list).map(formatPrefix);
const sorted = (list: readonly string[]) => [...new Set(list)].sort();
const isUnlimited = ({ ip, country, zone, hours }: TokenContext) =>
  ip === undefined && country === undefined && zone === undefined && hours === undefined;
const limited = (context: TokenContext | undefined) =>
  context === undefined || isUnlimited(context) ? undefined : context;
const malformed = (message: string) => new ProtocolError('malformed', message);
