/**
 * Comparisons of the request with what stands in a policy, made by us exactly as Cedar makes them (`remembering.test.ts` holds them
 * against it). They decide nothing: Cedar does. They tell that Cedar was asked the same before.
 */
import { isInside, type Prefix, readNetwork } from '@bailiwick/protocol';
import type { Expr, TypeAndId } from './cedar.ts';
import { type Facts, missingAt, tagsOf, type Value, valueAt } from './facts.ts';
import { entitiesOf, entityOf, hasTags, instantOf, literalOf, networkOf, pathOf, stringsOf } from './terms.ts';
import type { Path, Words } from './words.ts';

export interface Atom {
  /** Two atoms of the same key are the same. */
  key: string;
  /** 0: false, 1: true, above: what it compares is not there, and how far it is. Below 32. */
  test(facts: Facts): number;
  paths: readonly Path[];
  /** Entities that it names. */
  named: readonly TypeAndId[];
  /** Strings that a string of the request is compared with. */
  strings: readonly string[];
}

type Test = (facts: Facts) => number;
type Found = Omit<Atom, 'key'>;

/** The comparison that an expression is, if it is one that we make as Cedar does. */
export function comparison(words: Words, expr: Expr): Atom | undefined {
  const [operator = '', given] = Object.entries(expr)[0] ?? [];
  const found = read(words, operator, given as unknown as Operands);
  return found && { ...found, key: JSON.stringify(expr) };
}

interface Operands {
  left: Expr;
  right: Expr;
  arg: Expr;
  attr: string | string[];
  entity_type: string;
  in?: Expr;
  pattern: ('Wildcard' | { Literal: string })[];
}

function read(words: Words, operator: string, given: Operands): Found | undefined {
  switch (operator) {
    case '==':
      return equality(words, given, (equal) => equal);
    case '!=':
      return equality(words, given, (equal) => !equal);
    case '<':
      return order(words, given, (a, b) => a < b);
    case '<=':
      return order(words, given, (a, b) => a <= b);
    case '>':
      return order(words, given, (a, b) => a > b);
    case '>=':
      return order(words, given, (a, b) => a >= b);
    case 'has':
      return presence(given);
    case 'hasTag':
      return tagPresence(given);
    case 'like':
      return likeness(words, given);
    case 'in':
      return membership(given);
    case 'is':
      return typing(given);
    case 'contains':
      return containing(words, given);
    case 'containsAll':
      return among(words, given, (all, wanted) => wanted.every((each) => all.has(each)));
    case 'containsAny':
      return among(words, given, (all, wanted) => wanted.some((each) => all.has(each)));
    case 'isEmpty':
      return emptiness(words, given);
    default:
      return Array.isArray(given) ? place(words, operator, given) : undefined;
  }
}

const bit = (holds: boolean): number => (holds ? 1 : 0);

/** A test of one value: where it isn't there, that is told. */
function test<V extends Value>(path: Path, holds: (value: V) => boolean): Test {
  return (facts) => {
    const value = valueAt(facts, path);
    return value === undefined ? 2 + missingAt(facts, path) : bit(holds(value as V));
  };
}

const found = (
  paths: readonly Path[],
  test: Test,
  strings: readonly string[] = [],
  named: readonly TypeAndId[] = [],
): Found => ({
  paths,
  test,
  strings,
  named,
});

function equality(words: Words, { left, right }: Operands, wanted: (equal: boolean) => boolean): Found | undefined {
  const entity = entityOf(left) ?? entityOf(right);
  if (entity !== undefined) {
    const variable = variableOf(entityOf(left) === undefined ? left : right);
    return variable && found([], (facts) => bit(wanted(isEntity(whoIs(facts, variable), entity))), [], [entity]);
  }
  const [a, b] = [pathOf(left), pathOf(right)];
  if (a !== undefined && b !== undefined) {
    const kind = words.kindOf(a);
    if ((kind !== 'string' && kind !== 'long') || words.kindOf(b) !== kind) return undefined;
    return found([a, b], (facts) => {
      const value = valueAt(facts, a);
      if (value === undefined) return 2 + missingAt(facts, a);
      const other = valueAt(facts, b);
      return other === undefined ? 16 + missingAt(facts, b) : bit(wanted(value === other));
    });
  }
  const path = a ?? b;
  const literal = literalOf(a === undefined ? left : right);
  if (path === undefined || literal === undefined) return undefined;
  if (words.kindOf(path) !== (typeof literal === 'string' ? 'string' : 'long')) return undefined;
  return found(
    [path],
    test(path, (value) => wanted(value === literal)),
    typeof literal === 'string' ? [literal] : [],
  );
}

function order(words: Words, { left, right }: Operands, holds: (a: number, b: number) => boolean): Found | undefined {
  const path = pathOf(left) ?? pathOf(right);
  if (path === undefined) return undefined;
  const kind = words.kindOf(path);
  const other = pathOf(left) === undefined ? left : right;
  const bound = kind === 'long' ? literalOf(other) : kind === 'instant' ? instantOf(other) : undefined;
  if (typeof bound !== 'number') return undefined;
  return found(
    [path],
    test<number>(path, other === right ? (value) => holds(value, bound) : (value) => holds(bound, value)),
  );
}

function presence({ left, attr }: Operands): Found | undefined {
  const from = pathOf(left);
  if (from === undefined || from.tag !== undefined) return undefined;
  const names = Array.isArray(attr) ? attr : [attr];
  const path = { of: from.of, steps: [...from.steps, ...names] };
  // what is asked about is there, or the question is an error
  return found([path], (facts) => {
    if (from.steps.length > 0 && valueAt(facts, from) === undefined) return 2 + missingAt(facts, from);
    return bit(valueAt(facts, path) !== undefined);
  });
}

function tagPresence({ left, right }: Operands): Found | undefined {
  const path = pathOf(left);
  const tag = literalOf(right);
  if (path === undefined || path.tag !== undefined || typeof tag !== 'string' || !hasTags(path)) return undefined;
  return found([path], (facts) => bit(Object.hasOwn(tagsOf(facts, path), tag)));
}

function likeness(words: Words, { left, pattern }: Operands): Found | undefined {
  const path = pathOf(left);
  if (path === undefined || words.kindOf(path) !== 'string') return undefined;
  const parts: string[] = [''];
  for (const each of pattern) {
    if (each === 'Wildcard') parts.push('');
    else parts.push(`${parts.pop()}${each.Literal}`);
  }
  return found(
    [path],
    test<string>(path, (value) => isLike(value, parts)),
  );
}

/** Whether a text is these parts with anything between them. Takes time for its length times theirs at the most. */
export function isLike(text: string, parts: readonly string[]): boolean {
  const [first = '', ...rest] = parts;
  if (rest.length === 0) return text === first;
  const last = rest.pop() as string;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const next = text.indexOf(part, at);
    if (next < 0) return false;
    at = next + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

type Variable = 'principal' | 'resource' | 'action';

function variableOf(expr: Expr): Variable | undefined {
  const name = 'Var' in expr ? (expr as { Var: string }).Var : undefined;
  return name === 'principal' || name === 'resource' || name === 'action' ? name : undefined;
}

function whoIs(facts: Facts, variable: Variable): TypeAndId {
  return variable === 'action' ? { type: 'Action', id: facts.request.action } : facts[variable];
}

const isEntity = (one: TypeAndId, other: TypeAndId): boolean => one.type === other.type && one.id === other.id;

/** Whether a variable is an entity, or in it. */
export function isWithin(facts: Facts, variable: Variable, entity: TypeAndId): boolean {
  if (isEntity(whoIs(facts, variable), entity)) return true;
  if (variable === 'principal') return entity.type === 'Role' && facts.roles.includes(entity.id);
  if (variable !== 'resource') return false;
  if (entity.type === 'Role') return facts.resourceRoles.includes(entity.id);
  return entity.type === 'Api' && facts.api === entity.id;
}

function membership({ left, right }: Operands): Found | undefined {
  const variable = variableOf(left);
  const entities = entitiesOf(right);
  if (variable === undefined || entities === undefined) return undefined;
  return found([], (facts) => bit(entities.some((entity) => isWithin(facts, variable, entity))), [], entities);
}

function typing({ left, entity_type: type, in: within }: Operands): Found | undefined {
  const variable = variableOf(left);
  const entity = within === undefined ? undefined : entityOf(within);
  if (variable === undefined || (within !== undefined && entity === undefined)) return undefined;
  return found(
    [],
    (facts) => bit(whoIs(facts, variable).type === type && (entity === undefined || isWithin(facts, variable, entity))),
    [],
    entity === undefined ? [] : [entity],
  );
}

function containing(words: Words, { left, right }: Operands): Found | undefined {
  const [set, literal] = [pathOf(left), literalOf(right)];
  if (set !== undefined && typeof literal === 'string' && words.kindOf(set) === 'strings') {
    return found(
      [set],
      test<readonly string[]>(set, (value) => value.includes(literal)),
      [literal],
    );
  }
  const [list, path] = [stringsOf(left), pathOf(right)];
  if (list === undefined || path === undefined || words.kindOf(path) !== 'string') return undefined;
  const all = new Set(list);
  return found(
    [path],
    test<string>(path, (value) => all.has(value)),
    list,
  );
}

function among(
  words: Words,
  { left, right }: Operands,
  holds: (all: ReadonlySet<string>, wanted: readonly string[]) => boolean,
): Found | undefined {
  const [path, list] = [pathOf(left) ?? pathOf(right), stringsOf(left) ?? stringsOf(right)];
  if (path === undefined || list === undefined || words.kindOf(path) !== 'strings') return undefined;
  const all = new Set(list);
  const given = pathOf(left) === undefined;
  return found(
    [path],
    test<readonly string[]>(path, (value) => (given ? holds(all, value) : holds(new Set(value), list))),
    list,
  );
}

function emptiness(words: Words, { arg }: Operands): Found | undefined {
  const path = pathOf(arg);
  if (path === undefined || words.kindOf(path) !== 'strings') return undefined;
  return found(
    [path],
    test<readonly string[]>(path, (value) => value.length === 0),
  );
}

const networksOf: Readonly<Record<string, readonly string[]>> = {
  isLoopback: ['127.0.0.0/8', '::1'],
  isMulticast: ['224.0.0.0/4', 'ff00::/8'],
  isIpv4: ['0.0.0.0/0'],
  isIpv6: ['::/0'],
};

function place(words: Words, name: string, [left, right, ...rest]: readonly Expr[]): Found | undefined {
  const path = left && pathOf(left);
  if (path === undefined || rest.length > 0 || words.kindOf(path) !== 'address') return undefined;
  let networks: (Prefix | undefined)[];
  if (name === 'isInRange' && right !== undefined) networks = [networkOf(right)];
  else if (Object.hasOwn(networksOf, name) && right === undefined) networks = (networksOf[name] ?? []).map(readNetwork);
  else return undefined;
  if (!networks.every((network) => network !== undefined)) return undefined;
  return found(
    [path],
    test<Prefix>(path, (value) => networks.some((network) => isInside(value, network))),
  );
}
