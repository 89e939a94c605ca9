import type { JsonObject } from './encoding.ts';
import { ProtocolError } from './errors.ts';

/**
 * Reads a NumericDate (seconds) if it is there.
 * @throws ProtocolError `malformed`
 * @see RFC 7519 §2
 */
export function numericDate(claims: JsonObject, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new ProtocolError('malformed', `${name} is not a NumericDate`);
  }
  return value;
}

/**
 * Checks `exp` (required), `nbf` and `iat` against the present and returns `exp` in seconds.
 * @param at `now` in ms; `skewSeconds` is forgiven on both sides
 * @throws ProtocolError `malformed`, `expired` or `not_yet_valid`
 */
export function checkTimes(claims: JsonObject, at: { now: number; skewSeconds: number }, what: string): number {
  const now = at.now / 1000;
  const exp = numericDate(claims, 'exp');
  if (exp === undefined) throw new ProtocolError('malformed', `${what} has no exp`);
  if (exp <= now - at.skewSeconds) throw new ProtocolError('expired', `${what} has expired`);
  for (const name of ['nbf', 'iat']) {
    const from = numericDate(claims, name);
    if (from !== undefined && from > now + at.skewSeconds) {
      throw new ProtocolError('not_yet_valid', `${what} is from the future (${name}): check the clock`);
    }
  }
  return exp;
}
