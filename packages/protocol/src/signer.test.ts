import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, type JsonWebKeyInput } from 'node:crypto';
import { suite, test } from 'node:test';
import { inspect } from 'node:util';
import {
  createClientAssertion,
  importPublicJwk,
  jwsAlgorithms,
  parseCompact,
  publicJwk,
  type Signer,
  signerFrom,
  verifyParsed,
} from './index.ts';
import { code, jwks } from './testing.ts';

const input = { clientId: 'agt_1', audience: 'https://id.example', now: 0, jti: 'j' };

suite('signerFrom', () => {
  for (const alg of jwsAlgorithms) {
    const key = createPrivateKey({ key: jwks[alg], format: 'jwk' } as unknown as JsonWebKeyInput);
    const remote: Signer = {
      alg,
      kid: 'hsm-1',
      publicJwk: publicJwk(jwks[alg]),
      sign: async (data) => signerFrom(jwks[alg]).sign(data),
    };
    for (const [form, made] of [
      ['JWK', jwks[alg]],
      ['KeyObject', key],
      ['signer', remote],
    ] as const) {
      test(`${alg} from a ${form}: signs, and shows nothing private however it is looked at`, async () => {
        const signer = signerFrom(made);
        const parsed = parseCompact(await createClientAssertion(signer, input));
        // A KeyObject can't say which of its two algorithms an RSA key is for.
        const expected = form === 'KeyObject' && alg === 'RS256' ? 'PS256' : alg;
        assert.equal(signer.alg, expected);
        assert.equal(verifyParsed(parsed, importPublicJwk(signer.publicJwk)), true);
        assert.equal(parsed.header.kid, form === 'signer' ? 'hsm-1' : jwks[alg].kid);
        const looks = inspect(signer, { depth: 9, showHidden: true }) + JSON.stringify(signer);
        assert.ok(!looks.includes(jwks[alg].d));
        assert.ok(!('d' in signer.publicJwk));
      });
    }
  }

  const publicKey = createPublicKey({ key: jwks.ES256, format: 'jwk' } as unknown as JsonWebKeyInput);
  const cases: [name: string, key: unknown, code: string][] = [
    ['a public key', publicKey, 'bad_key'],
    ['a public JWK', publicJwk(jwks.ES256), 'bad_key'],
    ['nothing', undefined, 'bad_key'],
    ['a string', 'secret', 'bad_key'],
    ['a broken private JWK', { ...jwks.ES256, d: 'AA' }, 'bad_key'],
    ['a JWK whose alg does not suit it', { ...jwks.ES256, alg: 'PS256' }, 'unsupported_algorithm'],
    [
      'a signer that shows its private key',
      { alg: 'ES256', kid: 'k', publicJwk: jwks.ES256, sign: () => new Uint8Array() },
      'private_key',
    ],
    [
      'a signer of another algorithm than its key',
      { alg: 'PS256', kid: 'k', publicJwk: publicJwk(jwks.ES256), sign: () => new Uint8Array() },
      'unsupported_algorithm',
    ],
  ];
  for (const [name, key, expected] of cases) {
    test(`refuses ${name}`, () =>
      assert.equal(
        code(() => signerFrom(key as never)),
        expected,
      ));
  }

  test('what it refuses does not stand in the error', () => {
    try {
      signerFrom({ ...jwks.ES256, kty: 'EC', crv: 'P-256', x: 'AA' });
      assert.fail('nothing was thrown');
    } catch (error) {
      assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(jwks.ES256.d));
    }
  });
});
