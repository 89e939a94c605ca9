// Every way a DPoP proof at the token endpoint can be wrong. RFC 9449 §4.3, §5, §8.
import { createHmac, createPublicKey, generateKeyPairSync, sign as signBytes } from 'node:crypto';
import { type Change, encode, type JwtChange, makeAssertion, makeKey, makeProof, signAs } from '../craft.ts';
import type { Row, Scene } from './row.ts';

type Wrong = [sentence: string, change: JwtChange | ((scene: Scene) => JwtChange)];

const empty = () => Buffer.alloc(0);
const secret = { kty: 'oct', k: Buffer.alloc(32, 7).toString('base64url') };

const form: Wrong[] = [
  ['one that is no JWT', { compact: () => 'x' }],
  ['two parts', { compact: (jwt) => jwt.split('.').slice(0, 2).join('.') }],
  ['four parts', { compact: (jwt) => `${jwt}.e30` }],
  ['an empty signature', { sign: empty }],
  ['only dots', { compact: () => '..' }],
  ['padding behind it', { compact: (jwt) => `${jwt}=` }],
  ['garbage behind the signature', { compact: (jwt) => `${jwt}AAAA` }],
  ['a header that is no JSON', { rawHeader: '{' }],
  ['a payload that is no JSON', { rawPayload: '{' }],
  ['a payload that is a list', { rawPayload: [] }],
  ['5 KB', { claims: { jti: 'j'.repeat(5000) } }],
  ['10 KB', { claims: { padding: 'x'.repeat(8000) } }],
];

const header: Wrong[] = [
  ['no typ', { header: { typ: undefined } }],
  ['typ JWT', { header: { typ: 'JWT' } }],
  ['typ at+jwt', { header: { typ: 'at+jwt' } }],
  ['typ as a list', { header: { typ: ['dpop+jwt'] } }],
  ['no alg', { header: { alg: undefined } }],
  ['alg none', { header: { alg: 'none' }, sign: empty }],
  ['alg none with a signature', { header: { alg: 'none' } }],
  [
    'alg HS256 with a secret in jwk',
    { header: { alg: 'HS256', jwk: secret }, sign: (input) => hmac(Buffer.alloc(32, 7), input) },
  ],
  [
    'alg HS256 with the public key as its secret',
    ({ client }) => ({
      header: { alg: 'HS256' },
      sign: (input) =>
        hmac(createPublicKey(client.bindingKey.privateKey).export({ type: 'spki', format: 'pem' }), input),
    }),
  ],
  ['alg RS256 with an elliptic curve key', { header: { alg: 'RS256' } }],
  ['alg ES384 on P-384', () => p384()],
  ['alg ES256 on P-384', () => ({ ...p384(), header: { ...p384().header, alg: 'ES256' } })],
  ['crit', { header: { crit: ['x'], x: 1 } }],
  ['an unencoded payload', { header: { b64: false, crit: ['b64'] } }],
  ['no jwk', { header: { jwk: undefined } }],
  ['jwk null', { header: { jwk: null } }],
  ['jwk as text', ({ client }) => ({ header: { jwk: JSON.stringify(client.bindingKey.bareJwk) } })],
  ['jwk as a list', ({ client }) => ({ header: { jwk: [client.bindingKey.bareJwk] } })],
  ['an empty jwk', { header: { jwk: {} } }],
  [
    'a private key in jwk',
    ({ client }) => ({ header: { jwk: client.bindingKey.privateKey.export({ format: 'jwk' }) } }),
  ],
  ['a symmetric jwk', { header: { jwk: secret } }],
  [
    'a jwk that is both symmetric and not',
    ({ client }) => ({ header: { jwk: { ...client.bindingKey.bareJwk, k: secret.k } } }),
  ],
  [
    'a jwk of another kind than its members',
    ({ client }) => ({ header: { jwk: { ...client.bindingKey.bareJwk, kty: 'RSA' } } }),
  ],
  [
    'a jwk on another curve than it says',
    ({ client }) => ({ header: { jwk: { ...client.bindingKey.bareJwk, crv: 'P-384' } } }),
  ],
  [
    'a jwk for another algorithm',
    ({ client }) => ({ header: { jwk: { ...client.bindingKey.bareJwk, alg: 'ES384' } } }),
  ],
  [
    'a jwk whose point is not on the curve',
    ({ client }) => ({ header: { jwk: { ...client.bindingKey.bareJwk, y: encode(Buffer.alloc(32, 1)) } } }),
  ],
  ['a jwk with half a point', ({ client }) => ({ header: { jwk: { ...client.bindingKey.bareJwk, y: undefined } } })],
  [
    'a jwk with a coordinate too short',
    ({ client }) => ({ header: { jwk: { ...client.bindingKey.bareJwk, x: 'AA' } } }),
  ],
  [
    'a jwk with a coordinate as a number',
    ({ client }) => ({ header: { jwk: { ...client.bindingKey.bareJwk, x: 1 } } }),
  ],
  ['an RSA key of 1024 bits', () => rsa(1024)],
  [
    'an RSA key with the exponent 1',
    () => ({
      header: { alg: 'RS256', jwk: { kty: 'RSA', n: encode(Buffer.alloc(256, 0xc1)), e: 'AQ' } },
      sign: () => Buffer.alloc(256),
    }),
  ],
  ['jku instead of jwk', { header: { jwk: undefined, jku: 'https://attacker.example/jwks' } }],
  ['jku beside jwk', { header: { jku: 'https://attacker.example/jwks' } }],
  ['x5u beside jwk', { header: { x5u: 'https://attacker.example/x5u' } }],
  ['x5c beside jwk', { header: { x5c: ['MIIB'] } }],
];

const signature: Wrong[] = [
  ['a signature of zeros', { sign: () => Buffer.alloc(64) }],
  [
    'a signature in DER',
    ({ client }) => ({ sign: (input) => signBytes('sha256', input, client.bindingKey.privateKey) }),
  ],
  ['a signature by another key than in jwk', ({ strangerKey }) => ({ key: strangerKey })],
  [
    'a signature over something else',
    ({ client }) => ({ sign: () => signAs('ES256', client.bindingKey.privateKey, Buffer.from('x')) }),
  ],
];

const claims: Wrong[] = [
  ['no htm', { claims: { htm: undefined } }],
  ['htm GET', { claims: { htm: 'GET' } }],
  ['htm post in small letters', { claims: { htm: 'post' } }],
  ['htm as a list', { claims: { htm: ['POST'] } }],
  ['no htu', { claims: { htu: undefined } }],
  ['htu another server', { claims: { htu: 'https://other.example/oauth2/token' } }],
  ['htu another endpoint', ({ tokenEndpoint }) => ({ claims: { htu: tokenEndpoint.replace(/token$/, 'revoke') } })],
  ['htu the issuer', ({ issuer }) => ({ claims: { htu: issuer } })],
  ['htu under another scheme', ({ tokenEndpoint }) => ({ claims: { htu: tokenEndpoint.replace('http:', 'https:') } })],
  ['htu on another port', ({ tokenEndpoint }) => ({ claims: { htu: tokenEndpoint.replace(/:\d+\//, ':1/') } })],
  ['htu with a slash more', ({ tokenEndpoint }) => ({ claims: { htu: `${tokenEndpoint}/` } })],
  ['htu in other letters', ({ tokenEndpoint }) => ({ claims: { htu: tokenEndpoint.replace('/token', '/TOKEN') } })],
  ['htu as a path', { claims: { htu: '/oauth2/token' } }],
  ['htu as a number', { claims: { htu: 1 } }],
  ['htu with a user name', ({ tokenEndpoint }) => ({ claims: { htu: tokenEndpoint.replace('://', '://user@') } })],
  ['no iat', { claims: { iat: undefined } }],
  ['iat as text', ({ now }) => ({ claims: { iat: String(now) } })],
  ['iat null', { claims: { iat: null } }],
  [
    'iat beyond all numbers',
    ({ tokenEndpoint, nonce }) => ({
      rawPayload: `{"jti":"x","htm":"POST","htu":"${tokenEndpoint}","nonce":"${nonce}","iat":1e999}`,
    }),
  ],
  ['iat ten minutes ago', ({ now }) => ({ claims: { iat: now - 600 } })],
  ['iat in ten minutes', ({ now }) => ({ claims: { iat: now + 600 } })],
  ['iat in milliseconds', ({ now }) => ({ claims: { iat: now * 1000 } })],
  ['no jti', { claims: { jti: undefined } }],
  ['an empty jti', { claims: { jti: '' } }],
  ['jti as a number', { claims: { jti: 1 } }],
  ['jti with a NUL', { claims: { jti: 'a\0b' } }],
  [
    'jti with half a surrogate pair',
    ({ tokenEndpoint, nonce, now }) => ({
      rawPayload: `{"jti":"\\ud800","htm":"POST","htu":"${tokenEndpoint}","nonce":"${nonce}","iat":${now}}`,
    }),
  ],
  ['nonce as a number', { claims: { nonce: 1 } }],
  ['ath as a number', { claims: { ath: 1 } }],
];

const nonces: Wrong[] = [
  ['no nonce', { claims: { nonce: undefined } }],
  ['a nonce that the server never gave', { claims: { nonce: 'x'.repeat(32) } }],
  ['a nonce with a letter changed', ({ nonce }) => ({ claims: { nonce: changed(nonce) } })],
  ['a nonce with a letter more', ({ nonce }) => ({ claims: { nonce: `${nonce}A` } })],
  ['a nonce from an hour ago', ({ staleNonce }) => ({ claims: { nonce: staleNonce } })],
];

const others: Row[] = [
  ['no proof for a resource that binds its tokens', { proof: 'none' }, 400, 'invalid_request'],
  ['an empty DPoP header', { proof: { compact: () => '' } }, 400, 'invalid_dpop_proof'],
  [
    'two proofs in two headers',
    (scene) => ({ headers: [['DPoP', makeProof(scene, 'second')]] }),
    400,
    'invalid_dpop_proof',
  ],
  [
    'the same proof in two headers',
    (scene) => {
      const proof = makeProof(scene, 'same');
      return { proof: { compact: () => proof }, headers: [['DPoP', proof]] };
    },
    400,
    'invalid_dpop_proof',
  ],
  [
    'two proofs in one header',
    (scene) => ({ proof: { compact: (jwt) => `${jwt}, ${makeProof(scene, 'second')}` } }),
    400,
    'invalid_dpop_proof',
  ],
  [
    'the assertion as its proof',
    (scene) => ({ proof: { compact: () => makeAssertion(scene, 'x') } }),
    400,
    'invalid_dpop_proof',
  ],
  [
    'an access token as its proof',
    ({ accessToken }) => ({ proof: { compact: () => accessToken } }),
    400,
    'invalid_dpop_proof',
  ],
];

export const proofRows: Row[] = [
  ...rows([...form, ...header, ...signature, ...claims], 'invalid_dpop_proof'),
  ...rows(nonces, 'use_dpop_nonce'),
  ...others,
];

function rows(wrongs: Wrong[], error: string): Row[] {
  return wrongs.map(([sentence, change]) => [
    `a proof: ${sentence}`,
    (scene): Change => ({ proof: typeof change === 'function' ? change(scene) : change }),
    400,
    error,
  ]);
}

function hmac(key: string | Buffer, input: Buffer): Buffer {
  return createHmac('sha256', key).update(input).digest();
}

function p384() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  return {
    header: { alg: 'ES384', jwk: publicKey.export({ format: 'jwk' }) },
    sign: (input: Buffer) => signBytes('sha384', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  };
}

function rsa(bits: number): JwtChange {
  const key = makeKey('RS256', bits);
  return { key, header: { alg: 'RS256', jwk: key.bareJwk } };
}

function changed(nonce: string): string {
  const at = Math.floor(nonce.length / 2);
  return nonce.slice(0, at) + (nonce[at] === 'A' ? 'B' : 'A') + nonce.slice(at + 1);
}
