import { ProtocolError } from './errors.ts';

const maxDepth = 128;

/**
 * JSON in its one canonical form, for hashing and signing. Members that are `undefined` are left out, as `JSON.stringify` does.
 * @throws ProtocolError `not_canonical` for what I-JSON can't hold: NaN, infinities, bigint, lone surrogates, functions,
 *   objects that aren't plain, nesting deeper than 128
 * @see RFC 8785 §3.2
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0);
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
