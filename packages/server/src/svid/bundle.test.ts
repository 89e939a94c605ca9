import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateJwk, type JsonObject, publicJwk } from '@bailiwick/protocol';
import {
  basicConstraints,
  type Crafted,
  certifies,
  craft,
  craftAuthority,
  craftLeaf,
  ecKeys,
  named,
  names,
  rsaKeys,
  signs,
  uri,
} from '../testing/crafted-certificate.ts';
import { parseBundle } from './bundle.ts';

const trustDomain = 'example.org';
const jwkOf = ({ keys }: Crafted): JsonObject => keys.publicKey.export({ format: 'jwk' }) as JsonObject;
const x509 = (authority: Crafted, change: JsonObject = {}): JsonObject => ({
  use: 'x509-svid',
  ...jwkOf(authority),
  x5c: [authority.der.toString('base64')],
  ...change,
});

const root = craftAuthority('root');
const other = craftAuthority('other');
const ec = publicJwk(await generateJwk('ES256'));
const jwt = (change: JsonObject = {}): JsonObject => ({
  use: 'jwt-svid',
  kty: ec.kty,
  crv: ec.crv,
  x: ec.x,
  y: ec.y,
  kid: 'one',
  ...change,
});
const rsaJwk = rsaKeys(2048).publicKey.export({ format: 'jwk' }) as JsonObject;
const weakJwk = rsaKeys(1024).publicKey.export({ format: 'jwk' }) as JsonObject;
const p384Jwk = ecKeys('P-384').publicKey.export({ format: 'jwk' }) as JsonObject;

test('what a good bundle says', () => {
  const json = {
    keys: [x509(root), x509(other), jwt(), { ...rsaJwk, use: 'jwt-svid', kid: 'two' }],
    spiffe_sequence: 7,
    spiffe_refresh_hint: 300,
  };
  for (const each of [json, JSON.stringify(json)]) {
    const bundle = parseBundle(each, { trustDomain });
    assert.deepEqual(bundle.x509Authorities, [root.der, other.der]);
    const algorithms = [...bundle.jwtAuthorities].map(([kid, { alg }]) => [kid, alg]);
    assert.deepEqual(algorithms, [
      ['one', 'ES256'],
      ['two', 'RS256'],
    ]);
    assert.equal(bundle.sequence, 7);
    assert.equal(bundle.refreshHint, 300);
  }
});

test('what is passed over: uses of tomorrow, sound keys of kinds that nothing here verifies with, unknown members', () => {
  const keys = [
    x509(root, { key_ops: ['verify'], other: 1 }),
    { use: 'wit-svid', kty: 'XYZ' },
    { ...p384Jwk, use: 'jwt-svid', kid: 'p384' },
  ];
  const bundle = parseBundle({ keys, extra: true }, { trustDomain });
  assert.equal(bundle.x509Authorities.length, 1);
  assert.equal(bundle.jwtAuthorities.size, 0);
  assert.deepEqual(parseBundle({ keys: [] }, { trustDomain }).x509Authorities, []);
  assert.equal(parseBundle({ keys: [x509(root), x509(root)] }, { trustDomain }).x509Authorities.length, 1);
});

const ofDomain = (id: string) =>
  craftAuthority('x', { extensions: [basicConstraints(true), certifies, names(uri(id))] });
const leaf = craftLeaf(root);
const unmarked = craft({ subject: named('x'), extensions: [signs] });
const noCerts = craft({ subject: named('x'), extensions: [basicConstraints(true), signs] });
const weak = craftAuthority('weak', { keys: rsaKeys(1024) });
const p192 = craftAuthority('p192', { keys: ecKeys('prime192v1') });

const refused: [string, unknown, RegExp][] = [
  ['no JSON', '{', /no JSON/],
  ['no object', '[]', /no JWK set/],
  ['nothing', undefined, /no JWK set/],
  ['no keys', {}, /no JWK set/],
  ['keys that are no list', { keys: {} }, /no JWK set/],
  ['a key that is no object', { keys: ['a'] }, /no JSON object/],
  ['more keys than anybody needs', { keys: Array(101).fill(x509(root)) }, /more than 100 keys/],
  ['oversize', JSON.stringify({ keys: [], padding: 'a'.repeat(600_000) }), /too large/],
  ['a private key for X.509-SVIDs', { keys: [x509(root, { d: 'AAAA' })] }, /private key/],
  ['a private key for JWT-SVIDs', { keys: [jwt({ d: 'AAAA' })] }, /private key/],
  ['a private key of an unknown use', { keys: [{ use: 'wit-svid', d: 'AAAA' }] }, /private key/],
  ['a symmetric key', { keys: [{ kty: 'oct', k: 'AAAA', kid: 'a', use: 'jwt-svid' }] }, /symmetric/],
  ['no use', { keys: [jwt({ use: undefined })] }, /for no SVID/],
  ['use sig', { keys: [jwt({ use: 'sig' })] }, /for no SVID/],
  ['use enc', { keys: [jwt({ use: 'enc' })] }, /for no SVID/],
  [
    'a rogue key beside another one’s certificate',
    { keys: [x509(root, jwkOf(other))] },
    /another one than in its certificate/,
  ],
  ['no x5c', { keys: [x509(root, { x5c: undefined })] }, /exactly one certificate/],
  ['an empty x5c', { keys: [x509(root, { x5c: [] })] }, /exactly one certificate/],
  [
    'two certificates',
    { keys: [x509(root, { x5c: [root.der.toString('base64'), other.der.toString('base64')] })] },
    /exactly one/,
  ],
  [
    'base64url in x5c',
    { keys: [x509(root, { x5c: [root.der.toString('base64url')] })] },
    /not base64|as it should|malformed|not accepted/,
  ],
  ['PEM in x5c', { keys: [x509(root, { x5c: ['-----BEGIN CERTIFICATE-----'] })] }, /not base64/],
  ['garbage in x5c', { keys: [x509(root, { x5c: ['AAAA'] })] }, /not accepted/],
  ['a leaf in x5c', { keys: [x509(leaf)] }, /not one of an authority/],
  ['a certificate without CA flag', { keys: [x509(unmarked)] }, /not one of an authority/],
  ['an authority that may not sign certificates', { keys: [x509(noCerts)] }, /not one of an authority/],
  ['an authority with RSA 1024', { keys: [x509(weak)] }, /RSA must have 2048/],
  [
    'an authority on P-192',
    { keys: [{ ...x509(root), x5c: [p192.der.toString('base64')] }] },
    /must be ECDSA on P-256/,
  ],
  [
    'an authority of another trust domain',
    { keys: [x509(ofDomain('spiffe://partner.example'))] },
    /another trust domain/,
  ],
  ['an authority of no trust domain', { keys: [x509(ofDomain('https://example.org'))] }, /no SPIFFE ID/],
  ['a duplicate kid', { keys: [jwt(), jwt()] }, /two keys have one kid/],
  ['no kid', { keys: [jwt({ kid: undefined })] }, /must have a kid/],
  ['a kid with a line break', { keys: [jwt({ kid: 'a\nb' })] }, /must have a kid/],
  ['a point that is on no curve', { keys: [jwt({ x: ec.y as string, y: ec.x as string })] }, /not valid/],
  ['a key of RSA 1024', { keys: [{ ...weakJwk, use: 'jwt-svid', kid: 'a' }] }, /2048/],
  ['an algorithm that does not suit', { keys: [jwt({ alg: 'RS256' })] }, /does not suit/],
  ['HMAC', { keys: [jwt({ alg: 'HS256' })] }, /does not suit/],
  ['a sequence that is no number', { keys: [], spiffe_sequence: '7' }, /whole number/],
  ['a negative sequence', { keys: [], spiffe_sequence: -1 }, /whole number/],
  ['a sequence with a fraction', { keys: [], spiffe_sequence: 1.5 }, /whole number/],
  ['a negative hint', { keys: [], spiffe_refresh_hint: -1 }, /whole number/],
];

for (const [what, json, message] of refused) {
  test(`a bundle is refused: ${what}`, () => {
    assert.throws(() => parseBundle(json, { trustDomain }), { code: 'bad_bundle', message });
  });
}
