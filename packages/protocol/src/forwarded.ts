/** From whom a request came, through proxies. @see RFC 7239 */
import { readAddress } from './address.ts';
import { canonicalAddress, type Networks } from './networks.ts';

/**
 * The headers in which proxies say from whom they got a request. Exactly one of them is read: a proxy rewrites the one that it knows, and what
 * a client wrote into the other goes through untouched.
 */
export const forwardedHeaders = ['x-forwarded-for', 'forwarded'] as const;
export type ForwardedHeader = (typeof forwardedHeaders)[number];

/**
 * The address that a request came from: the other end of the connection, or, as far back as trusted proxies vouch, whom they name. What
 * is written left of the first address that we don't trust was written by that one: it counts for nothing, and is read no further
 * than it takes to find where the trusted part begins.
 * @param remote the other end of the connection, as Node names it
 * @param lines each line of that header apart, in the order received
 * @returns in its canonical form; undefined where a proxy that we trust names nobody that we can read: then the address is unknown
 */
export function clientAddress(
  remote: string | undefined,
  header: ForwardedHeader,
  lines: readonly string[] | undefined,
  isTrusted: Networks,
): string | undefined {
  let address = plain(remote?.replace(/%[^%]*$/, '')); // the interface of a link-local address is ours, not the other side's
  if (lines === undefined || lines.length === 0) return address;
  const hops = hopsFromTheRight(header, lines);
  while (address !== undefined && isTrusted(address)) {
    const hop = hops.next();
    if (hop.done) break;
    address = plain(hop.value);
  }
  return address;
}

/** Whom the proxies name, the nearest first; undefined for what can't be read. Lines that nobody gets to are not looked at. */
function* hopsFromTheRight(header: ForwardedHeader, lines: readonly string[]): Generator<string | undefined, void> {
  for (const line of lines.toReversed()) {
    const hops = header === 'forwarded' ? forwardedFor(line) : line.split(',').map((each) => node(each.trim()));
    if (hops === undefined) return yield undefined;
    yield* hops.toReversed();
  }
}

const plain = (address: string | undefined) => (address === undefined ? undefined : canonicalAddress(address));

const token = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const pairPattern = new RegExp(
  `(${token})=(?:(${token})|"((?:[^"\\\\\\x00-\\x08\\x0a-\\x1f\\x7f]|\\\\[\\t\\x20-\\x7e])*)")`,
  'y',
);
const separator = /[ \t]*([;,])[ \t]*/y;

/**
 * The `for` of each element of a `Forwarded` line, in order; undefined in the place of one that doesn't say an address.
 * @returns undefined where the line as a whole can't be read, since nobody knows then where an element begins
 * @see RFC 7239 §4
 */
export function forwardedFor(line: string): (string | undefined)[] | undefined {
  const found: (string | undefined)[] = [];
  let names = new Set<string>();
  let address: string | undefined;
  let at = /^[ \t]*/.exec(line)?.[0].length ?? 0;
  const end = line.trimEnd().length;
  for (;;) {
    pairPattern.lastIndex = at;
    const [pair, name, plainValue, quoted] = pairPattern.exec(line) ?? [];
    if (pair !== undefined && name !== undefined) {
      const lower = name.toLowerCase();
      if (names.has(lower)) return undefined; // RFC 7239 §4: at most once per element
      names.add(lower);
      if (lower === 'for') address = forwardedNode(plainValue ?? (quoted ?? '').replaceAll(/\\(.)/g, '$1'));
      at += pair.length;
    }
    if (at >= end) break;
    separator.lastIndex = at;
    const [between, mark] = separator.exec(line) ?? [];
    if (between === undefined) return undefined;
    at += between.length;
    if (mark === ',') {
      found.push(address);
      [names, address] = [new Set(), undefined];
    }
  }
  return [...found, address];
}

/** A node identifier: IPv4, or IPv6 in brackets, perhaps with a port. `unknown` and what is obfuscated tell no address. @see RFC 7239 §6 */
function forwardedNode(text: string): string | undefined {
  const [, v6, v4] = /^(?:\[([^\][]+)\]|([0-9.]+))(?::(?:\d{1,5}|_[A-Za-z0-9._-]+))?$/.exec(text) ?? [];
  return kindOf(v6) === 'IPv6' ? v6 : kindOf(v4) === 'IPv4' ? v4 : undefined;
}

/** What proxies write in `X-Forwarded-For`: an address, or one with a port, IPv6 then in brackets. */
function node(text: string): string | undefined {
  if (kindOf(text) !== undefined) return text;
  const [, v6, v4] = /^(?:\[([^\][]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5})$/.exec(text) ?? [];
  return kindOf(v6) === 'IPv6' ? v6 : kindOf(v4) === 'IPv4' ? v4 : undefined;
}

const kindOf = (text: string | undefined): 'IPv4' | 'IPv6' | undefined =>
  text === undefined || readAddress(text) === undefined ? undefined : text.includes(':') ? 'IPv6' : 'IPv4';
