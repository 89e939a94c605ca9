/**
 * Distinguished names in DER, and the one spelling in which names are compared: what an administrator wrote
 * (`credentials/distinguished-name.ts`) and what a certificate holds are the same name exactly when their texts are.
 * @see RFC 4514
 */
import { isUtf8 } from 'node:buffer';
import { atEnd, der, type Element, end, malformed, oid, oidOf, only, readerOf, sequence, tags, take } from './der.ts';

/** What RFC 4514 §3 and common use call attribute types; all others are dotted numbers. */
export const attributeNames: Readonly<Record<string, string>> = {
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

/** One attribute: its type as `attributeNames` has it, or a dotted number; its value as text, nothing escaped. */
export interface NameAttribute {
  type: string;
  /** DER of what is no text: it stands as hexadecimal, which no registered name has. */
  value: string | Buffer;
}

/**
 * A name in its one spelling: the usual names of types, nothing escaped that need not be, no blanks around `,` `+` `=`,
 * attributes of one part in the order of their texts.
 * @param parts the most specific first, as RFC 4514 §2.1 writes them (and DER doesn't)
 */
export function formatName(parts: readonly (readonly NameAttribute[])[]): string {
  return parts
    .map((attributes) =>
      attributes
        .map(({ type, value }) => `${type}=${typeof value === 'string' ? escaped(value) : `#${value.toString('hex')}`}`)
        .toSorted()
        .join('+'),
    )
    .join(',');
}

/** @see RFC 4514 §2.4 */
function escaped(value: string): string {
  return value
    .replaceAll(/["+,;<>\\]/g, '\\$&')
    .replaceAll(/[\u0000-\u001f\u007f]/g, (c) => `\\${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replaceAll(/^[ #]| $/g, '\\$&'); // in one go: a lone blank is first and last
}

/**
 * A Name in its one spelling. An empty one is an empty text.
 * @throws ProtocolError `malformed`
 * @see RFC 4514 §2
 */
export function dnOf(name: Buffer): string {
  const reader = readerOf(only(name, tags.sequence).content);
  const parts: NameAttribute[][] = [];
  while (!atEnd(reader)) parts.unshift(attributesOf(take(reader, tags.set)));
  return formatName(parts);
}

function attributesOf(set: Element): NameAttribute[] {
  const reader = readerOf(set.content);
  if (atEnd(reader)) malformed('a name has an empty part');
  const attributes: NameAttribute[] = [];
  while (!atEnd(reader)) {
    const pair = readerOf(take(reader, tags.sequence).content);
    const type = oidOf(take(pair, tags.oid));
    const value = take(pair);
    end(pair);
    attributes.push({ type: attributeNames[type] ?? type, value: textOf(value) });
  }
  return attributes;
}

/** Kinds of string whose bytes are UTF-8. */
const texts: readonly number[] = [tags.utf8String, tags.printableString, tags.ia5String];

function textOf({ tag, bytes, content }: Element): string | Buffer {
  if (!texts.includes(tag)) return bytes;
  return isUtf8(content) ? content.toString('utf8') : malformed('a name is not UTF-8');
}

const name = (type: string, text: string) =>
  sequence(der(tags.set, sequence(oid(type), der(tags.utf8String, Buffer.from(text, 'utf8')))));

/** A Name that is one common name. */
export const commonName = (text: string): Buffer => name('2.5.4.3', text);

/** A Name that is one user id. */
export const userId = (text: string): Buffer => name('0.9.2342.19200300.100.1.1', text);
