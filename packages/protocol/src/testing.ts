import assert from 'node:assert/strict';
import { ProtocolError } from './errors.ts';
import { generateJwk } from './jwk.ts';

/** One key per algorithm, made once per test file. */
export const jwks = {
  ES256: await generateJwk('ES256'),
  EdDSA: await generateJwk('EdDSA'),
  PS256: await generateJwk('PS256'),
  RS256: await generateJwk('RS256'),
};

/** The code of the ProtocolError that this throws; anything else thrown, or nothing, fails the test. */
export function code(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ProtocolError, `threw ${String(error)} instead of a ProtocolError`);
    return error.code;
  }
  assert.fail('nothing was thrown');
}

/** A value as one segment of a JWS. */
export function segment(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
