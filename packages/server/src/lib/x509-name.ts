/** Distinguished names, from DER to text and back. */
import { isUtf8 } from 'node:buffer';
import { atEnd, der, type Element, malformed, oid, oidOf, only, readerOf, sequence, tags, take } from './der.ts';

/** What RFC 4514 §3 and common use call attribute types; all others are dotted numbers. */
const attributeNames: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.9': 'STREET',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '0.9.2342.19200300.100.1.1': 'UID',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'emailAddress',
};

/** Kinds of string whose bytes are UTF-8. */
const texts: readonly number[] = [tags.utf8String, tags.printableString, tags.ia5String];

/**
 * A Name as text, the most specific part first, in the one spelling of `credentials/distinguished-name.ts`: registered names are compared with it.
 * An empty one is an empty text.
 * @throws ProtocolError `malformed`
 * @see RFC 4514 §2
 */
export function dnOf(name: Buffer): string {
  const reader = readerOf(only(name, tags.sequence).content);
  const parts: string[] = [];
  while (!atEnd(reader)) parts.push(relativeName(take(reader, tags.set)));
  return parts.reverse().join(',');
}

function relativeName(set: Element): string {
  const reader = readerOf(set.content);
  const parts: string[] = [];
  while (!atEnd(reader)) {
    const pair = readerOf(take(reader, tags.sequence).content);
    const type = oidOf(take(pair, tags.oid));
    const value = take(pair);
    if (!atEnd(pair)) malformed('a name is not as it should be');
    parts.push(`${attributeNames[type] ?? type}=${textOf(value)}`);
  }
  return parts.length > 0 ? parts.toSorted().join('+') : malformed('a name has an empty part');
}

/** What is no text stands as hexadecimal DER, which no registered name has. */
function textOf(value: Element): string {
  if (!texts.includes(value.tag)) return `#${value.bytes.toString('hex')}`;
  if (!isUtf8(value.content)) return malformed('a name is not UTF-8');
  return value.content
    .toString('utf8')
    .replaceAll(/["+,;<>\\]/g, '\\$&')
    .replaceAll(/[\u0000-\u001f\u007f]/g, (c) => `\\${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replace(/^[ #]/, '\\$&')
    .replace(/ $/, '\\ ');
}

const name = (type: string, text: string) =>
  sequence(der(tags.set, sequence(oid(type), der(tags.utf8String, Buffer.from(text, 'utf8')))));

/** A Name that is one common name. */
export const commonName = (text: string): Buffer => name('2.5.4.3', text);

/** A Name that is one user id. */
export const userId = (text: string): Buffer => name('0.9.2342.19200300.100.1.1', text);
