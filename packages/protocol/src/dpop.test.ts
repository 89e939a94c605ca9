import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { importJWK, SignJWT } from 'jose';
import {
  createDpopProof,
  type DpopExpectation,
  jwsAlgorithms,
  normalizeHtu,
  parseDpopProof,
  publicJwk,
  signerFrom,
  verifyDpopProof,
} from './index.ts';
import { code, jwks } from './testing.ts';

const now = 1_800_000_000_000;
const token = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU';
const url = 'https://api.example/tickets';
const expected: DpopExpectation = { htm: 'GET', htu: url, now, maxAgeSeconds: 60, futureSeconds: 5 };
const jwk = publicJwk(jwks.ES256);
const bare = { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y };

/** A proof made by jose, with anything changed. */
async function proofOf(changes: { header?: object; claims?: object } = {}): Promise<string> {
  const claims = { jti: 'j', htm: 'GET', htu: url, iat: now / 1000, ...changes.claims };
  return new SignJWT(claims)
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: bare, ...changes.header })
    .sign(await importJWK(jwks.ES256, 'ES256'));
}

const check = (proof: string, changes: Partial<DpopExpectation> = {}) =>
  verifyDpopProof(parseDpopProof(proof), { ...expected, ...changes });

suite('dpop: the examples of RFC 9449', () => {
  const header =
    'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19';
  const atToken = `${header}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg`;
  const atResource = `${header}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA`;

  test('§4.2, at the token endpoint', () => {
    const proof = parseDpopProof(atToken);
    assert.equal(proof.jkt, '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I');
    const at = { ...expected, htm: 'POST', htu: 'https://server.example.com/token', now: 1_562_262_616_000 };
    verifyDpopProof(proof, at);
    // Once more, now that its key is remembered.
    verifyDpopProof(parseDpopProof(atToken), at);
    assert.equal(parseDpopProof(atToken).jkt, proof.jkt);
  });

  test('§7.1, at a resource, with ath', () => {
    const at = { ...expected, htu: 'https://resource.example.org/protectedresource', now: 1_562_262_618_000 };
    verifyDpopProof(parseDpopProof(atResource), { ...at, accessToken: token });
    assert.equal(
      code(() => verifyDpopProof(parseDpopProof(atResource), { ...at, accessToken: `${token}x` })),
      'wrong_token',
    );
  });
});

suite('dpop: making and verifying', () => {
  for (const alg of jwsAlgorithms) {
    test(`${alg}: our own proofs pass, with nonce and token`, async () => {
      const input = { htm: 'POST', htu: `${url}?page=2#top`, now, jti: 'j1', nonce: 'n1', accessToken: token };
      const proof = parseDpopProof(await createDpopProof(signerFrom(jwks[alg]), input));
      assert.equal(proof.jkt, jwks[alg].kid);
      assert.equal(proof.alg, alg);
      assert.deepEqual(Object.keys(proof.parsed.header).sort(), ['alg', 'jwk', 'typ']);
      assert.ok(!('d' in (proof.parsed.header.jwk as object)));
      verifyDpopProof(proof, { ...expected, htm: 'POST', accessToken: token, nonce: (nonce) => nonce === 'n1' });
    });
  }

  test('one made by jose passes', async () => check(await proofOf()));

  test('the window: 60 s back, 5 s ahead, and not a moment more', async () => {
    const proof = await proofOf();
    check(proof, { now: now + 60_000 });
    assert.equal(
      code(() => check(proof, { now: now + 60_001 })),
      'expired',
    );
    check(proof, { now: now - 5_000 });
    assert.equal(
      code(() => check(proof, { now: now - 5_001 })),
      'not_yet_valid',
    );
  });

  test('a nonce is asked for: missing or wrong is use_dpop_nonce', async () => {
    const nonce = (value: string) => value === 'right';
    const without = await proofOf();
    assert.equal(
      code(() => check(without, { nonce })),
      'use_dpop_nonce',
    );
    const any = () => true;
    assert.equal(
      code(() => check(without, { nonce: any })),
      'use_dpop_nonce',
    );
    const wrong = await proofOf({ claims: { nonce: 'old' } });
    assert.equal(
      code(() => check(wrong, { nonce })),
      'use_dpop_nonce',
    );
    check(await proofOf({ claims: { nonce: 'right' } }), { nonce });
  });

  test('a signature by another key than the header shows is refused, cold and warm', async () => {
    const [header, payload] = (await proofOf()).split('.') as [string, string];
    const other = (await createDpopProof(signerFrom(jwks.ES256), { htm: 'GET', htu: url, now, jti: 'x' })).split(
      '.',
    )[2];
    for (let i = 0; i < 2; i++) {
      assert.equal(
        code(() => check(`${header}.${payload}.${other}`)),
        'bad_signature',
      );
      check(await proofOf());
    }
  });

  const times: [
    name: string,
    changes: Parameters<typeof proofOf>[0],
    against: Partial<DpopExpectation>,
    code: string,
  ][] = [
    ['another method', {}, { htm: 'POST' }, 'wrong_method'],
    ['the method in small letters', { claims: { htm: 'get' } }, {}, 'wrong_method'],
    ['another host', {}, { htu: 'https://evil.example/tickets' }, 'wrong_url'],
    ['another path', {}, { htu: `${url}/1` }, 'wrong_url'],
    ['another scheme', {}, { htu: url.replace('https', 'http') }, 'wrong_url'],
    ['another port', {}, { htu: 'https://api.example:8443/tickets' }, 'wrong_url'],
    ['an htu that is no URL', { claims: { htu: '/tickets' } }, {}, 'wrong_url'],
    ['an htu with a user name', { claims: { htu: 'https://a@api.example/tickets' } }, {}, 'wrong_url'],
    ['no ath where a token is', {}, { accessToken: token }, 'wrong_token'],
    ['the ath of another token', { claims: { ath: 'x' } }, { accessToken: token }, 'wrong_token'],
  ];
  for (const [name, changes, against, expectedCode] of times) {
    test(`refuses ${name}`, async () => {
      const proof = await proofOf(changes);
      assert.equal(
        code(() => check(proof, against)),
        expectedCode,
      );
    });
  }

  for (const htu of [
    `${url}?a=b`,
    `${url}#x`,
    'HTTPS://API.example:443/tickets',
    'https://api.example/%74ickets',
    'https://api.example/a/../tickets',
  ]) {
    test(`accepts ${htu} as another spelling`, async () => check(await proofOf({ claims: { htu } })));
  }
});

suite('dpop: forms that parseDpopProof refuses', () => {
  const forms: [name: string, changes: Parameters<typeof proofOf>[0], code: string][] = [
    ['no typ', { header: { typ: undefined } }, 'wrong_type'],
    ['typ JWT', { header: { typ: 'JWT' } }, 'wrong_type'],
    ['typ at+jwt', { header: { typ: 'at+jwt' } }, 'wrong_type'],
    ['no jwk', { header: { jwk: undefined } }, 'bad_key'],
    ['a jwk that is a string', { header: { jwk: 'x' } }, 'bad_key'],
    ['a private jwk', { header: { jwk: jwks.ES256 } }, 'private_key'],
    ['a symmetric jwk', { header: { jwk: { kty: 'oct', k: 'c2VjcmV0' } } }, 'symmetric_key'],
    ['a jwk of another type than alg', { header: { jwk: publicJwk(jwks.EdDSA) } }, 'unsupported_algorithm'],
    ['jku', { header: { jku: 'https://evil.example/jwks' } }, 'foreign_key'],
    ['x5u', { header: { x5u: 'https://evil.example/cert' } }, 'foreign_key'],
    ['x5c', { header: { x5c: ['AA=='] } }, 'foreign_key'],
    ['x5t', { header: { x5t: 'AA' } }, 'foreign_key'],
    ['x5t#S256', { header: { 'x5t#S256': 'AA' } }, 'foreign_key'],
    ['no jti', { claims: { jti: undefined } }, 'malformed'],
    ['an empty jti', { claims: { jti: '' } }, 'malformed'],
    ['a jti of 300 letters', { claims: { jti: 'j'.repeat(300) } }, 'malformed'],
    ['a jti with NUL', { claims: { jti: 'a\0b' } }, 'malformed'],
    ['a jti that is a number', { claims: { jti: 7 } }, 'malformed'],
    ['no htm', { claims: { htm: undefined } }, 'malformed'],
    ['no htu', { claims: { htu: undefined } }, 'malformed'],
    ['an htu that is a list', { claims: { htu: [url] } }, 'malformed'],
    ['no iat', { claims: { iat: undefined } }, 'malformed'],
    ['a nonce that is a number', { claims: { nonce: 1 } }, 'malformed'],
    ['a nonce with a line break', { claims: { nonce: 'a\r\nb' } }, 'malformed'],
    ['an ath that is a number', { claims: { ath: 1 } }, 'malformed'],
  ];
  for (const [name, changes, expectedCode] of forms) {
    test(name, async () => {
      const proof = await proofOf(changes);
      assert.equal(
        code(() => parseDpopProof(proof)),
        expectedCode,
      );
    });
  }

  for (const [name, header] of [
    ['none', { alg: 'none' }],
    ['HS256', { alg: 'HS256' }],
    ['ES384', { alg: 'ES384' }],
  ] as const) {
    test(`alg ${name}`, async () => {
      const [, payload, signature] = (await proofOf()).split('.') as [string, string, string];
      const forged = Buffer.from(JSON.stringify({ typ: 'dpop+jwt', jwk: bare, ...header })).toString('base64url');
      assert.equal(
        code(() => parseDpopProof(`${forged}.${payload}.${signature}`)),
        'unsupported_algorithm',
      );
    });
  }

  test('an iat that is text', async () => {
    const parsed = (await proofOf()).split('.') as [string, string, string];
    const payload = Buffer.from(JSON.stringify({ jti: 'j', htm: 'GET', htu: url, iat: '5' })).toString('base64url');
    assert.equal(
      code(() => parseDpopProof(`${parsed[0]}.${payload}.${parsed[2]}`)),
      'malformed',
    );
  });

  test('more than 8 KiB', () =>
    assert.equal(
      code(() => parseDpopProof('a'.repeat(8193))),
      'too_long',
    ));
});

suite('normalizeHtu', () => {
  const same: [from: string, to: string][] = [
    ['https://a.example', 'https://a.example/'],
    ['HTTPS://A.Example:443/x?y#z', 'https://a.example/x'],
    ['http://localhost:80/', 'http://localhost/'],
    ['http://localhost:8455/oauth2/token', 'http://localhost:8455/oauth2/token'],
    ['https://a.example/b/./c/../d', 'https://a.example/b/d'],
    ['https://a.example/%7euser/%c3%a9', 'https://a.example/~user/%C3%A9'],
    ['https://a.example/a%2fb', 'https://a.example/a%2Fb'],
  ];
  for (const [from, to] of same) test(from, () => assert.equal(normalizeHtu(from), to));
  for (const bad of ['', '/x', 'ftp://a.example/', 'https://u:p@a.example/', 'https://', 'javascript:1']) {
    test(`refuses ${bad || 'nothing'}`, () =>
      assert.equal(
        code(() => normalizeHtu(bad)),
        'bad_url',
      ));
  }
});
