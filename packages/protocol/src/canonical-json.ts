import { ProtocolError } from './errors.ts';

const maxDepth = 128;

/**
 * JSON in its one canonical form, for hashing and signing. Members that are `undefined` are left out, as `JSON.stringify` does.
 * @throws ProtocolError `not_canonical` for what I-JSON can't hold: NaN, infinities, bigint, lone surrogates, functions,
 *   objects that aren't plain, nesting deeper than 128
 * @see RFC 8785 §3.2
 */
export function canonicalJson(value: unknown): string {
  if (!isInOrder(value, 0)) return write(value, 0);
  // members that stand in order already are written as they should be by the engine itself, several times faster
  const text = JSON.stringify(value);
  return loneSurrogate.test(text) ? write(value, 0) : text;
}

/** How `JSON.stringify` writes a lone surrogate; also matches an escaped backslash before `ud…`, which `write` sorts out. */
const loneSurrogate = /\\ud[89a-f]/;

/** Whether `JSON.stringify` writes this canonically: plain, finite, and every member after those that sort before it. */
function isInOrder(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value);
    case 'object': {
      if (value === null) return true;
      if (depth > maxDepth) return false;
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) if (!isInOrder(value[i], depth + 1)) return false;
        return !('toJSON' in value);
      }
      const prototype: unknown = Object.getPrototypeOf(value);
      if ((prototype !== Object.prototype && prototype !== null) || 'toJSON' in value) return false;
      let before: string | undefined;
      for (const name of Object.keys(value)) {
        if (before !== undefined && name < before) return false;
        before = name;
        const member = (value as Record<string, unknown>)[name];
        if (member !== undefined && !isInOrder(member, depth + 1)) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

function write(value: unknown, depth: number): string {
  if (depth > maxDepth) throw refused('nested too deeply');
  switch (typeof value) {
    case 'string':
      return writeString(value);
    case 'number':
      if (!Number.isFinite(value)) throw refused('a number that is not finite');
      return value === 0 ? '0' : String(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? writeArray(value, depth) : writeObject(value, depth);
    default:
      throw refused(`a ${typeof value}`);
  }
}

function writeString(value: string): string {
  if (!value.isWellFormed()) throw refused('a string with a lone surrogate');
  return JSON.stringify(value);
}

function writeArray(items: unknown[], depth: number): string {
  let text = '[';
  for (let i = 0; i < items.length; i++) text += (i === 0 ? '' : ',') + write(items[i], depth + 1);
  return `${text}]`;
}

function writeObject(object: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) throw refused('an object that is not plain');
  let text = '';
  // The default order of sort() is that of UTF-16 code units, which is the one RFC 8785 §3.2.3 asks for.
  for (const name of Object.keys(object).sort()) {
    const value = (object as Record<string, unknown>)[name];
    if (value === undefined) continue;
    text += `${text === '' ? '' : ','}${writeString(name)}:${write(value, depth + 1)}`;
  }
  return `{${text}}`;
}

function refused(what: string): ProtocolError {
  return new ProtocolError('not_canonical', `canonical JSON cannot hold ${what}`);
}
