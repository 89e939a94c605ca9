/** Holds a value against a schema that was read by `json-schema.ts`, within a budget: an answer comes soon, whatever both hold. */
import { canonicalJson, isJsonObject } from '@bailiwick/protocol';
import type { JsonType, Limit, Schema, SchemaNode } from './json-schema.ts';
import { formats } from './json-schema-formats.ts';
import type { Pattern } from './json-schema-patterns.ts';

/** What is wrong with a value, and where: `to[0].iban`. */
export interface Wrong {
  at: string;
  message: string;
}

/** Steps of looking at one value by one schema; letters times instructions of patterns. Well under 100 ms. */
const mostSteps = 100_000;
const mostMatching = 1_000_000;

interface Budget {
  steps: number;
  matching: number;
}

/** Thrown within, never out of, a check. */
class Exhausted extends Error {}

/**
 * The first thing that is wrong with a value; undefined if nothing is.
 * @param closing whether members that the schema doesn't name are refused where it doesn't say
 */
export function wrongWith(schema: Schema, value: unknown, closing = true): Wrong | undefined {
  return withinBudget((budget) => look(schema, value, '', closing, budget));
}

/** The first thing that is wrong with one member of an object, by what a schema says of members alone. */
export function wrongWithMember(schema: SchemaNode, name: string, value: unknown): Wrong | undefined {
  return withinBudget((budget) => wrongMember(schema, name, value, below('', name), true, budget));
}

function withinBudget(check: (budget: Budget) => Wrong | undefined): Wrong | undefined {
  try {
    return check({ steps: mostSteps, matching: mostMatching });
  } catch (error) {
    if (error instanceof Exhausted) return { at: '', message: 'takes too long to check' };
    throw error;
  }
}

function look(schema: Schema, value: unknown, at: string, closing: boolean, budget: Budget): Wrong | undefined {
  budget.steps -= 1;
  if (budget.steps < 0) throw new Exhausted();
  if (schema === true) return undefined;
  if (schema === false) return { at, message: 'must not be there' };
  return (
    wrongType(schema, value, at) ??
    wrongValue(schema, value, at, budget) ??
    wrongKind(schema, value, at, closing, budget) ??
    wrongTogether(schema, value, at, closing, budget)
  );
}

function wrongType({ types }: SchemaNode, value: unknown, at: string): Wrong | undefined {
  if (types === undefined || [...types].some((type) => isOf(type, value))) return undefined;
  return { at, message: `must be of type ${[...types].join(' or ')}` };
}

function isOf(type: JsonType, value: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isJsonObject(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function wrongValue({ values }: SchemaNode, value: unknown, at: string, budget: Budget): Wrong | undefined {
  if (values.length === 0) return undefined;
  const text = canonicalJson(value);
  budget.steps -= text.length / 16;
  return values.every((allowed) => allowed.has(text)) ? undefined : { at, message: 'must be one of the values listed' };
}

function wrongKind(node: SchemaNode, value: unknown, at: string, closing: boolean, budget: Budget): Wrong | undefined {
  if (typeof value === 'string') return wrongString(node, value, at, budget);
  if (typeof value === 'number') return wrongNumber(node.limits, value, at);
  if (Array.isArray(value)) return wrongArray(node, value, at, budget);
  if (isJsonObject(value)) return wrongObject(node, value, at, closing, budget);
  return undefined;
}

function wrongString({ limits, pattern, format }: SchemaNode, value: string, at: string, budget: Budget) {
  if (limits.minLength !== undefined || limits.maxLength !== undefined) {
    let length = 0;
    for (const _ of value) length += 1; // letters, not units of UTF-16
    budget.steps -= length / 16;
    const wrong = wrongCount(limits, 'Length', length, 'letters', at);
    if (wrong) return wrong;
  }
  if (pattern !== undefined && !matches(pattern, value, budget)) return { at, message: 'must match its pattern' };
  if (format !== undefined && !formats[format](value)) return { at, message: `must be of the format ${format}` };
  return undefined;
}

function matches(pattern: Pattern, text: string, budget: Budget): boolean {
  budget.matching -= text.length * pattern.size;
  if (budget.matching < 0) throw new Exhausted();
  return pattern.test(text);
}

function wrongNumber(limits: SchemaNode['limits'], value: number, at: string): Wrong | undefined {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = limits;
  if (minimum !== undefined && !(value >= minimum)) return { at, message: `must be at least ${minimum}` };
  if (maximum !== undefined && !(value <= maximum)) return { at, message: `must be at most ${maximum}` };
  if (exclusiveMinimum !== undefined && !(value > exclusiveMinimum))
    return { at, message: `must be more than ${exclusiveMinimum}` };
  if (exclusiveMaximum !== undefined && !(value < exclusiveMaximum))
    return { at, message: `must be less than ${exclusiveMaximum}` };
  if (multipleOf !== undefined && !isMultiple(value, multipleOf))
    return { at, message: `must be a multiple of ${multipleOf}` };
  return undefined;
}

/** 0.3 is a multiple of 0.1, whatever floating point says. */
function isMultiple(value: number, of: number): boolean {
  const times = value / of;
  return Math.abs(times - Math.round(times)) <= 1e-9 * Math.max(1, Math.abs(times));
}

function wrongArray(node: SchemaNode, value: readonly unknown[], at: string, budget: Budget): Wrong | undefined {
  const wrong = wrongCount(node.limits, 'Items', value.length, 'items', at);
  if (wrong) return wrong;
  for (const [index, item] of value.entries()) {
    const schema = node.prefixItems[index] ?? node.items;
    const within = schema === undefined ? undefined : look(schema, item, `${at}[${index}]`, true, budget);
    if (within) return within;
  }
  if (!node.uniqueItems) return undefined;
  const texts = value.map((item) => canonicalJson(item));
  for (const text of texts) budget.steps -= 1 + text.length / 16;
  if (budget.steps < 0) throw new Exhausted();
  return new Set(texts).size === texts.length ? undefined : { at, message: 'must name each item once' };
}

function wrongObject(
  node: SchemaNode,
  value: Readonly<Record<string, unknown>>,
  at: string,
  closing: boolean,
  budget: Budget,
): Wrong | undefined {
  const names = Object.keys(value);
  const wrong = wrongCount(node.limits, 'Properties', names.length, 'members', at);
  if (wrong) return wrong;
  const missing = node.required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return { at: below(at, missing), message: 'must be there' };
  for (const name of names) {
    const within = wrongMember(node, name, value[name], below(at, name), closing, budget);
    if (within) return within;
  }
  return undefined;
}

function wrongMember(
  node: SchemaNode,
  name: string,
  value: unknown,
  at: string,
  closing: boolean,
  budget: Budget,
): Wrong | undefined {
  const own = node.properties.get(name);
  const schemas = own === undefined ? [] : [own];
  for (const { pattern, schema } of node.patternProperties) if (matches(pattern, name, budget)) schemas.push(schema);
  if (schemas.length === 0) {
    const other = node.additionalProperties ?? !(closing && node.ofObjects);
    if (other === false) return { at, message: 'is no member of this type' };
    schemas.push(other);
  }
  for (const schema of schemas) {
    const wrong = look(schema, value, at, true, budget);
    if (wrong) return wrong;
  }
  return undefined;
}

function wrongTogether(node: SchemaNode, value: unknown, at: string, closing: boolean, budget: Budget) {
  const closes = closing && !node.ofObjects;
  for (const schema of node.all) {
    const wrong = look(schema, value, at, closes, budget);
    if (wrong) return wrong;
  }
  const holds = (schema: Schema) => look(schema, value, at, closes, budget) === undefined;
  if (node.any !== undefined && !node.any.some(holds)) return { at, message: 'must be of one of the forms allowed' };
  if (node.one !== undefined && node.one.filter(holds).length !== 1)
    return { at, message: 'must be of exactly one of the forms allowed' };
  // closed, it would exclude less
  if (node.not !== undefined && look(node.not, value, at, false, budget) === undefined)
    return { at, message: 'must not be of the form excluded' };
  return undefined;
}

function wrongCount(
  limits: SchemaNode['limits'],
  of: 'Length' | 'Items' | 'Properties',
  count: number,
  what: string,
  at: string,
): Wrong | undefined {
  const least = limits[`min${of}` satisfies Limit];
  const most = limits[`max${of}` satisfies Limit];
  if (least !== undefined && count < least) return { at, message: `must have at least ${least} ${what}` };
  if (most !== undefined && count > most) return { at, message: `must have at most ${most} ${what}` };
  return undefined;
}

/** A member's name in a message: as it is if that is harmless. */
const below = (at: string, name: string) => {
  const shown = /^[\w.:@-]{1,64}$/.test(name) ? name : '?';
  return at === '' ? shown : `${at}.${shown}`;
};
