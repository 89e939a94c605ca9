import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import {
  canonicalJson,
  certificateThumbprint,
  compileOperations,
  formatChallenge,
  importPublicJwk,
  normalizeHtu,
  ProtocolError,
  parseChallenges,
  parseClientCert,
  parseClientCertChain,
  parseCompact,
  parseDpopProof,
  parseScope,
  protectedResourceMetadataUrl,
  publicJwk,
  resourceCovers,
  signerFrom,
  validateAccessTokenClaims,
  validateClientAssertion,
  verifyDpopProof,
} from './index.ts';
import { jwks, segment } from './testing.ts';

const now = 1_800_000_000_000;

/** Runs it; a ProtocolError is an answer, anything else thrown is a defect. */
function answers(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    assert.match(error.code, /^[a-z0-9_]+$/);
  }
}

/** Text as it may arrive: anything, plus what looks nearly right. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.array(fc.base64String(), { minLength: 3, maxLength: 3 }).map((parts) => parts.join('.').replaceAll('=', '')),
);
const json = fc.jsonValue({ stringUnit: 'binary' });
const names = fc.constantFrom(
  'alg',
  'typ',
  'jwk',
  'kid',
  'jti',
  'htm',
  'htu',
  'iat',
  'exp',
  'nbf',
  'aud',
  'iss',
  'sub',
  'nonce',
  'ath',
  'rev',
  'links',
  'cnf',
  'scope',
  'crit',
);
const likely = fc.constantFrom<unknown>(
  'ES256',
  'RS256',
  'none',
  'dpop+jwt',
  'at+jwt',
  'GET',
  'https://id.example',
  'j',
  now / 1000,
  publicJwk(jwks.ES256),
  publicJwk(jwks.RS256),
  ['x'],
);
const object = fc.dictionary(names, fc.oneof(json, likely));
const jws = fc
  .tuple(object, object, fc.uint8Array({ minLength: 1, maxLength: 80 }))
  .map(
    ([header, payload, signature]) =>
      `${segment({ alg: 'ES256', typ: 'dpop+jwt', jwk: publicJwk(jwks.ES256), ...header })}.${segment({ jti: 'j', htm: 'GET', htu: 'https://a.example', iat: now / 1000, ...payload })}.${Buffer.from(signature).toString('base64url')}`,
  );

suite('whatever arrives, only a ProtocolError is thrown', () => {
  const readers: [name: string, read: (input: string) => unknown][] = [
    ['parseCompact', parseCompact],
    [
      'a DPoP proof',
      (input) =>
        verifyDpopProof(parseDpopProof(input), {
          htm: 'GET',
          htu: 'https://a.example',
          now,
          maxAgeSeconds: 60,
          futureSeconds: 5,
          accessToken: 'x',
          nonce: () => true,
        }),
    ],
    [
      'an assertion',
      (input) =>
        validateClientAssertion(parseCompact(input), { issuer: 'https://id.example', now, maxLifetimeSeconds: 60 }),
    ],
    [
      'an access token',
      (input) =>
        validateAccessTokenClaims(parseCompact(input), {
          issuer: 'https://id.example',
          audience: 'https://id.example',
          now,
        }),
    ],
    ['parseScope', parseScope],
    ['parseChallenges', parseChallenges],
    ['parseClientCert', parseClientCert],
    ['parseClientCert, between colons', (input) => parseClientCert(`:${input}:`)],
    ['parseClientCertChain', parseClientCertChain],
    ['certificateThumbprint', certificateThumbprint],
    ['formatChallenge', (input) => formatChallenge('Bearer', { [input]: input })],
    ['normalizeHtu', normalizeHtu],
    ['protectedResourceMetadataUrl', protectedResourceMetadataUrl],
    ['resourceCovers', (input) => resourceCovers(input, input)],
    [
      'an operation',
      (input) =>
        compileOperations([{ name: 'all', method: 'GET', path: '/{rest*}', scope: [], sensitivity: 'low' }])(
          input,
          input,
        ),
    ],
    [
      'an operation template',
      (input) => compileOperations([{ name: 'o', method: 'GET', path: input, scope: [], sensitivity: 'low' }]),
    ],
  ];
  for (const [name, read] of readers) {
    test(name, () =>
      fc.assert(
        fc.property(fc.oneof(text, jws), (input) => answers(() => read(input))),
        { numRuns: 500 },
      ),
    );
  }

  test('importPublicJwk and signerFrom', () => {
    const members = fc.dictionary(
      fc.constantFrom('kty', 'crv', 'x', 'y', 'n', 'e', 'd', 'alg', 'use', 'kid', 'key_ops'),
      fc.oneof(json, fc.constantFrom('EC', 'P-256', 'OKP', 'Ed25519', 'RSA', 'AQAB')),
    );
    const key = fc.oneof(
      json,
      members,
      members.map((changes) => ({ ...jwks.ES256, ...changes })),
      members.map((changes) => ({ ...publicJwk(jwks.RS256), ...changes })),
    );
    fc.assert(
      fc.property(key, (value) => answers(() => importPublicJwk(value))),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(key, (value) => answers(() => signerFrom(value as never))),
      { numRuns: 1000 },
    );
  });

  test('canonicalJson, of anything', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => answers(() => canonicalJson(value))),
      { numRuns: 1000 },
    );
  });
});
