/**
 * Distinguished names as administrators write them, read into the one spelling in which names are compared.
 * @see RFC 4514
 */
import { ProtocolError } from '@bailiwick/protocol';
import { attributeNames, formatName, type NameAttribute } from '../lib/x509-name.ts';

const typeByName = new Map(
  Object.entries(attributeNames).flatMap(([oid, name]) => [
    [name.toLowerCase(), name],
    [oid, name],
  ]),
);

const longest = 1024;

/**
 * The one spelling of a name that somebody wrote.
 * @throws ProtocolError `malformed` with a sentence that says what is wrong
 * @see RFC 4514 §3
 */
export function canonicalName(text: string): string {
  if (text.length > longest) throw wrong(`is longer than ${longest} characters`);
  const parts: NameAttribute[][] = [[]];
  let at = 0;
  for (;;) {
    const equals = text.indexOf('=', at);
    if (equals === -1) throw wrong('has a part without "="');
    const { value, end } = readValue(text, equals + 1);
    parts.at(-1)?.push({ type: typeOf(text.slice(at, equals).trim()), value });
    if (end === text.length) break;
    if (text[end] === ',') parts.push([]);
    at = end + 1;
  }
  return formatName(parts);
}

function typeOf(name: string): string {
  const known = typeByName.get(name.toLowerCase().replace(/^oid\./, ''));
  if (known !== undefined) return known;
  if (/^(0|[1-9]\d*)(\.(0|[1-9]\d*))+$/.test(name)) return name;
  const names = Object.values(attributeNames).join(', ');
  throw wrong(`has an attribute type that is none of ${names}, and no dotted number`);
}

/** Reads up to an unescaped `,` or `+`, or to the end. Escaped bytes are UTF-8. */
function readValue(text: string, from: number): { value: string; end: number } {
  const bytes: number[] = [];
  let kept = 0; // up to where blanks at the end were escaped
  let at = from;
  while (text[at] === ' ') at += 1;
  if (text[at] === '#') throw wrong('has a value in hexadecimal BER (#…): write it as text');
  for (; at < text.length && text[at] !== ',' && text[at] !== '+'; at += 1) {
    const here = text[at] as string;
    if (here !== '\\') {
      if (/["<>;]/.test(here)) throw wrong(`has ${here} in a value: write \\${here}`);
      const point = String.fromCodePoint(text.codePointAt(at) as number);
      at += point.length - 1;
      bytes.push(...Buffer.from(point));
      continue;
    }
    const pair = text.slice(at + 1, at + 3);
    if (/^[0-9a-f]{2}$/i.test(pair)) {
      bytes.push(Number.parseInt(pair, 16));
      at += 2;
    } else if (/^[ "#+,;<=>\\]/.test(pair)) {
      bytes.push(pair.charCodeAt(0));
      at += 1;
    } else throw wrong('has a backslash that escapes nothing');
    kept = bytes.length;
  }
  while (bytes.length > kept && bytes.at(-1) === 0x20) bytes.pop();
  return { value: decoded(Buffer.from(bytes)), end: at };
}

function decoded(bytes: Buffer): string {
  const value = bytes.toString('utf8');
  if (!Buffer.from(value).equals(bytes)) throw wrong('has escaped bytes that are not UTF-8');
  if (value === '') throw wrong('has an empty value');
  if (/[\u0000-\u001f\u007f]/.test(value)) throw wrong('has a control character in a value');
  return value;
}

const wrong = (message: string) => new ProtocolError('malformed', message);
