import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { suite, test } from 'node:test';
import { calculateJwkThumbprint } from 'jose';
import { generateJwk, importPublicJwk, type JwsAlgorithm, jwsAlgorithms, publicJwk, thumbprint } from './index.ts';
import { code, jwks } from './testing.ts';

const rfc7638 = {
  kty: 'RSA',
  n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
  e: 'AQAB',
  alg: 'RS256',
  kid: '2011-04-29',
};

suite('jwk', () => {
  test('the thumbprint of RFC 7638 §3.1', () => {
    assert.equal(thumbprint(rfc7638), 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
    assert.equal(importPublicJwk(rfc7638).kid, '2011-04-29');
  });

  for (const alg of jwsAlgorithms) {
    test(`${alg}: a generated key names itself by the thumbprint that jose computes`, async () => {
      const jwk = await generateJwk(alg);
      assert.equal(jwk.kid, await calculateJwkThumbprint(publicJwk(jwk)));
      assert.equal(jwk.alg, alg);
      assert.equal(jwk.use, 'sig');
      assert.equal(thumbprint(jwk), thumbprint(publicJwk(jwk)));
    });

    test(`${alg}: the public half holds nothing private, nor anything unknown`, () => {
      const shown = publicJwk({ ...jwks[alg], secret: 'x' } as never);
      for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'secret']) assert.ok(!(name in shown), name);
      assert.equal(importPublicJwk(shown).kid, jwks[alg].kid);
    });

    test(`${alg}: a private key is refused`, () => {
      assert.equal(
        code(() => importPublicJwk(jwks[alg])),
        'private_key',
      );
      assert.equal(
        code(() => importPublicJwk({ ...publicJwk(jwks[alg]), d: null })),
        'private_key',
      );
    });
  }

  test('a key without a kid is named by its thumbprint', () => {
    const { kid: _, ...nameless } = publicJwk(jwks.ES256);
    assert.equal(importPublicJwk(nameless).kid, jwks.ES256.kid);
  });

  test('Ed25519, as Web Crypto names it, is EdDSA', () => {
    assert.equal(importPublicJwk({ ...publicJwk(jwks.EdDSA), alg: 'Ed25519' }).alg, 'EdDSA');
  });

  test('an RSA key may leave its algorithm to the surroundings', () => {
    const { alg: _, ...open } = publicJwk(jwks.PS256);
    assert.equal(importPublicJwk(open, 'RS256').alg, 'RS256');
    assert.equal(
      code(() => importPublicJwk(open)),
      'bad_key',
    );
    assert.equal(
      code(() => importPublicJwk({ ...open, alg: 'PS256' }, 'RS256')),
      'unsupported_algorithm',
    );
  });

  const ec = publicJwk(jwks.ES256);
  const ed = publicJwk(jwks.EdDSA);
  const rsa = publicJwk(jwks.RS256);
  const padded = (text: string | undefined) =>
    Buffer.concat([Buffer.alloc(1), Buffer.from(text ?? '', 'base64url')]).toString('base64url');
  const other = (bits: number) => {
    const jwk = generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ format: 'jwk' });
    return { ...jwk, alg: 'RS256' };
  };
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' });
  const x25519 = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' });
  const cases: [name: string, jwk: unknown, code: string][] = [
    ['nothing', undefined, 'bad_key'],
    ['null', null, 'bad_key'],
    ['a string', 'ES256', 'bad_key'],
    ['a list', [ec], 'bad_key'],
    ['no kty', { ...ec, kty: undefined }, 'unsupported_algorithm'],
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0' }, 'symmetric_key'],
    ['a symmetric part', { ...ec, k: 'c2VjcmV0' }, 'private_key'],
    ['P-384', p384, 'unsupported_algorithm'],
    ['X25519', x25519, 'unsupported_algorithm'],
    ['an alg of another type', { ...ec, alg: 'RS256' }, 'unsupported_algorithm'],
    ['ES384 on P-256', { ...ec, alg: 'ES384' }, 'unsupported_algorithm'],
    ['none', { ...ec, alg: 'none' }, 'unsupported_algorithm'],
    ['HS256', { ...rsa, alg: 'HS256' }, 'unsupported_algorithm'],
    ['a key for encryption', { ...ec, use: 'enc' }, 'bad_key'],
    ['key_ops without verify', { ...ec, key_ops: ['encrypt'] }, 'bad_key'],
    ['key_ops that is no list', { ...ec, key_ops: 'verify' }, 'bad_key'],
    ['no x', { ...ec, x: undefined }, 'bad_key'],
    ['an x that is a number', { ...ec, x: 5 }, 'bad_key'],
    ['an x with a leading zero too many', { ...ec, x: padded(ec.x) }, 'bad_key'],
    ['an x with padding', { ...ec, x: `${ec.x}=` }, 'bad_key'],
    ['a point that is not on the curve', { ...ec, y: ec.x }, 'bad_key'],
    ['a short Ed25519 key', { ...ed, x: ed.x?.slice(0, 40) }, 'bad_key'],
    ['a short RSA key', other(1024), 'bad_key'],
    ['a giant RSA key', { ...rsa, n: Buffer.alloc(1024, 0xff).toString('base64url') }, 'bad_key'],
    ['a modulus with a leading zero', { ...rsa, n: padded(rsa.n) }, 'bad_key'],
    ['an exponent of 1', { ...rsa, e: 'AQ' }, 'bad_key'],
    ['an exponent of 3', { ...rsa, e: 'Aw' }, 'bad_key'],
    ['an even exponent', { ...rsa, e: 'AQAC' }, 'bad_key'],
    ['a giant exponent', { ...rsa, e: Buffer.alloc(255, 0xff).toString('base64url') }, 'bad_key'],
    ['an exponent with a leading zero', { ...rsa, e: 'AAEAAQ' }, 'bad_key'],
    ['a kid that is no string', { ...ec, kid: 5 }, 'bad_key'],
    ['a kid with a line break', { ...ec, kid: 'a\nb' }, 'bad_key'],
    ['a kid of 300 letters', { ...ec, kid: 'k'.repeat(300) }, 'bad_key'],
  ];
  for (const [name, jwk, expected] of cases) {
    test(`refuses ${name}`, () =>
      assert.equal(
        code(() => importPublicJwk(jwk)),
        expected,
      ));
  }

  test('refuses to make a key for an algorithm that is none of ours', async () => {
    await assert.rejects(generateJwk('HS256' as JwsAlgorithm), { code: 'unsupported_algorithm' });
  });
});
