import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { importJWK, jwtVerify } from 'jose';
import { createClientAssertion, parseCompact, publicJwk, signerFrom, validateClientAssertion } from './index.ts';
import { code, jwks, segment } from './testing.ts';

const now = 1_800_000_000_000;
const at = now / 1000;
const issuer = 'https://id.example';
const expected = { issuer, now, maxLifetimeSeconds: 120 };
const good = { iss: 'agt_1', sub: 'agt_1', aud: issuer, jti: 'j', iat: at, exp: at + 60 };

const assertion = (claims: object, header: object = {}) =>
  parseCompact(`${segment({ alg: 'ES256', ...header })}.${segment({ ...good, ...claims })}.AAAA`);

suite('client assertion', () => {
  test('what we make, jose accepts and we accept', async () => {
    const input = { clientId: 'agt_1', audience: issuer, now, jti: 'j' };
    const jws = await createClientAssertion(signerFrom(jwks.ES256), input);
    const { payload, protectedHeader } = await jwtVerify(jws, await importJWK(publicJwk(jwks.ES256)), {
      issuer: 'agt_1',
      subject: 'agt_1',
      audience: issuer,
      currentDate: new Date(now),
      typ: 'client-authentication+jwt',
    });
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 60);
    assert.equal(protectedHeader.kid, jwks.ES256.kid);
    assert.deepEqual(validateClientAssertion(parseCompact(jws), expected), {
      clientId: 'agt_1',
      jti: 'j',
      iat: at,
      exp: at + 60,
    });
  });

  for (const typ of [undefined, 'JWT', 'jwt', 'client-authentication+jwt', 'application/client-authentication+jwt']) {
    test(`typ ${typ} is accepted`, () => {
      assert.equal(validateClientAssertion(assertion({}, { typ }), expected).clientId, 'agt_1');
    });
  }

  test('iat may be missing, and times may have fractions', () => {
    assert.equal(validateClientAssertion(assertion({ iat: undefined, exp: at + 60.5 }), expected).exp, at + 60.5);
    assert.equal(validateClientAssertion(assertion({ iat: undefined }), expected).iat, undefined);
  });

  test('5 s of skew are forgiven on both sides, no more', () => {
    validateClientAssertion(assertion({ exp: at - 4 }), expected);
    assert.equal(
      code(() => validateClientAssertion(assertion({ exp: at - 5 }), expected)),
      'expired',
    );
    validateClientAssertion(assertion({ iat: at + 5 }), expected);
    assert.equal(
      code(() => validateClientAssertion(assertion({ iat: at + 5.1 }), expected)),
      'not_yet_valid',
    );
  });

  const claims: [name: string, claims: object, code: string][] = [
    ['no iss', { iss: undefined }, 'malformed'],
    ['an iss that is not sub', { iss: 'agt_2' }, 'malformed'],
    ['no sub', { sub: undefined, iss: undefined }, 'malformed'],
    ['a sub with NUL', { sub: 'a\0', iss: 'a\0' }, 'malformed'],
    ['a sub that is a number', { sub: 1, iss: 1 }, 'malformed'],
    ['no aud', { aud: undefined }, 'wrong_audience'],
    ['aud as a list of one', { aud: [issuer] }, 'wrong_audience'],
    ['aud as a list of two', { aud: [issuer, 'https://b.example'] }, 'wrong_audience'],
    ['aud with a slash more', { aud: `${issuer}/` }, 'wrong_audience'],
    ['aud of the token endpoint', { aud: `${issuer}/oauth2/token` }, 'wrong_audience'],
    ['aud in other letters', { aud: issuer.toUpperCase() }, 'wrong_audience'],
    ['no jti', { jti: undefined }, 'malformed'],
    ['an empty jti', { jti: '' }, 'malformed'],
    ['a jti with NUL', { jti: 'a\0' }, 'malformed'],
    ['a jti beyond ASCII', { jti: 'ä' }, 'malformed'],
    ['a jti of 300 letters', { jti: 'j'.repeat(300) }, 'malformed'],
    ['no exp', { exp: undefined }, 'malformed'],
    ['exp as text', { exp: String(at + 60) }, 'malformed'],
    ['an exp below zero', { exp: -1 }, 'malformed'],
    ['exp passed', { exp: at - 60 }, 'expired'],
    ['iat in the future', { iat: at + 60, exp: at + 90 }, 'not_yet_valid'],
    ['nbf in the future', { nbf: at + 60 }, 'not_yet_valid'],
    ['ten years of life', { exp: at + 315_360_000 }, 'lives_too_long'],
    ['ten years of life behind it', { iat: at - 315_360_000 }, 'lives_too_long'],
    ['ten years of life without iat', { iat: undefined, exp: at + 315_360_000 }, 'lives_too_long'],
    ['1e308 years of life', { exp: 1e308 }, 'lives_too_long'],
  ];
  for (const [name, changes, expectedCode] of claims) {
    test(`refuses ${name}`, () =>
      assert.equal(
        code(() => validateClientAssertion(assertion(changes), expected)),
        expectedCode,
      ));
  }

  const headers: [name: string, header: object, code: string][] = [
    ['typ at+jwt', { typ: 'at+jwt' }, 'wrong_type'],
    ['typ dpop+jwt', { typ: 'dpop+jwt' }, 'wrong_type'],
    ['a typ that is a number', { typ: 1 }, 'wrong_type'],
    ['jwk', { jwk: publicJwk(jwks.ES256) }, 'foreign_key'],
    ['jku', { jku: 'https://evil.example' }, 'foreign_key'],
    ['x5u', { x5u: 'https://evil.example' }, 'foreign_key'],
    ['x5c', { x5c: [] }, 'foreign_key'],
  ];
  for (const [name, header, expectedCode] of headers) {
    test(`refuses ${name} in the header`, () =>
      assert.equal(
        code(() => validateClientAssertion(assertion({}, header), expected)),
        expectedCode,
      ));
  }
});
