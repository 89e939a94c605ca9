import assert from 'node:assert/strict';
import { constants, createHmac, createPrivateKey, createPublicKey, type JsonWebKeyInput, sign } from 'node:crypto';
import { suite, test } from 'node:test';
import { CompactSign, compactVerify, importJWK } from 'jose';
import {
  importPublicJwk,
  type JwsAlgorithm,
  jwsAlgorithms,
  parseCompact,
  publicJwk,
  signCompact,
  verifyParsed,
} from './index.ts';
import { code, jwks, segment } from './testing.ts';

const privateKey = (alg: JwsAlgorithm) =>
  createPrivateKey({ key: jwks[alg], format: 'jwk' } as unknown as JsonWebKeyInput);
const verifying = (alg: JwsAlgorithm) => importPublicJwk(publicJwk(jwks[alg]));

suite('jws, with jose as the oracle', () => {
  for (const alg of jwsAlgorithms) {
    test(`${alg}: what we sign, jose verifies`, async () => {
      const jws = signCompact({ alg, kid: 'k' }, { sub: 'ähm' }, { alg, key: privateKey(alg) });
      const { payload, protectedHeader } = await compactVerify(jws, await importJWK(publicJwk(jwks[alg])));
      assert.deepEqual(JSON.parse(new TextDecoder().decode(payload)), { sub: 'ähm' });
      assert.deepEqual(protectedHeader, { alg, kid: 'k' });
    });

    test(`${alg}: what jose signs, we verify, and not once a bit has changed`, async () => {
      const jws = await new CompactSign(Buffer.from('{"sub":"ähm"}'))
        .setProtectedHeader({ alg })
        .sign(await importJWK(jwks[alg], alg));
      const parsed = parseCompact(jws);
      assert.equal(verifyParsed(parsed, verifying(alg)), true);
      assert.deepEqual(parsed.payload, { sub: 'ähm' });
      const signature = Buffer.from(parsed.signature);
      signature[20] = (signature[20] as number) ^ 1;
      assert.equal(verifyParsed({ ...parsed, signature }, verifying(alg)), false);
      assert.equal(verifyParsed({ ...parsed, signingInput: `${parsed.signingInput}A` }, verifying(alg)), false);
    });
  }

  test('ES256 in DER form is not a JWS signature', () => {
    const key = privateKey('ES256');
    const jws = signCompact({ alg: 'ES256' }, {}, { alg: 'ES256', key });
    const parsed = parseCompact(jws);
    assert.equal(verifyParsed({ ...parsed, signature: Buffer.alloc(64) }, verifying('ES256')), false);
    assert.equal(verifyParsed({ ...parsed, signature: parsed.signature.subarray(0, 63) }, verifying('ES256')), false);
  });

  test('PS256 takes a salt of 32 bytes only', () => {
    const input = `${segment({ alg: 'PS256' })}.${segment({})}`;
    for (const [saltLength, right] of [
      [32, true],
      [0, false],
      [64, false],
    ] as const) {
      const signature = sign('sha256', Buffer.from(input), {
        key: privateKey('PS256'),
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength,
      });
      const parsed = parseCompact(`${input}.${signature.toString('base64url')}`);
      assert.equal(verifyParsed(parsed, verifying('PS256')), right);
    }
  });
});

test('Ed25519, the newer name, is EdDSA and nothing else', () => {
  const input = `${segment({ alg: 'Ed25519' })}.${segment({})}`;
  const signature = sign(null, Buffer.from(input), privateKey('EdDSA')).toString('base64url');
  const parsed = parseCompact(`${input}.${signature}`);
  assert.equal(verifyParsed(parsed, verifying('EdDSA')), true);
  assert.equal(verifyParsed(parsed, { alg: 'ES256', key: verifying('EdDSA').key }), false);
});

suite('jws: confusion of algorithms and keys', () => {
  for (const signedAs of jwsAlgorithms) {
    for (const verifiedAs of jwsAlgorithms) {
      if (signedAs === verifiedAs) continue;
      test(`${signedAs} does not pass where ${verifiedAs} is expected`, () => {
        const parsed = parseCompact(signCompact({ alg: signedAs }, {}, { alg: signedAs, key: privateKey(signedAs) }));
        assert.equal(verifyParsed(parsed, verifying(verifiedAs)), false);
        assert.equal(verifyParsed(parsed, { alg: verifiedAs, key: verifying(signedAs).key }), false);
      });
    }
  }

  test('a header that claims another algorithm is refused though key and signature are right', () => {
    const key = privateKey('RS256');
    const parsed = parseCompact(signCompact({ alg: 'RS256' }, {}, { alg: 'RS256', key }));
    const claimed = { ...parsed, header: { ...parsed.header, alg: 'PS256' } };
    assert.equal(verifyParsed(claimed, verifying('RS256')), false);
  });

  test('none, and HMAC with the public key as the secret, never verify', () => {
    const spki = verifying('RS256').key.export({ type: 'spki', format: 'pem' });
    const input = `${segment({ alg: 'HS256' })}.${segment({})}`;
    const mac = createHmac('sha256', spki).update(input).digest('base64url');
    for (const jws of [`${input}.${mac}`, `${segment({ alg: 'none' })}.${segment({})}.AAAA`]) {
      const parsed = parseCompact(jws);
      for (const alg of jwsAlgorithms) assert.equal(verifyParsed(parsed, verifying(alg)), false);
      const asked = parsed.header.alg as JwsAlgorithm;
      assert.equal(verifyParsed(parsed, { alg: asked, key: verifying('RS256').key }), false);
    }
  });

  test('a key of another type verifies nothing, even what it did sign in a way that OpenSSL would accept', () => {
    const forged: [claimed: JwsAlgorithm, by: JwsAlgorithm, digest: string | null][] = [
      ['RS256', 'ES256', 'sha256'],
      ['EdDSA', 'RS256', 'sha256'],
      ['RS256', 'EdDSA', null],
      ['PS256', 'ES256', 'sha256'],
    ];
    for (const [claimed, by, digest] of forged) {
      const input = `${segment({ alg: claimed })}.${segment({})}`;
      const signature = sign(digest, Buffer.from(input), privateKey(by));
      const parsed = parseCompact(`${input}.${signature.toString('base64url')}`);
      assert.equal(verifyParsed(parsed, { alg: claimed, key: verifying(by).key }), false, `${claimed} by ${by}`);
    }
  });

  test('signing refuses a key, or a header, of another algorithm', () => {
    assert.equal(
      code(() => signCompact({ alg: 'ES256' }, {}, { alg: 'ES256', key: privateKey('RS256') })),
      'unsupported_algorithm',
    );
    assert.equal(
      code(() => signCompact({ alg: 'PS256' }, {}, { alg: 'RS256', key: privateKey('RS256') })),
      'unsupported_algorithm',
    );
    assert.equal(
      code(() => signCompact({ alg: 'HS256' }, {}, { alg: 'ES256', key: privateKey('ES256') })),
      'unsupported_algorithm',
    );
  });

  test('a P-384 key does not sign ES256', async () => {
    const { generateKeyPairSync } = await import('node:crypto');
    const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    assert.equal(
      code(() => signCompact({ alg: 'ES256' }, {}, { alg: 'ES256', key })),
      'unsupported_algorithm',
    );
    const parsed = parseCompact(
      `${segment({ alg: 'ES256' })}.${segment({})}.${Buffer.alloc(64).toString('base64url')}`,
    );
    assert.equal(verifyParsed(parsed, { alg: 'ES256', key: createPublicKey(key) }), false);
  });
});

suite('parseCompact refuses', () => {
  const h = segment({ alg: 'ES256' });
  const p = segment({ a: 1 });
  const s = Buffer.alloc(64, 7).toString('base64url');
  const raw = (text: string | Uint8Array) => Buffer.from(text as string).toString('base64url');
  const cases: [name: string, jws: string, code: string][] = [
    ['nothing', '', 'malformed'],
    ['one part', h, 'malformed'],
    ['two parts', `${h}.${p}`, 'malformed'],
    ['four parts', `${h}.${p}.${s}.${s}`, 'malformed'],
    ['five parts, as a JWE has', `${h}.${p}.${s}.${s}.${s}`, 'malformed'],
    ['an empty header', `.${p}.${s}`, 'malformed'],
    ['an empty payload', `${h}..${s}`, 'malformed'],
    ['an empty signature', `${h}.${p}.`, 'malformed'],
    ['padding', `${h}=.${p}.${s}`, 'malformed'],
    ['padding in the signature', `${h}.${p}.${s}==`, 'malformed'],
    ['a space before', ` ${h}.${p}.${s}`, 'malformed'],
    ['a line break after', `${h}.${p}.${s}\n`, 'malformed'],
    ['a space within', `${h}.${p.slice(0, 4)} ${p.slice(4)}.${s}`, 'malformed'],
    ['letters of plain base64', `${h}.${p}.${'+/'.repeat(43)}`, 'malformed'],
    ['unused bits that are not zero', `${h}.${p}.${s.slice(0, -1)}x`, 'malformed'],
    ['a length that base64 cannot have', `${h}.${p}.${s}AAA`, 'malformed'],
    ['a letter from beyond ASCII', `${h}.${p}.${s.slice(0, -1)}é`, 'malformed'],
    ['a header that is no JSON', `${raw('{')}.${p}.${s}`, 'malformed'],
    ['a header that is an array', `${segment([])}.${p}.${s}`, 'malformed'],
    ['a header that is null', `${segment(null)}.${p}.${s}`, 'malformed'],
    ['a header without alg', `${segment({ typ: 'JWT' })}.${p}.${s}`, 'malformed'],
    ['an alg that is no string', `${segment({ alg: ['ES256'] })}.${p}.${s}`, 'malformed'],
    ['a payload that is a string', `${h}.${segment('a')}.${s}`, 'malformed'],
    ['a payload that is an array', `${h}.${segment([1])}.${s}`, 'malformed'],
    ['a payload with a byte order mark', `${h}.${raw('\ufeff{}')}.${s}`, 'malformed'],
    [
      'a payload in bad UTF-8',
      `${h}.${raw(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))}.${s}`,
      'malformed',
    ],
    ['a header in bad UTF-8', `${raw(new Uint8Array([0x7b, 0x22, 0xc3, 0x22, 0x7d]))}.${p}.${s}`, 'malformed'],
    ['crit', `${segment({ alg: 'ES256', crit: ['exp'] })}.${p}.${s}`, 'unsupported_extension'],
    ['an empty crit', `${segment({ alg: 'ES256', crit: [] })}.${p}.${s}`, 'unsupported_extension'],
    ['b64', `${segment({ alg: 'ES256', b64: false })}.${p}.${s}`, 'unsupported_extension'],
    ['more than 16 KiB', `${h}.${segment({ a: 'x'.repeat(16_384) })}.${s}`, 'too_long'],
  ];
  for (const [name, jws, expected] of cases)
    test(name, () =>
      assert.equal(
        code(() => parseCompact(jws)),
        expected,
      ),
    );

  test('what is no string', () => {
    for (const value of [undefined, null, 1, {}, []])
      assert.equal(
        code(() => parseCompact(value as never)),
        'malformed',
      );
  });

  test('a refused header twice: what was refused is not remembered as good', () => {
    const jws = `${segment({ alg: 'ES256', crit: ['again'] })}.${p}.${s}`;
    for (let i = 0; i < 2; i++)
      assert.equal(
        code(() => parseCompact(jws)),
        'unsupported_extension',
      );
  });

  test('and a remembered header cannot be changed by who reads it', () => {
    const { header } = parseCompact(`${h}.${p}.${s}`);
    assert.throws(() => Object.assign(header, { alg: 'none' }), TypeError);
    assert.equal(parseCompact(`${h}.${p}.${s}`).header.alg, 'ES256');
  });
});
