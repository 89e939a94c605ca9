import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { suite, test } from 'node:test';
import { linkTag, parseCompact, validateAccessTokenClaims } from './index.ts';
import { code, segment } from './testing.ts';

const now = 1_800_000_000_000;
const at = now / 1000;
const expected = { issuer: 'https://id.example', audience: 'https://api.example', now };
const good = {
  iss: expected.issuer,
  sub: 'spiffe://id.example/default/robin',
  aud: expected.audience,
  client_id: 'agt_1',
  iat: at,
  exp: at + 600,
  jti: 'j',
  scope: 'tickets:read',
  cnf: { jkt: 'x' },
  org: 'org_1',
  rev: 7,
  links: ['abcdefgh'],
  sub_profile: 'ai_agent',
};
const token = (claims: object, header: object = {}) =>
  parseCompact(`${segment({ alg: 'ES256', typ: 'at+jwt', ...header })}.${segment({ ...good, ...claims })}.AAAA`);

suite('access token claims', () => {
  test('are returned when all is well', () => {
    assert.deepEqual(validateAccessTokenClaims(token({}), expected), good);
  });

  const fine: [name: string, claims: object, header: object, more: object][] = [
    ['the long form of typ', {}, { typ: 'application/at+jwt' }, {}],
    ['typ in other letters', {}, { typ: 'AT+JWT' }, {}],
    ['typ as the profile says', {}, { typ: 'JWT' }, { typ: 'JWT' }],
    ['an audience as a list of one', { aud: [expected.audience] }, {}, {}],
    ['no scope', { scope: undefined }, {}, {}],
    ['an empty scope', { scope: '' }, {}, {}],
    ['no binding', { cnf: undefined }, {}, {}],
    ['both bindings', { cnf: { jkt: 'x', 'x5t#S256': 'y' } }, {}, {}],
    ['skew within bounds', { exp: at - 4 }, {}, { skewSeconds: 5 }],
  ];
  for (const [name, claims, header, more] of fine) {
    test(`accepts ${name}`, () => {
      assert.equal(validateAccessTokenClaims(token(claims, header), { ...expected, ...more }).aud, expected.audience);
    });
  }

  const cases: [name: string, claims: object, header: object, code: string][] = [
    ['no typ', {}, { typ: undefined }, 'wrong_type'],
    ['typ JWT where at+jwt is expected', {}, { typ: 'JWT' }, 'wrong_type'],
    ['typ dpop+jwt', {}, { typ: 'dpop+jwt' }, 'wrong_type'],
    ['another issuer', { iss: 'https://evil.example' }, {}, 'wrong_issuer'],
    ['an issuer with a slash more', { iss: 'https://id.example/' }, {}, 'wrong_issuer'],
    ['another audience', { aud: 'https://other.example' }, {}, 'wrong_audience'],
    ['two audiences', { aud: [expected.audience, 'https://other.example'] }, {}, 'wrong_audience'],
    ['no audience', { aud: undefined }, {}, 'wrong_audience'],
    ['an end that has come', { exp: at }, {}, 'expired'],
    ['no end', { exp: undefined }, {}, 'malformed'],
    ['a beginning in the future', { nbf: at + 60 }, {}, 'not_yet_valid'],
    ['an issue in the future', { iat: at + 60 }, {}, 'not_yet_valid'],
    ['no iat', { iat: undefined }, {}, 'malformed'],
    ['no sub', { sub: undefined }, {}, 'malformed'],
    ['no client_id', { client_id: undefined }, {}, 'malformed'],
    ['no jti', { jti: '' }, {}, 'malformed'],
    ['no org', { org: undefined }, {}, 'malformed'],
    ['no rev', { rev: undefined }, {}, 'malformed'],
    ['a rev below zero', { rev: -1 }, {}, 'malformed'],
    ['a rev that is text', { rev: '7' }, {}, 'malformed'],
    ['no links', { links: undefined }, {}, 'malformed'],
    ['links that are numbers', { links: [1] }, {}, 'malformed'],
    ['a scope that is a list', { scope: ['a'] }, {}, 'malformed'],
    ['a scope with two spaces', { scope: 'a  b' }, {}, 'invalid_scope'],
    ['a binding that is text', { cnf: 'x' }, {}, 'malformed'],
    ['an empty binding', { cnf: {} }, {}, 'malformed'],
    ['a null binding', { cnf: null }, {}, 'malformed'],
    ['a binding of an unknown kind', { cnf: { jwk: {} } }, {}, 'malformed'],
    ['a known binding beside an unknown one', { cnf: { jkt: 'x', kid: 'y' } }, {}, 'malformed'],
    ['a jkt that is a number', { cnf: { jkt: 1 } }, {}, 'malformed'],
  ];
  for (const [name, claims, header, expectedCode] of cases) {
    test(`refuses ${name}`, () =>
      assert.equal(
        code(() => validateAccessTokenClaims(token(claims, header), expected)),
        expectedCode,
      ));
  }

  test('a link tag is the first 8 letters of the SHA-256 in base64url', () => {
    assert.equal(linkTag('crd_1'), createHash('sha256').update('crd_1').digest('base64url').slice(0, 8));
  });
});
