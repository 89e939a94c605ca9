/**
 * Which piece of distributed work a request is part of: the `traceparent` header.
 * @see W3C Trace Context §3.2
 */

/** What a `traceparent` says. */
export interface Traceparent {
  /** 32 lower-case hex digits, not all zero. */
  traceId: string;
  /** 16 lower-case hex digits, not all zero: the span of whoever sent it. */
  parentId: string;
  /** Whether whoever sent it may have recorded it. */
  sampled: boolean;
}

const format = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** A later version may say more; what is longer than this is not read. */
const longest = 512;

/**
 * Reads a `traceparent`, or undefined for what isn't one: it is then as if none had been sent. Of later versions what this one knows.
 * @see W3C Trace Context §3.2.2, §4.3
 */
export function parseTraceparent(text: unknown): Traceparent | undefined {
  if (typeof text !== 'string' || text.length > longest) return undefined;
  const [, version, traceId, parentId, flags, more] = format.exec(text) ?? [];
  if (traceId === undefined || parentId === undefined || flags === undefined) return undefined;
  if (version === '00' && more !== undefined) return undefined;
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The header's value, as this version writes it. */
export function formatTraceparent({ traceId, parentId, sampled }: Traceparent): string {
  return `00-${traceId}-${parentId}-${sampled ? '01' : '00'}`;
}

/** A `traceparent` as this version writes it, or undefined for what isn't one. */
export function readTraceparent(text: unknown): string | undefined {
  const parsed = parseTraceparent(text);
  return parsed && formatTraceparent(parsed);
}
