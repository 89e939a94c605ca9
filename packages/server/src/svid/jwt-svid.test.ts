import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { after, before, test } from 'node:test';
import { generateJwk, type JsonObject, type PrivateJwk, signCompact } from '@bailiwick/protocol';
import { decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import { asOf } from '../liveness/liveness.ts';
import { startServer, type TestServer, testEpoch } from '../testing/harness.ts';
import { type Bundle, parseBundle, trustBundle } from './bundle.ts';
import { bundleOf } from './bundles.ts';
import { issueJwtSvid, longestJwtSvidMs, verifyJwtSvid } from './jwt-svid.ts';

let server: TestServer;
let spiffeId: string;
before(async () => {
  server = await startServer();
  spiffeId = `spiffe://${server.deps.config.trust_domain}/home/agent/ins_1`;
});
after(() => server.close());

const now = testEpoch / 1000;
const issue = async (change: object = {}) => {
  const { version } = await asOf(server.deps.db);
  const expiresAt = server.clock.now() + 300_000;
  return issueJwtSvid(server.deps, version, { spiffeId, audience: ['https://api.example'], expiresAt, ...change });
};

test('what a JWT-SVID says, as a library that we did not write reads it', async () => {
  const { version } = await asOf(server.deps.db);
  const jwt = await issue({ audience: ['https://api.example', 'b'] });
  const { kid, alg, typ } = decodeProtectedHeader(jwt);
  const key = (await trustBundle(server.deps, version)).keys.find((each) => each.kid === kid);
  assert.equal(key?.use, 'jwt-svid');
  const { payload } = await jwtVerify(jwt, await importJWK(key as never, alg), {
    audience: 'b',
    currentDate: new Date(server.clock.now()),
  });
  assert.deepEqual(
    [alg, typ, payload],
    ['ES256', 'JWT', { sub: spiffeId, aud: ['https://api.example', 'b'], exp: now + 300, iat: now }],
  );
});

test('what nobody should ask for is not issued', async () => {
  const wrong = [
    { audience: [] },
    { audience: [''] },
    { audience: Array(17).fill('a') },
    { expiresAt: server.clock.now() + 300_001 },
    { expiresAt: server.clock.now() },
    { spiffeId: 'spiffe://other.example/home/agent' },
    { spiffeId: spiffeId.slice(0, spiffeId.indexOf('/home')) },
    { spiffeId: `${spiffeId}/..` },
  ];
  for (const change of wrong) await assert.rejects(issue(change), JSON.stringify(change));
});

test('verified with the bundle of the trust domain that it names', async () => {
  const { version } = await asOf(server.deps.db);
  const bundles = (trustDomain: string) => bundleOf(server.deps, version, trustDomain);
  const verified = await verifyJwtSvid(server.deps, await issue(), {
    longestMs: longestJwtSvidMs,
    audience: 'https://api.example',
    bundles,
  });
  assert.deepEqual(verified, { spiffeId, expiresAt: server.clock.now() + 300_000 });
});

const foreign = await generateJwk('ES256');
const stranger = await generateJwk('ES256');
const sub = 'spiffe://partner.example/service';
const claims = { sub, aud: ['us'], exp: now + 60 };
const make = (change: JsonObject = {}, header: JsonObject = {}, jwk: PrivateJwk = foreign) => {
  const key = createPrivateKey({ key: jwk as never, format: 'jwk' });
  return signCompact(
    { alg: 'ES256', kid: 'theirs', typ: 'JWT', ...header },
    { ...claims, ...change },
    { alg: 'ES256', key },
  );
};
const { kty, crv, x, y } = foreign;
const partner: Bundle = parseBundle(
  { keys: [{ use: 'jwt-svid', kid: 'theirs', kty, crv, x, y }] },
  { trustDomain: 'partner.example' },
);
const verifyForeign = (jwt: string, audience: string | string[] = 'us') =>
  verifyJwtSvid(server.deps, jwt, {
    longestMs: 600_000,
    audience,
    bundles: async (domain) => (domain === 'partner.example' ? partner : undefined),
  });

test('of others nothing is asked but sub, aud and exp', async () => {
  assert.equal((await verifyForeign(make())).spiffeId, sub);
  const good = [
    make({ aud: 'us' }),
    make({ aud: ['them', 'us'] }),
    make({}, { typ: undefined }),
    make({}, { typ: 'JOSE' }),
    make({ iat: now + 30, nbf: now + 30 }),
    make({ exp: now - 29 }),
    make({ exp: now + 630 }),
  ];
  for (const jwt of good) assert.ok(await verifyForeign(jwt));
  assert.ok(await verifyForeign(make(), ['we', 'us']));
});

const refused: [string, string, string][] = [
  ['expired', 'expired', make({ exp: now - 31 })],
  ['not valid yet', 'not_yet_valid', make({ nbf: now + 31 })],
  ['issued in the future', 'not_yet_valid', make({ iat: now + 31 })],
  ['no exp', 'malformed', make({ exp: undefined })],
  ['an exp that is text', 'malformed', make({ exp: '9999999999' })],
  ['a longer life than the limit', 'lives_too_long', make({ exp: now + 631 })],
  ['no aud', 'malformed', make({ aud: undefined })],
  ['an empty aud', 'malformed', make({ aud: [] })],
  ['an aud that is a number', 'malformed', make({ aud: [1, 'us'] })],
  ['for somebody else', 'wrong_audience', make({ aud: ['them'] })],
  ['for somebody with a longer name', 'wrong_audience', make({ aud: 'us/' })],
  ['no sub', 'bad_spiffe_id', make({ sub: undefined })],
  ['a sub that is no SPIFFE ID', 'bad_spiffe_id', make({ sub: 'https://partner.example/service' })],
  ['a sub with tricks', 'bad_spiffe_id', make({ sub: 'spiffe://partner.example/a/../service' })],
  ['a sub in capitals', 'bad_spiffe_id', make({ sub: 'spiffe://PARTNER.example/service' })],
  ['the whole trust domain', 'bad_spiffe_id', make({ sub: 'spiffe://partner.example' })],
  ['a trust domain that is not known', 'unknown_trust_domain', make({ sub: 'spiffe://stranger.example/service' })],
  ['no kid', 'unknown_key', make({}, { kid: undefined })],
  ['a kid that is not known', 'unknown_key', make({}, { kid: 'other' })],
  ['a kid that every object has', 'unknown_key', make({}, { kid: 'constructor' })],
  ['signed by a stranger', 'bad_signature', make({}, {}, stranger)],
  ['another typ', 'malformed', make({}, { typ: 'at+jwt' })],
  ['not signed', 'malformed', `${make().split('.').slice(0, 2).join('.')}.`],
  [
    'alg none',
    'bad_signature',
    [Buffer.from('{"alg":"none","kid":"theirs"}').toString('base64url'), ...make().split('.').slice(1)].join('.'),
  ],
  [
    'alg HS256',
    'bad_signature',
    [Buffer.from('{"alg":"HS256","kid":"theirs"}').toString('base64url'), ...make().split('.').slice(1)].join('.'),
  ],
  ['no JWT', 'malformed', 'abc'],
];

for (const [what, code, jwt] of refused) {
  test(`no JWT-SVID: ${what}`, async () => {
    await assert.rejects(verifyForeign(jwt), { code });
  });
}
