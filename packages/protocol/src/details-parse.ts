import { type AuthorizationDetail, type OperationDetail, operationType } from './details.ts';
import { isJsonObject } from './encoding.ts';
import { ProtocolError } from './errors.ts';

/** Of one `authorization_details`: bytes of UTF-8, details, levels of nesting within one. */
export const detailsBounds = { bytes: 16_384, details: 50, depth: 8 } as const;

/**
 * Reads `authorization_details` as it comes in a request: a JSON array of objects that each have a `type`. Bounded, and free of what is no I-JSON or
 * means something to JavaScript (`__proto__`). Whether a type exists, and what its members may be, is for the resource to say;
 * only the built-in `operation` is held to its form.
 * @throws ProtocolError `bad_details`, naming index and member: `authorization_details[2].amount …`
 * @see RFC 9396 §2 and §5
 */
export function parseDetails(text: string): AuthorizationDetail[] {
  const whole = 'authorization_details';
  const { bytes, details } = detailsBounds;
  if (text.length > bytes || Buffer.byteLength(text) > bytes) throw bad(whole, `must be at most ${bytes} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw bad(whole, 'must be JSON');
  }
  if (!Array.isArray(value)) throw bad(whole, 'must be a list');
  if (value.length === 0) throw bad(whole, 'must have at least one detail');
  if (value.length > details) throw bad(whole, `must be at most ${details} details`);
  return value.map((each, index) => readDetail(each, `${whole}[${index}]`));
}

/**
 * One detail that is JSON already, such as a role's bound or an operation's template.
 * @param field how messages call it
 * @throws ProtocolError `bad_details`
 */
export function readDetail(value: unknown, field: string): AuthorizationDetail {
  if (!isJsonObject(value)) throw bad(field, 'must be an object');
  checkValue(value, field, 0);
  const { type } = value;
  if (typeof type !== 'string' || type === '' || type.length > 200) {
    throw bad(`${field}.type`, 'must be a string of 1 to 200 characters');
  }
  return value as AuthorizationDetail;
}

/**
 * Holds a detail of the built-in type to its form: names of operations and, if it wants, values of parameters.
 * @param partial also what names no operation (a role's bound: any of them)
 * @throws ProtocolError `bad_details`
 */
export function asOperationDetail(
  detail: AuthorizationDetail,
  field: string,
  { partial = false }: { partial?: boolean } = {},
): OperationDetail {
  for (const member of Object.keys(detail)) {
    if (!['type', 'actions', 'parameters'].includes(member)) {
      throw bad(`${field}.${member}`, `is no member of the type ${operationType}`);
    }
  }
  const { actions, parameters } = detail;
  if (actions !== undefined || !partial) checkStrings(actions, `${field}.actions`, 'names of operations');
  if (parameters !== undefined) {
    if (!isJsonObject(parameters)) throw bad(`${field}.parameters`, 'must be an object of lists');
    for (const [name, values] of Object.entries(parameters)) {
      checkStrings(values, `${field}.parameters.${shown(name)}`, 'values');
    }
  }
  return detail as OperationDetail;
}

function checkStrings(value: unknown, field: string, what: string): void {
  const isList = Array.isArray(value) && value.length > 0 && value.length <= 1000;
  if (!isList || !value.every((each) => typeof each === 'string')) {
    throw bad(field, `must be a list of ${what}, at least one`);
  }
}

function checkValue(value: unknown, field: string, depth: number): void {
  if (depth > detailsBounds.depth) throw bad(field, `must be nested at most ${detailsBounds.depth} deep`);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw bad(field, 'must be a number of reasonable size');
  } else if (typeof value === 'string') {
    if (!value.isWellFormed()) throw bad(field, 'must be valid Unicode');
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) checkValue(item, `${field}[${index}]`, depth + 1);
  } else if (isJsonObject(value)) {
    for (const [name, member] of Object.entries(value)) {
      if (name === '__proto__' || !name.isWellFormed()) throw bad(field, 'has a member that no detail may have');
      checkValue(member, `${field}.${shown(name)}`, depth + 1);
    }
  }
}

/** A member's name in a message: as it is if that is harmless. */
const shown = (name: string) => (/^[\w.:@-]{1,64}$/.test(name) ? name : '?');

const bad = (field: string, why: string) => new ProtocolError('bad_details', `${field} ${why}`);
