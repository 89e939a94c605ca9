/**
 * A bounded part of JSON Schema (draft 2020-12) for schemas and values that others wrote. What can't be checked in bounded time, or leads
 * elsewhere, is refused when the schema is registered: a keyword that isn't known is a condition that nobody would hold.
 *
 * Objects are closed: members that a schema doesn't name are refused unless it says `additionalProperties`. What stands in `allOf`, `anyOf`,
 * `oneOf` or behind `$ref` closes by itself only where the schema around it says nothing of objects; else that one does.
 */
import { canonicalJson, isJsonObject } from '@bailiwick/protocol';
import { formats } from './json-schema-formats.ts';
import { type Pattern, patternReader } from './json-schema-patterns.ts';

export const jsonTypes = ['null', 'boolean', 'object', 'array', 'number', 'integer', 'string'] as const;
export type JsonType = (typeof jsonTypes)[number];

/** A schema that has been read, with everything that it refers to. `true` allows anything, `false` nothing. */
export type Schema = boolean | SchemaNode;

export interface SchemaNode {
  types: ReadonlySet<JsonType> | undefined;
  /** Values in canonical JSON, of `enum` and `const`. */
  values: readonly ReadonlySet<string>[];
  properties: ReadonlyMap<string, Schema>;
  patternProperties: readonly { pattern: Pattern; schema: Schema }[];
  additionalProperties: Schema | undefined;
  /** Whether it says anything of objects' members; then it is closed. */
  ofObjects: boolean;
  required: readonly string[];
  items: Schema | undefined;
  prefixItems: readonly Schema[];
  uniqueItems: boolean;
  pattern: Pattern | undefined;
  format: keyof typeof formats | undefined;
  /** Of numbers, lengths, items and properties. */
  limits: Readonly<Partial<Record<Limit, number>>>;
  /** `$ref` and `allOf`. */
  all: readonly Schema[];
  any: readonly Schema[] | undefined;
  one: readonly Schema[] | undefined;
  not: Schema | undefined;
}

/** A whole schema. */
export interface RootSchema extends SchemaNode {
  /** How many patterns are in it. */
  patterns: number;
}

const numberLimits = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'] as const;
const countLimits = ['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties'] as const;
export type Limit = (typeof numberLimits)[number] | (typeof countLimits)[number];

/** Bytes of a schema; levels of nesting; schemas in it, references followed; patterns in it; values of an `enum`. */
const bounds = { bytes: 16_384, depth: 12, schemas: 1000, patterns: 20, values: 200 };

const draft = 'https://json-schema.org/draft/2020-12/schema';
const annotations = ['title', 'description', '$comment', 'default', 'examples', 'deprecated'];

/** A schema that is refused. `at` is where, as `properties.amount.pattern`. */
export class SchemaError extends Error {
  readonly at: string;

  constructor(at: string, message: string) {
    super(message);
    this.name = 'SchemaError';
    this.at = at;
  }
}

interface Reading {
  defs: Readonly<Record<string, unknown>>;
  /** By name; `reading` while that is going on: who meets it then goes around in a circle. */
  known: Map<string, Schema | 'reading'>;
  pattern(text: string, at: string): Pattern;
  patterns: number;
  sizes: Map<Schema, number>;
}

/**
 * Reads a schema.
 * @throws SchemaError naming the place
 */
export async function readSchema(schema: unknown): Promise<RootSchema> {
  if (!isJsonObject(schema)) throw new SchemaError('', 'must be an object');
  const text = canonical(schema, '');
  if (Buffer.byteLength(text) > bounds.bytes) throw new SchemaError('', `must be at most ${bounds.bytes} bytes`);
  const defs = schema.$defs ?? {};
  if (!isJsonObject(defs)) throw new SchemaError('$defs', 'must be an object of schemas');
  // few schemas have patterns
  const readPattern = /"pattern(?:Properties)?":/.test(text) ? await patternReader() : () => 'must be a pattern';
  const reading: Reading = {
    defs,
    known: new Map(),
    patterns: 0,
    pattern(of, at) {
      if (++reading.patterns > bounds.patterns) {
        throw new SchemaError(at, `must not be one more: a schema has at most ${bounds.patterns} patterns`);
      }
      const pattern = readPattern(of);
      if (typeof pattern === 'string') throw new SchemaError(at, pattern);
      return pattern;
    },
    sizes: new Map(),
  };
  for (const name of Object.keys(defs)) definition(reading, name, `$defs.${name}`);
  return { ...readNode(reading, schema, '', 0), patterns: reading.patterns };
}

function read(reading: Reading, schema: unknown, at: string, depth: number): Schema {
  if (typeof schema === 'boolean') return schema;
  if (!isJsonObject(schema)) throw new SchemaError(at, 'must be a schema: an object, true or false');
  return readNode(reading, schema, at, depth);
}

type SchemaObject = Readonly<Record<string, unknown>>;

function readNode(reading: Reading, schema: SchemaObject, at: string, depth: number): SchemaNode {
  if (depth > bounds.depth) throw new SchemaError(at, `must be nested at most ${bounds.depth} deep`);
  const place = (keyword: string) => (at === '' ? keyword : `${at}.${keyword}`);
  for (const keyword of Object.keys(schema)) checkKeyword(keyword, schema[keyword], place(keyword), depth);
  const sub = (value: unknown, where: string) => read(reading, value, where, depth + 1);
  const list = (keyword: string): Schema[] | undefined => {
    const value = schema[keyword];
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length === 0) throw new SchemaError(place(keyword), 'must be a list of schemas');
    return value.map((each, index) => sub(each, `${place(keyword)}[${index}]`));
  };
  const map = (keyword: string): [string, Schema][] => {
    const value = schema[keyword] ?? {};
    if (!isJsonObject(value)) throw new SchemaError(place(keyword), 'must be an object of schemas');
    return Object.keys(value).map((name) => [name, sub(value[name], `${place(keyword)}.${name}`)]);
  };
  const optional = (keyword: string) =>
    schema[keyword] === undefined ? undefined : sub(schema[keyword], place(keyword));
  const node: SchemaNode = {
    types: readTypes(schema.type, place('type')),
    values: readValues(schema, place),
    properties: new Map(map('properties')),
    patternProperties: map('patternProperties').map(([text, each]) => ({
      pattern: reading.pattern(text, place('patternProperties')),
      schema: each,
    })),
    additionalProperties: optional('additionalProperties'),
    ofObjects: ['properties', 'patternProperties', 'required', 'minProperties', 'maxProperties'].some((keyword) =>
      Object.hasOwn(schema, keyword),
    ),
    required: readNames(schema.required, place('required')),
    items: optional('items'),
    prefixItems: list('prefixItems') ?? [],
    uniqueItems: readFlag(schema.uniqueItems, place('uniqueItems')),
    pattern: schema.pattern === undefined ? undefined : reading.pattern(schema.pattern as string, place('pattern')),
    format: readFormat(schema.format, place('format')),
    limits: readLimits(schema, place),
    all: [
      ...(schema.$ref === undefined ? [] : [reference(reading, schema.$ref, place('$ref'))]),
      ...(list('allOf') ?? []),
    ],
    any: list('anyOf'),
    one: list('oneOf'),
    not: optional('not'),
  };
  const closed = { ...node, ofObjects: node.ofObjects || node.types?.has('object') === true };
  checkSize(reading, closed, at);
  return closed;
}

const known = new Set<string>([
  ...['$ref', 'type', 'enum', 'const', 'allOf', 'anyOf', 'oneOf', 'not', 'format', 'pattern'],
  ...['properties', 'patternProperties', 'additionalProperties', 'required', 'items', 'prefixItems', 'uniqueItems'],
  ...numberLimits,
  ...countLimits,
  ...annotations,
]);

function checkKeyword(keyword: string, value: unknown, at: string, depth: number): void {
  if (keyword === '$schema' && depth === 0) {
    if (value !== draft && value !== `${draft}#`) throw new SchemaError(at, `must be ${draft}`);
  } else if (keyword === '$defs') {
    if (depth > 0) throw new SchemaError(at, 'must stand at the top');
  } else if (!known.has(keyword)) {
    throw new SchemaError(at, 'is a keyword that is not accepted here');
  } else if (keyword === 'pattern' && typeof value !== 'string') {
    throw new SchemaError(at, 'must be a string');
  }
}

function reference(reading: Reading, ref: unknown, at: string): Schema {
  const name = typeof ref === 'string' ? /^#\/\$defs\/([\w.-]{1,100})$/.exec(ref)?.[1] : undefined;
  if (name === undefined) throw new SchemaError(at, 'must lead into this schema: #/$defs/<name>');
  return definition(reading, name, at);
}

function definition(reading: Reading, name: string, at: string): Schema {
  const found = reading.known.get(name);
  if (found === 'reading') throw new SchemaError(at, 'must not lead back to itself');
  if (found !== undefined) return found;
  if (!Object.hasOwn(reading.defs, name)) throw new SchemaError(at, 'names no definition in $defs');
  reading.known.set(name, 'reading');
  const schema = read(reading, reading.defs[name], `$defs.${name}`, 1);
  reading.known.set(name, schema);
  return schema;
}

/** How many schemas it comes to if every reference is followed: definitions that name one another twice grow without a circle. */
function checkSize(reading: Reading, node: SchemaNode, at: string): void {
  const size = (schema: Schema | undefined): number =>
    schema === undefined || typeof schema === 'boolean' ? 0 : (reading.sizes.get(schema) ?? 0);
  const within = [
    ...node.properties.values(),
    ...node.patternProperties.map(({ schema }) => schema),
    ...[node.additionalProperties, node.items, node.not],
    ...node.prefixItems,
    ...node.all,
    ...(node.any ?? []),
    ...(node.one ?? []),
  ];
  const total = within.reduce<number>((sum, schema) => sum + size(schema), 1);
  if (total > bounds.schemas) throw new SchemaError(at, `must come to at most ${bounds.schemas} schemas`);
  reading.sizes.set(node, total);
}

function readTypes(value: unknown, at: string): ReadonlySet<JsonType> | undefined {
  if (value === undefined) return undefined;
  const types = Array.isArray(value) ? value : [value];
  if (types.length === 0 || !types.every((type) => jsonTypes.includes(type))) {
    throw new SchemaError(at, `must be of ${jsonTypes.join(', ')}`);
  }
  return new Set(types as JsonType[]);
}

function readValues(schema: Readonly<Record<string, unknown>>, place: (keyword: string) => string) {
  const values: ReadonlySet<string>[] = [];
  if (schema.enum !== undefined) {
    if (!Array.isArray(schema.enum) || schema.enum.length === 0 || schema.enum.length > bounds.values) {
      throw new SchemaError(place('enum'), `must be a list of 1 to ${bounds.values} values`);
    }
    values.push(new Set(schema.enum.map((value) => canonical(value, place('enum')))));
  }
  if (schema.const !== undefined) values.push(new Set([canonical(schema.const, place('const'))]));
  return values;
}

function canonical(value: unknown, at: string): string {
  try {
    return canonicalJson(value);
  } catch {
    throw new SchemaError(at, 'must be JSON, in valid Unicode and not nested without end');
  }
}

function readNames(value: unknown, at: string): readonly string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return [...new Set(value)];
  throw new SchemaError(at, 'must be a list of names');
}

function readFlag(value: unknown, at: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  throw new SchemaError(at, 'must be true or false');
}

function readFormat(value: unknown, at: string): keyof typeof formats | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && Object.hasOwn(formats, value)) return value as keyof typeof formats;
  throw new SchemaError(at, `must be one of ${Object.keys(formats).join(', ')}`);
}

function readLimits(schema: Readonly<Record<string, unknown>>, place: (keyword: string) => string) {
  const limits: Partial<Record<Limit, number>> = {};
  for (const keyword of numberLimits) {
    const value = schema[keyword];
    if (value === undefined) continue;
    if (!Number.isFinite(value) || (keyword === 'multipleOf' && (value as number) <= 0)) {
      throw new SchemaError(place(keyword), keyword === 'multipleOf' ? 'must be a number above 0' : 'must be a number');
    }
    limits[keyword] = value as number;
  }
  for (const keyword of countLimits) {
    const value = schema[keyword];
    if (value === undefined) continue;
    if (!Number.isSafeInteger(value) || (value as number) < 0) {
      throw new SchemaError(place(keyword), 'must be a whole number, 0 or more');
    }
    limits[keyword] = value as number;
  }
  return limits;
}
