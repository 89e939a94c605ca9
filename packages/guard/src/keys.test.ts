/** The identity provider's keys: rotation, outages, and what somebody with random key ids can do about them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateJwk, thumbprint } from '@bailiwick/protocol';
import { createGuard, type GuardOptions } from './index.ts';
import { fakeAgent, fakeIssuer } from './testing/fake-issuer.ts';

const jwks = '/oauth2/jwks';
const metadata = '/.well-known/oauth-authorization-server';
const day = 86_400_000;

async function setUp(options: Partial<GuardOptions> = {}) {
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options({ mode: 'offline', ...options }));
  const status = async (token?: string) => {
    const decision = await guard.decide(await agent.request('GET', '/tickets', token === undefined ? {} : { token }));
    return decision.allowed ? 200 : decision.status;
  };
  const underKid = (kid: string) => fake.token({ cnf: { jkt: thumbprint(agent.signer.publicJwk) } }, { kid });
  /** Lets what runs in the background come to its end. */
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { fake, agent, guard, status, underKid, settle };
}

test('keys are fetched once for any number of requests', async () => {
  const { fake, status } = await setUp();
  assert.deepEqual(await Promise.all(Array.from({ length: 20 }, () => status())), Array(20).fill(200));
  assert.equal(fake.asked[jwks], 1);
});

test('a new key is found at its first token', async () => {
  const { fake, status } = await setUp();
  assert.equal(await status(), 200);
  fake.keys = [await generateJwk('ES256'), ...fake.keys];
  fake.clock.advance(10_000);
  assert.equal(await status(), 200);
  assert.equal(fake.asked[jwks], 2);
});

test('random key ids cause one refresh per floor, however many they are', async () => {
  const { fake, status, underKid } = await setUp();
  await status();
  fake.clock.advance(10_000);
  const wrong = await Promise.all(Array.from({ length: 100 }, (_, i) => underKid(`random-${i}`)));
  assert.deepEqual(new Set(await Promise.all(wrong.map((token) => status(token)))), new Set([401]));
  assert.equal(fake.asked[jwks], 2);
  fake.clock.advance(9_999);
  await status(wrong[0]);
  assert.equal(fake.asked[jwks], 2);
  fake.clock.advance(1);
  await status(wrong[0]);
  assert.equal(fake.asked[jwks], 3);
});

test('a key that was withdrawn stops at the next refresh, for remembered tokens too', async () => {
  const { fake, agent, status, settle } = await setUp();
  const token = await agent.token();
  assert.equal(await status(token), 200);
  fake.keys = [await generateJwk('ES256')];
  fake.clock.advance(400_000);
  assert.equal(await status(token), 200, 'used while the refresh is under way');
  await settle();
  assert.equal(await status(token), 401);
});

test('another key under the same kid is another key', async () => {
  const { fake, agent, status, settle } = await setUp();
  const token = await agent.token();
  assert.equal(await status(token), 200);
  fake.keys = [{ ...(await generateJwk('ES256')), kid: fake.keys[0]!.kid! }];
  fake.clock.advance(400_000);
  await status(token);
  await settle();
  assert.equal(await status(token), 401);
});

test('one failed fetch changes nothing, nor does a day of them; after that nothing is let in', async () => {
  const { fake, status, settle } = await setUp();
  assert.equal(await status(), 200);
  fake.away = true;
  fake.clock.advance(400_000);
  assert.equal(await status(), 200);
  await settle();
  fake.clock.advance(day - 400_001);
  assert.equal(await status(), 200);
  await settle();
  fake.clock.advance(1);
  assert.equal(await status(), 503);
  fake.away = false;
  fake.clock.advance(10_000);
  assert.equal(await status(), 200, 'and back again');
});

test('a remembered token does not outlive the keys', async () => {
  const { fake, agent, status } = await setUp({ keys: { staleSeconds: 300 } });
  const token = await agent.token();
  assert.equal(await status(token), 200);
  fake.away = true;
  fake.clock.advance(300_000);
  assert.equal(await status(token), 503);
});

for (const [what, keys] of [
  ['an empty JWKS', []],
  ['a JWKS of keys of unknown kinds', [{ kty: 'XYZ', kid: 'x' }]],
] as const) {
  test(`${what} is a failed fetch, not the end of all keys`, async () => {
    const { fake, status, settle } = await setUp();
    assert.equal(await status(), 200);
    const good = fake.fetch;
    let broken = true;
    fake.fetch = (url, init) =>
      broken && String(url).endsWith(jwks) ? Promise.resolve(Response.json({ keys })) : good(url, init);
    const guard = createGuard(fake.options({ mode: 'offline' }));
    assert.equal(await status(), 200);
    await settle();
    await assert.rejects(guard.ready(), { name: 'Unavailable' });
    broken = false;
    fake.clock.advance(1000);
    await guard.ready();
  });
}

test('a token under an unknown key is refused as such only if the keys are known to be new', async () => {
  const { fake, status, underKid } = await setUp();
  await status();
  const token = await underKid('maybe-new');
  fake.away = true;
  fake.clock.advance(10_000);
  assert.equal(await status(token), 503, 'else the agent would throw away a good token');
});

test('before the identity provider was ever reached: 503, tried again each second, never by each request', async () => {
  const { fake, status } = await setUp();
  fake.away = true;
  assert.deepEqual(await Promise.all([status(), status(), status()]), [503, 503, 503]);
  assert.equal(await status(), 503);
  assert.equal(fake.asked[metadata], 1);
  fake.away = false;
  fake.clock.advance(1000);
  assert.equal(await status(), 200);
});

test('the metadata must be that of our issuer, and must not lead to plain http', async () => {
  const { fake } = await setUp();
  const options = fake.options({ mode: 'offline' });
  const answering = (body: object) =>
    createGuard({
      ...options,
      fetch: async (url) => (String(url).endsWith(metadata) ? Response.json(body) : fake.fetch(url)),
    });
  const jwks_uri = 'https://id.example/oauth2/jwks';
  await assert.rejects(answering({ issuer: 'https://evil.example', jwks_uri }).ready(), /another issuer/);
  await assert.rejects(
    answering({ issuer: 'https://id.example', jwks_uri: 'http://id.example/jwks' }).ready(),
    /https/,
  );
  await answering({ issuer: 'https://id.example', jwks_uri }).ready();
});
