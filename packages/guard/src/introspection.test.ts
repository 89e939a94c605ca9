import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGuard, type GuardOptions } from './index.ts';
import { fakeAgent, fakeIssuer, quiet } from './testing/fake-issuer.ts';

const introspect = '/oauth2/introspect';

async function setUp(options: Partial<GuardOptions> = {}) {
  const fake = await fakeIssuer();
  const runtime = quiet(fake);
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options({ runtime, ...options }));
  const token = await agent.token({ jti: 'j-1' });
  const decide = async (of = token) => guard.decide(await agent.request('GET', '/tickets', { token: of }));
  const status = async (of = token) => {
    const decision = await decide(of);
    return decision.allowed ? 200 : decision.status;
  };
  return { fake, runtime, agent, guard, token, decide, status };
}

test('a token that was ended is refused as soon as the last answer is too old', async () => {
  const { fake, status } = await setUp();
  assert.equal(await status(), 200);
  fake.ended.add('j-1');
  fake.clock.advance(1999);
  assert.equal(await status(), 200);
  assert.equal(fake.asked[introspect], 1);
  fake.clock.advance(1);
  assert.equal(await status(), 401);
});

test('cacheSeconds: 0 asks for every request', async () => {
  const { fake, status } = await setUp({ introspection: { cacheSeconds: 0 } });
  assert.equal(await status(), 200);
  fake.ended.add('j-1');
  assert.equal(await status(), 401);
});

test('many requests with one token ask once', async () => {
  const { fake, status } = await setUp();
  assert.deepEqual(await Promise.all(Array.from({ length: 30 }, () => status())), Array(30).fill(200));
  assert.equal(fake.asked[introspect], 1);
});

test('an answer counts from when it was asked for', async () => {
  const { fake, status } = await setUp();
  fake.beforeAnswer = async () => fake.clock.advance(1500);
  assert.equal(await status(), 200);
  fake.ended.add('j-1');
  fake.clock.advance(500);
  assert.equal(await status(), 401);
});

test('an answer that takes long is not waited for by those who come too late for it', async () => {
  const { fake, status } = await setUp();
  await status();
  fake.clock.advance(2000);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  fake.beforeAnswer = () => held;
  const early = status();
  while (fake.asked[introspect] !== 2) await new Promise((resolve) => setImmediate(resolve));
  fake.clock.advance(2001);
  fake.ended.add('j-1');
  fake.beforeAnswer = async () => {};
  assert.equal(await status(), 401, 'asked anew');
  release();
  await early;
  assert.equal(await status(), 401, 'the older answer does not bring it back');
});

test('a refusal by the identity provider is believed as briefly as a consent', async () => {
  const { fake, status } = await setUp();
  fake.ended.add('j-1');
  assert.equal(await status(), 401);
  fake.ended.delete('j-1');
  assert.equal(await status(), 401);
  fake.clock.advance(2000);
  assert.equal(await status(), 200);
});

test('an identity provider that cannot be asked means no, and when to try again', async () => {
  const { fake, decide, status, runtime } = await setUp();
  assert.equal(await status(), 200);
  fake.away = new Set([introspect]);
  fake.clock.advance(2000);
  const decision = await decide();
  assert.ok(!decision.allowed);
  assert.deepEqual([decision.status, decision.headers['retry-after']], [503, '1']);
  assert.equal(decision.headers['www-authenticate'], undefined, 'a new token would not help');
  assert.match(runtime.problems.join(), /introspect can't be reached/);
  fake.away = false;
  assert.equal(await status(), 200);
});

test('too many questions at once: the rest is refused, not queued', async () => {
  const { fake, agent, status } = await setUp({ introspection: { maxConcurrent: 2 } });
  await status();
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  fake.beforeAnswer = () => held;
  const tokens = await Promise.all(Array.from({ length: 5 }, () => agent.token()));
  const all = tokens.map((token) => status(token));
  const early = await Promise.race([Promise.all(all.slice(2)), held]);
  release();
  assert.deepEqual(early, [503, 503, 503]);
  assert.deepEqual(await Promise.all(all), [200, 200, 503, 503, 503]);
});

test('nobody can make the guard ask without a good token and its key', async () => {
  const { fake, agent, guard, token } = await setUp();
  const thief = await agent.request('GET', '/tickets', { token, proof: { htu: 'https://elsewhere.example/' } });
  await guard.decide(thief);
  await guard.decide({ ...thief, headers: { authorization: [`DPoP ${token.slice(0, -4)}AAAA`] } });
  assert.equal(fake.asked[introspect], undefined);
});

for (const [what, answer] of [
  ['no JSON', () => new Response('<html>')],
  ['an error', () => Response.json({ error: 'invalid_client' }, { status: 401 })],
  ['neither yes nor no', () => Response.json({ active: 'true' })],
  ['a redirect', () => Response.redirect('https://elsewhere.example/')],
  ['an answer without end', () => Response.json({ active: true, filler: 'x'.repeat(300_000) })],
] as const) {
  test(`fails closed when the answer is ${what}`, async () => {
    const fake = await fakeIssuer();
    const good = fake.fetch;
    fake.fetch = (url, init) => (String(url).endsWith(introspect) ? Promise.resolve(answer()) : good(url, init));
    const agent = await fakeAgent(fake);
    const decision = await createGuard(fake.options({ runtime: quiet(fake) })).decide(await agent.request());
    assert.equal(decision.allowed === false && decision.status, 503);
  });
}

test('a clock that was set back makes it ask again', async () => {
  const { fake, status } = await setUp();
  assert.equal(await status(), 200);
  fake.ended.add('j-1');
  fake.clock.advance(-3000);
  assert.equal(await status(), 401);
});

test('no question to the identity provider follows a redirect', async () => {
  const fake = await fakeIssuer();
  const good = fake.fetch;
  const modes: unknown[] = [];
  fake.fetch = (url, init) => {
    modes.push(init?.redirect);
    return good(url, init);
  };
  await createGuard(fake.options()).decide(await (await fakeAgent(fake)).request());
  assert.deepEqual(modes, ['error', 'error', 'error']);
});

test('asking is a part of what the request is, if that says so in a readable way', async () => {
  const fake = await fakeIssuer();
  const good = fake.fetch;
  const sent: (string | null)[] = [];
  fake.fetch = (url, init) => {
    if (String(url).endsWith(introspect)) sent.push(new Headers(init?.headers).get('traceparent'));
    return good(url, init);
  };
  const agent = await fakeAgent(fake);
  const guard = createGuard(
    fake.options({ runtime: quiet(fake), mode: 'introspect', introspection: { cacheSeconds: 0 } }),
  );
  const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  for (const said of [[trace], undefined, ['00-0-0-01'], [trace, trace]]) {
    const request = await agent.request();
    await guard.decide({ ...request, headers: { ...request.headers, ...(said && { traceparent: said }) } });
  }
  assert.deepEqual(sent, [trace, null, null, null]);
});

test('the answer must be about this token', async () => {
  const fake = await fakeIssuer();
  const good = fake.fetch;
  fake.fetch = (url, init) =>
    String(url).endsWith(introspect)
      ? Promise.resolve(Response.json({ active: true, jti: 'another' }))
      : good(url, init);
  const agent = await fakeAgent(fake);
  const decision = await createGuard(fake.options({ runtime: quiet(fake) })).decide(await agent.request());
  assert.equal(decision.allowed === false && decision.status, 401);
});

test('offline asks nobody, and is as late as its documentation says', async () => {
  const { fake, status } = await setUp({ mode: 'offline' });
  fake.ended.add('j-1');
  assert.equal(await status(), 200);
  assert.equal(fake.asked[introspect], undefined);
});
