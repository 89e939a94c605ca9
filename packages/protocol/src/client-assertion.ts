import { isPrintable } from './encoding.ts';
import { ProtocolError } from './errors.ts';
import { type EncodedHeader, encodeHeader, type ParsedJws } from './jws.ts';
import { type Signer, signWith } from './signer.ts';
import { checkTimes, numericDate } from './times.ts';

export interface ClientAssertionInput {
  clientId: string;
  /** The issuer, exactly. */
  audience: string;
  /** The present, in ms. */
  now: number;
  jti: string;
  lifetimeSeconds?: number;
}

export interface ClientAssertion {
  clientId: string;
  jti: string;
  /** NumericDates: seconds. */
  iat: number | undefined;
  exp: number;
}

const assertionHeaders = new WeakMap<Signer, EncodedHeader>();
/** Explicitly typed as other things these can't be assertions; plain `JWT` or nothing is what most clients send. */
const assertionTypes = new Set(['jwt', 'client-authentication+jwt', 'application/client-authentication+jwt']);
/** Ways to bring or name a key of one's own: the key is the registered one. */
const foreignKeys = ['jwk', 'jku', 'x5u', 'x5c'];

/**
 * Makes an assertion with which a client authenticates (`private_key_jwt`).
 * @see RFC 7523 §2.2 and §3
 */
export async function createClientAssertion(signer: Signer, input: ClientAssertionInput): Promise<string> {
  const { clientId, audience, now, jti, lifetimeSeconds = 60 } = input;
  const iat = Math.floor(now / 1000);
  const claims = { iss: clientId, sub: clientId, aud: audience, jti, iat, exp: iat + lifetimeSeconds };
  return signWith(signer, assertionHeader(signer), claims);
}

function assertionHeader(signer: Signer): EncodedHeader {
  const known = assertionHeaders.get(signer);
  if (known !== undefined) return known;
  const header = encodeHeader({ typ: 'client-authentication+jwt', alg: signer.alg, kid: signer.kid });
  assertionHeaders.set(signer, header);
  return header;
}

/**
 * Checks what an assertion says. Its signature, and that its `jti` is used once, are the caller's to check.
 * @param expected `issuer` is the only `aud` accepted, as one string; `skewSeconds` (5 by default) forgives clocks
 * @throws ProtocolError `wrong_type`, `foreign_key`, `malformed`, `wrong_audience`, `expired`, `not_yet_valid`, `lives_too_long`
 * @see RFC 7523 §3, RFC 8725 §3.11
 */
export function validateClientAssertion(
  parsed: ParsedJws,
  expected: { issuer: string; now: number; maxLifetimeSeconds: number; skewSeconds?: number },
): ClientAssertion {
  checkHeader(parsed.header);
  const { iss, sub, aud, jti } = parsed.payload;
  if (!isPrintable(sub, 512) || iss !== sub) {
    throw new ProtocolError('malformed', 'iss and sub of the assertion must both be the client_id');
  }
  if (aud !== expected.issuer) {
    throw new ProtocolError('wrong_audience', 'aud of the assertion must be the issuer, exactly, as a single string');
  }
  if (!isPrintable(jti, 256)) throw new ProtocolError('malformed', 'the assertion needs a jti of 1 to 256 characters');
  const { now, maxLifetimeSeconds, skewSeconds = 5 } = expected;
  const exp = checkTimes(parsed.payload, { now, skewSeconds }, 'the assertion');
  const iat = numericDate(parsed.payload, 'iat');
  const from = Math.min(iat ?? now / 1000, now / 1000);
  if (exp - from > maxLifetimeSeconds + skewSeconds) {
    throw new ProtocolError('lives_too_long', `the assertion may live ${maxLifetimeSeconds} seconds at most`);
  }
  return { clientId: sub, jti, iat, exp };
}

function checkHeader(header: ParsedJws['header']): void {
  const { typ } = header;
  if (typ !== undefined && (typeof typ !== 'string' || !assertionTypes.has(typ.toLowerCase()))) {
    throw new ProtocolError('wrong_type', 'the assertion must have typ JWT or client-authentication+jwt, or none');
  }
  for (const name of foreignKeys) {
    if (name in header) throw new ProtocolError('foreign_key', `the assertion must not have ${name} in its header`);
  }
}
