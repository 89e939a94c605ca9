/**
 * DER, as much of it as certificates need (X.690). The reader takes the one canonical form alone: what could be written
 * in two ways is refused, so that two parsers can't read two things.
 */
import { ProtocolError } from '@bailiwick/protocol';

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One element: `bytes` with its header, `content` without. */
export interface Element {
  tag: number;
  bytes: Buffer;
  content: Buffer;
}

/** A cursor over the elements inside of something. */
export interface Reader {
  readonly buffer: Buffer;
  at: number;
}

/** @throws ProtocolError `malformed` */
export function malformed(what: string): never {
  throw new ProtocolError('malformed', what);
}

export const readerOf = (buffer: Buffer): Reader => ({ buffer, at: 0 });

export const atEnd = (reader: Reader): boolean => reader.at >= reader.buffer.length;

/** The tag of the next element, or -1 at the end. */
export const nextTag = ({ buffer, at }: Reader): number => buffer[at] ?? -1;

/**
 * Takes the next element.
 * @param tag what it must be; anything if not said
 * @throws ProtocolError `malformed`: another tag, a length that is not in its shortest form or goes beyond the end
 */
export function take(reader: Reader, tag?: number): Element {
  const { buffer, at } = reader;
  const found = buffer[at];
  const first = buffer[at + 1];
  if (found === undefined || first === undefined) return malformed('the structure ends too early');
  if (tag !== undefined && found !== tag) return malformed('the structure is not as it should be');
  if ((found & 0x1f) === 0x1f) return malformed('the structure has a tag of several bytes');
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    const count = first - 0x80;
    if (count < 1 || count > 3 || start + count > buffer.length) return malformed('a length is not DER');
    length = buffer.readUIntBE(start, count);
    if (length < 0x80 || length < 256 ** (count - 1)) return malformed('a length is not in its shortest form');
    start += count;
  }
  const end = start + length;
  if (end > buffer.length) return malformed('the structure ends too early');
  reader.at = end;
  return { tag: found, bytes: buffer.subarray(at, end), content: buffer.subarray(start, end) };
}

/** Takes the next element if it has this tag. */
export function takeIf(reader: Reader, tag: number): Element | undefined {
  return nextTag(reader) === tag ? take(reader, tag) : undefined;
}

/** Reads a whole buffer as one element and nothing after it. @throws ProtocolError `malformed` */
export function only(buffer: Buffer, tag: number): Element {
  const reader = readerOf(buffer);
  const element = take(reader, tag);
  end(reader);
  return element;
}

/** @throws ProtocolError `malformed` if anything is left */
export function end(reader: Reader): void {
  if (!atEnd(reader)) malformed('the structure has more than it should');
}

/** An object identifier in dots. */
export function oidOf({ content }: Element): string {
  if (content.length === 0 || content.length > 40 || (content[content.length - 1]! & 0x80) !== 0) {
    return malformed('an object identifier is not DER');
  }
  const arcs: number[] = [];
  let value = 0;
  let fresh = true;
  for (const byte of content) {
    if (fresh && byte === 0x80) return malformed('an object identifier is not in its shortest form');
    value = value * 128 + (byte & 0x7f);
    if (value > Number.MAX_SAFE_INTEGER) return malformed('an object identifier is too large');
    fresh = (byte & 0x80) === 0;
    if (!fresh) continue;
    if (arcs.length === 0) {
      const top = Math.min(2, Math.floor(value / 40));
      arcs.push(top, value - top * 40);
    } else arcs.push(value);
    value = 0;
  }
  return arcs.join('.');
}

/** A boolean, as DER writes it. */
export function booleanOf({ content }: Element): boolean {
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) return malformed('a boolean is not DER');
  return content[0] === 0xff;
}

/** The bytes of an integer that is not negative, without its sign byte. */
export function unsignedOf({ content }: Element): Buffer {
  const [first, second] = content;
  if (first === undefined || first >= 0x80) return malformed('an integer is not positive');
  if (first === 0 && second !== undefined) {
    if (second < 0x80) return malformed('an integer is not in its shortest form');
    return content.subarray(1);
  }
  return content;
}

/** A small integer. */
export function smallOf(element: Element): number {
  const bytes = unsignedOf(element);
  return bytes.length > 4 ? malformed('an integer is too large') : bytes.readUIntBE(0, bytes.length);
}

/** The bytes of a bit string that is made of whole bytes. */
export function bitsOf({ content }: Element): Buffer {
  return content.length > 1 && content[0] === 0 ? content.subarray(1) : malformed('a bit string is not whole');
}

/** The numbers of the bits that are set in a list of named bits. */
export function namedBitsOf({ content }: Element): Set<number> {
  const unused = content[0];
  const last = content[content.length - 1];
  if (unused === undefined || unused > 7 || content.length > 4) return malformed('a bit string is not DER');
  const set = new Set<number>();
  if (content.length === 1) return unused === 0 ? set : malformed('a bit string is not DER');
  // DER: no zeros at the end (X.690 §11.2.2), and unused bits are zero
  if (last === undefined || ((last >> unused) & 1) === 0 || (last & ((1 << unused) - 1)) !== 0) {
    return malformed('a bit string is not DER');
  }
  for (let bit = 0; bit < (content.length - 1) * 8; bit++) {
    if (((content[1 + (bit >> 3)]! >> (7 - (bit & 7))) & 1) === 1) set.add(bit);
  }
  return set;
}

/** Milliseconds of a UTCTime or GeneralizedTime in the form that RFC 5280 §4.1.2.5 asks for. */
export function timeOf({ tag, content }: Element): number {
  const text = content.toString('latin1');
  const match =
    tag === tags.utcTime
      ? /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text)
      : tag === tags.generalizedTime
        ? /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text)
        : null;
  if (match === null) return malformed('a time is not as certificates write it');
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const full = tag === tags.utcTime ? (year < 50 ? 2000 + year : 1900 + year) : year;
  // RFC 5280 §4.1.2.5: GeneralizedTime from 2050 on alone, so that one instant has one form
  if (tag === tags.generalizedTime && full < 2050) return malformed('a time is not as certificates write it');
  const ms = Date.UTC(full, month - 1, day, hour, minute, second);
  const back = new Date(ms);
  const same = back.getUTCMonth() === month - 1 && back.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  return same ? ms : malformed('a time is none that exists');
}

// ── writing ──

/** An element with this content. */
export function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of content) length += part.length;
  const header =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : length < 0x10000
          ? [tag, 0x82, length >> 8, length & 0xff]
          : [tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff];
  const out = Buffer.allocUnsafe(header.length + length);
  let at = 0;
  for (const byte of header) out[at++] = byte;
  for (const part of content) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => der(tags.sequence, ...parts);

const written = new Map<string, Buffer>();

/** @param dotted such as `2.5.29.17`; from our code, never from outside: what was written once is kept */
export function oid(dotted: string): Buffer {
  const known = written.get(dotted);
  if (known !== undefined) return known;
  const fresh = writeOid(dotted);
  written.set(dotted, fresh);
  return fresh;
}

function writeOid(dotted: string): Buffer {
  const [top = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes: number[] = [];
  for (const arc of [top * 40 + second, ...rest]) {
    const septets = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      septets.unshift((left % 128) | 0x80);
    bytes.push(...septets);
  }
  return der(tags.oid, Buffer.from(bytes));
}

/** An integer that is not negative, from its bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const trimmed = bytes.subarray(start);
  return (trimmed[0] ?? 0) >= 0x80 ? der(tags.integer, Buffer.of(0), trimmed) : der(tags.integer, trimmed);
}

export const bitString = (bytes: Uint8Array, unused = 0): Buffer => der(tags.bitString, Buffer.of(unused), bytes);

/** A time as RFC 5280 §4.1.2.5 writes it: UTCTime until 2049. Milliseconds are cut off. */
export function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return ms < Date.UTC(2050, 0, 1)
    ? der(tags.utcTime, Buffer.from(text.slice(2), 'latin1'))
    : der(tags.generalizedTime, Buffer.from(text, 'latin1'));
}
