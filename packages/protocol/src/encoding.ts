import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { ProtocolError } from './errors.ts';

export type JsonObject = Record<string, unknown>;

/**
 * Decodes base64url in its one canonical form: no padding, no whitespace, no foreign letters, unused bits zero.
 * @throws ProtocolError `malformed`
 * @see RFC 7515 §2, RFC 4648 §3.5
 */
export function decodeBase64url(text: string, what = 'value'): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  // Node's decoder forgives much; what encodes back to the same letters was canonical.
  if (bytes.toString('base64url') !== text) throw new ProtocolError('malformed', `${what} is not canonical base64url`);
  return bytes;
}

/** Encodes bytes, or a string as UTF-8, as base64url without padding. */
export function encodeBase64url(data: Uint8Array | string): string {
  if (typeof data === 'string') return Buffer.from(data, 'utf8').toString('base64url');
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64url');
}

/** SHA-256 of a string (as UTF-8) or of bytes, as base64url. */
export function sha256Base64url(data: string | Uint8Array): string {
  return hash('sha256', data, 'base64url');
}

/**
 * Decodes a base64url segment that must hold a JSON object in valid UTF-8.
 * @throws ProtocolError `malformed`
 */
export function decodeJsonObject(segment: string, what: string): JsonObject {
  const bytes = decodeBase64url(segment, what);
  if (!isUtf8(bytes)) throw new ProtocolError('malformed', `${what} is not valid UTF-8`);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new ProtocolError('malformed', `${what} is not JSON`);
  }
  if (!isJsonObject(value)) throw new ProtocolError('malformed', `${what} is not a JSON object`);
  return value;
}

/** Is this an object as JSON knows it: neither null nor an array? */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Is this a string of 1 to `max` printable ASCII characters? So that it may stand in any database, log and header. */
export function isPrintable(value: unknown, max: number): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > max) return false;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 0x20 || code > 0x7e) return false;
  }
  return true;
}
