/**
 * What is granted beyond scopes (RFC 9396), and when one detail is within another. A wider detail is a bound: each of its members
 * says something that a narrower one must say too, by the rule of its type. So a member more only narrows.
 */

/** What is granted beyond scopes, down to single operations and their parameters. @see RFC 9396 §2 */
export interface AuthorizationDetail {
  type: string;
  readonly [member: string]: unknown;
}

/** How one member of a narrower detail must stand to that of a wider one. */
export const compareRules = ['equal', 'subset', 'at_most', 'at_least', 'prefix'] as const;
export type CompareRule = (typeof compareRules)[number];

/** A type of details as a resource registers it. */
export interface DetailsType {
  /** Unique within the resource. `operation` is built in. */
  type: string;
  /** What a person reads when they are asked for it. */
  description: string;
  /** JSON Schema of one detail of this type (a bounded part of draft 2020-12). */
  schema: Readonly<Record<string, unknown>>;
  /** By member; those that are not named must be equal. */
  compare: Readonly<Record<string, CompareRule>>;
}

/** As much of a type as it takes to compare. */
export type ComparedType = Pick<DetailsType, 'type' | 'compare'>;

/** The built-in type: names operations of the resource, and values of their path's or tool's parameters. */
export interface OperationDetail extends AuthorizationDetail {
  type: 'operation';
  /** Names of operations. @see RFC 9396 §2.2 */
  actions: readonly string[];
  /** By parameter, the values that it may have; one that isn't named may have any. */
  parameters?: Readonly<Record<string, readonly string[]>>;
}

/** What no resource may register for itself. */
export const operationType = 'operation';

/** Values looked at in one comparison, and how deep: more than bounded details ever have. Beyond it, the answer is no. */
const mostValues = 50_000;
const maxDepth = 32;

interface Budget {
  left: number;
}

/**
 * Whether `narrower` allows nothing that `wider` doesn't: it is of the same type and says, for each member of `wider`, the same or
 * less by the type's rule. Reflexive and transitive for JSON of a type that is known; false for any other. Never throws.
 */
export function isWithin(
  types: readonly ComparedType[],
  narrower: AuthorizationDetail,
  wider: AuthorizationDetail,
): boolean {
  try {
    return within(types, narrower, wider, { left: mostValues });
  } catch {
    return false; // a getter that throws, say: what can't be compared is not within
  }
}

/** Whether each of these is within one of those. Of nothing, everything is within. Never throws. */
export function areWithin(
  types: readonly ComparedType[],
  narrower: readonly AuthorizationDetail[],
  wider: readonly AuthorizationDetail[],
): boolean {
  return narrower.every((each) => wider.some((bound) => isWithin(types, each, bound)));
}

function within(
  types: readonly ComparedType[],
  narrower: AuthorizationDetail,
  wider: AuthorizationDetail,
  budget: Budget,
): boolean {
  const { type } = wider;
  if (typeof type !== 'string' || narrower.type !== type) return false;
  const rules = type === operationType ? {} : types.find((each) => each.type === type)?.compare;
  if (rules === undefined) return false;
  for (const member of Object.keys(wider)) {
    if (member === 'type') continue;
    if (!Object.hasOwn(narrower, member)) return false;
    const [less, more] = [narrower[member], wider[member]];
    if (same(less, more, budget, 0)) continue;
    const holds =
      type === operationType
        ? isLessOfOperation(member, less, more, budget)
        : isLess(Object.hasOwn(rules, member) ? rules[member] : undefined, less, more, budget);
    if (!holds) return false;
  }
  return true;
}

/** Whether one value says less than another by a rule; that both may be the same has been looked at. */
function isLess(rule: CompareRule | undefined, less: unknown, more: unknown, budget: Budget): boolean {
  switch (rule) {
    case 'subset':
      return isSubsetOf(less, more, budget);
    case 'at_most':
      return Number.isFinite(less) && Number.isFinite(more) && (less as number) <= (more as number);
    case 'at_least':
      return Number.isFinite(less) && Number.isFinite(more) && (less as number) >= (more as number);
    case 'prefix':
      return typeof less === 'string' && typeof more === 'string' && isBelow(less, more);
    default:
      return false; // `equal`, and any rule that a newer server may have: the strictest
  }
}

/** `actions` are a subset; of each parameter that is bounded, the values are. */
function isLessOfOperation(member: string, less: unknown, more: unknown, budget: Budget): boolean {
  if (member === 'actions') return isSubsetOf(less, more, budget);
  if (member !== 'parameters' || !isPlain(less) || !isPlain(more)) return false;
  return Object.keys(more).every((name) => Object.hasOwn(less, name) && isSubsetOf(less[name], more[name], budget));
}

function isSubsetOf(less: unknown, more: unknown, budget: Budget): boolean {
  if (!Array.isArray(less) || !Array.isArray(more)) return false;
  // strings, numbers and the like are told apart by a set: thousands of them against thousands must not take long
  const simple = new Set<unknown>();
  const nested: unknown[] = [];
  for (const item of more) {
    spend(budget);
    if (typeof item === 'object' && item !== null) nested.push(item);
    else simple.add(item);
  }
  return less.every((item) => {
    spend(budget);
    if (typeof item !== 'object' || item === null) return simple.has(item) && !Number.isNaN(item);
    return nested.some((one) => same(item, one, budget, 0));
  });
}

/**
 * Whether a path lies below another, by whole segments: `/a/b` lies below `/a` and `/a/`, `/ab` does not. What follows must not be
 * readable as leading out again, however it is decoded: no dot segments, empty segments, backslashes, control characters, and none of these encoded.
 */
function isBelow(path: string, above: string): boolean {
  const start = above.endsWith('/') ? above : `${above}/`;
  if (!path.startsWith(start)) return false;
  const rest = path.slice(start.length);
  if (/[\\\u0000-\u001f\u007f]|%(?:2[5ef]|5c|[01][0-9a-f]|7f)/i.test(rest)) return false;
  const segments = rest.split('/');
  return segments.every(
    (segment, index) => !/^\.{0,2}(?:;|$)/.test(segment) || (segment === '' && index === segments.length - 1),
  );
}

/** Whether two values are the same JSON. Members may stand in any order. */
function same(one: unknown, other: unknown, budget: Budget, depth: number): boolean {
  spend(budget);
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (depth > maxDepth) return false;
  if (Array.isArray(one)) {
    if (!Array.isArray(other) || one.length !== other.length) return false;
    return one.every((item, index) => same(item, other[index], budget, depth + 1));
  }
  if (!isPlain(one) || !isPlain(other)) return false;
  const names = Object.keys(one);
  if (names.length !== Object.keys(other).length) return false;
  return names.every((name) => Object.hasOwn(other, name) && same(one[name], other[name], budget, depth + 1));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function spend(budget: Budget): void {
  budget.left -= 1;
  if (budget.left < 0) throw new RangeError('too much to compare');
}
