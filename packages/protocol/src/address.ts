import { isIP } from 'node:net';
import { boundedCache } from './bounded-cache.ts';

/**
 * A network: all addresses whose first `length` bits are those of `value`. An address is a network of one. An IPv4 address is
 * one however it is written: `::ffff:192.0.2.1` is `192.0.2.1`.
 */
export interface Prefix {
  readonly bits: 32 | 128;
  readonly value: bigint;
  readonly length: number;
}

const mapped = 0xffffn << 32n;

/** A server hears from the same addresses again and again, and asks about each several times. */
const known = boundedCache<Prefix>(4_096);
const longest = 45;

/** Reads an address, in any spelling of IPv4, IPv6 and IPv4 in IPv6. What names an interface too (`fe80::1%eth0`) is none. */
export function readAddress(text: string): Prefix | undefined {
  if (text.length > longest) return undefined;
  const before = known.get(text);
  if (before !== undefined) return before;
  const read = readAnew(text);
  if (read !== undefined) known.set(text, read);
  return read;
}

function readAnew(text: string): Prefix | undefined {
  const version = text.includes('%') ? 0 : isIP(text);
  if (version === 0) return undefined;
  if (version === 4) return { bits: 32, value: ipv4(text), length: 32 };
  const value = ipv6(text);
  return value >> 32n === 0xffffn ? { bits: 32, value: value - mapped, length: 32 } : { bits: 128, value, length: 128 };
}

/**
 * Reads an address or a network (`10.0.0.0/8`, `::ffff:10.0.0.0/104`).
 * @returns undefined for what is neither; bits beyond the prefix are kept, so that a caller can refuse or {@link masked mask} them
 */
export function readNetwork(text: string): Prefix | undefined {
  const [address = '', suffix, ...rest] = text.split('/');
  const one = readAddress(address);
  if (one === undefined || rest.length > 0) return undefined;
  if (suffix === undefined) return one;
  const written = /^(0|[1-9]\d{0,2})$/.test(suffix) ? Number(suffix) : Number.NaN;
  if (isIP(address) === 4) return written <= 32 ? { ...one, length: written } : undefined;
  if (!(written <= 128)) return undefined;
  if (one.bits === 128) return { ...one, length: written };
  if (written >= 96) return { ...one, length: written - 96 };
  return { bits: 128, value: one.value + mapped, length: written };
}

/** The same network, with nothing beyond its prefix. */
export function masked({ bits, value, length }: Prefix): Prefix {
  const beyond = BigInt(bits - length);
  return { bits, value: (value >> beyond) << beyond, length };
}

/** Whether all of `inner` is in `outer`. */
export function isInside(inner: Prefix, outer: Prefix): boolean {
  if (inner.bits !== outer.bits || inner.length < outer.length) return false;
  const beyond = BigInt(outer.bits - outer.length);
  return inner.value >> beyond === outer.value >> beyond;
}

/** The fewest networks that hold the same addresses, in a fixed order: equal sets are equal lists. */
export function fewest(list: readonly Prefix[]): Prefix[] {
  const kept: Prefix[] = [];
  for (const each of [...list].sort(inOrder)) {
    const last = kept.at(-1);
    if (last !== undefined && isInside(each, last)) continue;
    kept.push(each);
    for (let whole = joined(kept); whole !== undefined; whole = joined(kept)) kept.splice(-2, 2, whole);
  }
  return kept;
}

/** The network of the last two, where they are its halves. */
function joined(list: readonly Prefix[]): Prefix | undefined {
  const [low, high] = list.slice(-2);
  if (low === undefined || high === undefined || low.bits !== high.bits || low.length !== high.length) return undefined;
  const whole = masked({ ...low, length: low.length - 1 });
  return low.length > 0 && low.value !== high.value && isInside(high, whole) ? whole : undefined;
}

function inOrder(a: Prefix, b: Prefix): number {
  if (a.bits !== b.bits) return a.bits - b.bits;
  if (a.value !== b.value) return a.value < b.value ? -1 : 1;
  return a.length - b.length;
}

/** Writes a network in its one canonical form (RFC 5952); an address stands without its length. */
export function formatPrefix({ bits, value, length }: Prefix): string {
  const address = bits === 32 ? dotted(value) : formatIpv6(value);
  return length === bits ? address : `${address}/${length}`;
}

function ipv4(text: string): bigint {
  return BigInt(text.split('.').reduce((value, part) => value * 256 + Number(part), 0));
}

function dotted(value: bigint): string {
  const number = Number(value);
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
}

/** @param text what `isIP` says is IPv6 */
function ipv6(text: string): bigint {
  const tail = text.slice(text.lastIndexOf(':') + 1);
  const hex = tail.includes('.') ? text.slice(0, -tail.length) + groupsOf(ipv4(tail)) : text;
  const [left = '', right] = hex.split('::');
  const before = left === '' ? [] : left.split(':');
  const after = right === undefined || right === '' ? [] : right.split(':');
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  return groups.reduce((value, group) => (value << 16n) + BigInt(`0x${group}`), 0n);
}

const groupsOf = (value: bigint) => `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;

/** @see RFC 5952 §4 */
function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  let [start, longest] = [0, 1]; // a single zero isn't shortened
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (groups[i + length] === '0') length++;
    if (length > longest) [start, longest] = [i, length];
  }
  if (longest === 1) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + longest).join(':')}`;
}
