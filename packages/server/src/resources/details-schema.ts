/**
 * What the registered types of details say of a detail: the whole of it in a request, parts of it in a role's bound and in an operation's
 * template. A type's schema is of one detail as an object; it may say something of `type` itself, and need not.
 */
import {
  type AuthorizationDetail,
  asOperationDetail,
  boundedCache,
  type CompareRule,
  type DetailsType,
  type Operation,
  operationType,
  ProtocolError,
  parameterNames,
  parametersIn,
  readByApi,
  readDetail,
} from '@bailiwick/protocol';
import { type JsonType, type RootSchema, readSchema, type Schema, SchemaError } from '../lib/json-schema.ts';
import { type Wrong, wrongWith, wrongWithMember } from '../lib/json-schema-check.ts';

const byType = new WeakMap<DetailsType, Promise<RootSchema>>();
/** Resources are read anew with every version of the registry, and their schemas are mostly the same. */
const byText = boundedCache<Promise<RootSchema>>(200);

/** The schema of a type, read once. @throws SchemaError */
function schemaOf(type: DetailsType): Promise<RootSchema> {
  let schema = byType.get(type);
  if (!schema) {
    const text = JSON.stringify(type.schema);
    schema = byText.get(text) ?? readRoot(type.schema);
    byText.set(text, schema);
    byType.set(type, schema);
  }
  return schema;
}

async function readRoot(schema: Readonly<Record<string, unknown>>): Promise<RootSchema> {
  const root = await readSchema(schema);
  // only then does it say which members there are, and everything else is refused
  if (root.types?.size !== 1 || !root.types.has('object')) {
    throw new SchemaError('type', 'must be object: it describes one detail');
  }
  return root;
}

/**
 * Checks a type when it is registered: its schema, and that its rules are of members that the schema has, and of fitting types.
 * Answers how many patterns its schema has: what takes several types bounds them together.
 * @throws SchemaError naming the place below the type: `schema.properties.x.pattern`, `compare.amount`
 */
export async function checkDetailsType(type: DetailsType): Promise<number> {
  let root: RootSchema;
  try {
    root = await schemaOf(type);
  } catch (error) {
    if (error instanceof SchemaError)
      throw new SchemaError(error.at === '' ? 'schema' : `schema.${error.at}`, error.message);
    throw error;
  }
  for (const [member, rule] of Object.entries(type.compare)) {
    const at = `compare.${member}`;
    const schema = root.properties.get(member);
    if (member === 'type' || schema === undefined)
      throw new SchemaError(at, 'must be of a member in properties of the schema');
    const fitting = fittingTypes[rule];
    if (fitting === undefined) continue;
    const types = typesOf(schema);
    if (types === undefined || ![...types].every((each) => fitting.includes(each))) {
      throw new SchemaError(at, `must be of a member of type ${fitting[0]}: ${rule} compares nothing else`);
    }
  }
  return root.patterns;
}

/** What a rule can compare. */
const fittingTypes: Readonly<Record<CompareRule, readonly JsonType[] | undefined>> = {
  equal: undefined,
  subset: ['array'],
  at_most: ['number', 'integer'],
  at_least: ['number', 'integer'],
  prefix: ['string'],
};

/** The types that a schema allows, through its references; undefined: any. */
function typesOf(schema: Schema): ReadonlySet<JsonType> | undefined {
  if (typeof schema === 'boolean') return undefined;
  if (schema.types !== undefined) return schema.types;
  for (const each of schema.all) {
    const types = typesOf(each);
    if (types !== undefined) return types;
  }
  return undefined;
}

/**
 * Checks details as a request names them: each of a type that is registered, or of the built-in one, and valid for it.
 * @param field what the first detail's number is put behind: `authorization_details`
 * @throws ProtocolError `bad_details`, naming the place
 * @see RFC 9396 §5
 */
export async function checkDetails(
  types: readonly DetailsType[],
  details: readonly AuthorizationDetail[],
  field: string,
): Promise<void> {
  for (const [index, detail] of details.entries()) {
    const at = `${field}[${index}]`;
    if (detail.type === operationType) {
      asOperationDetail(detail, at);
      continue;
    }
    const schema = await schemaOf(registered(types, detail, at));
    const { type: _, ...members } = detail;
    const wrong = wrongWith(schema, schema.properties.has('type') ? detail : members);
    if (wrong) throw bad(at, wrong);
  }
}

/**
 * Checks a role's bound: a part of a detail. Each member must be one that a detail can have, and something that its rule can compare with.
 * @throws ProtocolError `bad_details`
 */
export async function checkBound(types: readonly DetailsType[], bound: unknown, at: string): Promise<void> {
  const detail = readDetail(bound, at);
  if (detail.type === operationType) {
    asOperationDetail(detail, at, { partial: true });
    return;
  }
  const type = registered(types, detail, at);
  await checkMembers(type, detail, at, (member) => {
    const rule = Object.hasOwn(type.compare, member) ? type.compare[member] : undefined;
    // a bound may be wider than any one detail: it only has to compare
    if (rule === 'prefix') return typeof detail[member] === 'string';
    return (rule === 'at_most' || rule === 'at_least') && typeof detail[member] === 'number';
  });
}

/**
 * Checks an operation's template of details: of a registered type, each member one that it has; what stands for a parameter names one
 * that the path has, and a member that can be text, as parameters of a path are.
 * @throws ProtocolError `bad_details`
 */
export async function checkTemplate(types: readonly DetailsType[], operation: Operation, at: string): Promise<void> {
  if (operation.details === undefined) return;
  const template = readDetail(operation.details, at);
  if (template.type === operationType)
    throw bad(at, { at: 'type', message: `must not be ${operationType}: that names operations` });
  const type = registered(types, template, at);
  const known = parameterNames(operation);
  const unknown = parametersIn(template).find((name) => known?.includes(name) === false);
  if (unknown !== undefined)
    throw bad(at, { at: '', message: `must name parameters of the path: it has no {${unknown}}` });
  const schema = await schemaOf(type);
  await checkMembers(type, template, at, (member) => {
    const value = template[member];
    const isMember = schema.properties.has(member) || schema.additionalProperties !== undefined;
    if (value === readByApi) return isMember;
    if (/\{[A-Za-z_]\w*\*?\}/.test(strings(value))) {
      throw bad(at, { at: member, message: 'may have {name} as a whole value only' });
    }
    if (parametersIn(value).length === 0) return false;
    const allowed = typeof value === 'string' && typesOf(schema.properties.get(member) ?? true);
    if (known !== undefined && allowed && !allowed.has('string')) {
      throw bad(at, {
        at: member,
        message: `is of type ${[...allowed].join(' or ')}, and a parameter of a path is text`,
      });
    }
    return isMember;
  });
}

/** All strings within a value that are no whole placeholder, one after the other. */
function strings(value: unknown): string {
  if (typeof value === 'string') return /^\{[A-Za-z_]\w*\}$/.test(value) ? '' : `${value}\n`;
  return typeof value === 'object' && value !== null ? Object.values(value).map(strings).join('') : '';
}

/** @param isFine members that are not held against the schema, since something else has been looked at */
async function checkMembers(
  type: DetailsType,
  detail: AuthorizationDetail,
  at: string,
  isFine: (member: string) => boolean,
): Promise<void> {
  const schema = await schemaOf(type);
  for (const member of Object.keys(detail)) {
    if (member === 'type' || isFine(member)) continue;
    const wrong = wrongWithMember(schema, member, detail[member]);
    if (wrong) throw bad(at, wrong);
  }
}

function registered(types: readonly DetailsType[], detail: AuthorizationDetail, at: string): DetailsType {
  const type = types.find((each) => each.type === detail.type);
  if (!type) throw bad(at, { at: 'type', message: 'is no type of details that this resource has' });
  return type;
}

function bad(field: string, { at, message }: Wrong): ProtocolError {
  const place = at === '' || at.startsWith('[') ? `${field}${at}` : `${field}.${at}`;
  return new ProtocolError('bad_details', `${place} ${message}`);
}
