/** Whatever anybody sends: the guard answers, never fails, and lets nobody in who has no token and key. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createGuard } from './index.ts';
import { fakeAgent, fakeIssuer, quiet } from './testing/fake-issuer.ts';

const fake = await fakeIssuer();
const runtime = quiet(fake);
const guard = createGuard(
  fake.options({ reports: false, runtime, token: { dangerouslyBearer: true }, keys: { floorSeconds: 1 } }),
);
const agent = await fakeAgent(fake);
const good = await agent.request();
const [, token] = good.headers.authorization![0]!.split(' ') as [string, string];
const proof = good.headers.dpop![0]!;

const anything = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.base64String());
const base64urlJson = fc.json().map((text) => Buffer.from(text).toString('base64url'));
const jwtLike = fc.tuple(base64urlJson, base64urlJson, fc.base64String()).map((parts) => parts.join('.'));
/** A part of something good with something in the way. */
const nearly = (text: string) =>
  fc
    .tuple(fc.nat(text.length), fc.nat(3), anything)
    .map(([at, cut, what]) => text.slice(0, at) + what + text.slice(at + cut));
const credential = fc.oneof(
  anything,
  fc
    .tuple(
      fc.constantFrom('DPoP', 'Bearer', 'dpop', 'BEARER', 'Basic', ''),
      fc.constantFrom(' ', '  ', '\t', ''),
      fc.oneof(anything, jwtLike, nearly(token)),
    )
    .map((parts) => parts.join('')),
);
const request = fc.record({
  method: fc.oneof(fc.constantFrom('GET', 'POST', 'get', '__proto__'), anything),
  url: fc.oneof(
    fc.constantFrom('/v1/tickets', '/v1/tickets/7', '/'),
    anything,
    fc.webPath(),
    anything.map((text) => `/v1/${text}`),
  ),
  headers: fc.record(
    {
      authorization: fc.array(credential, { maxLength: 3 }),
      dpop: fc.array(fc.oneof(anything, jwtLike, nearly(proof)), { maxLength: 2 }),
      'x-forwarded-for': fc.array(anything, { maxLength: 2 }),
    },
    { requiredKeys: [] },
  ),
  remoteAddress: fc.option(anything, { nil: undefined }),
});

test('arbitrary requests are answered with 400, 401 or 405, and never let in', async () => {
  await fc.assert(
    fc.asyncProperty(request, async (sent) => {
      const decision = await guard.decide(sent);
      assert.ok(!decision.allowed, 'let in');
      const published = sent.url.startsWith('/.well-known/oauth-protected-resource');
      assert.ok([400, 401].includes(decision.status) || published, `${decision.status} ${decision.body}`);
      for (const value of Object.values(decision.headers).flat()) assert.match(value, /^[\x20-\x7e]*$/);
    }),
    { numRuns: 1500 },
  );
  assert.deepEqual(runtime.problems, [], 'nothing unforeseen happened on the way');
});

test('a token changed anywhere is no token', async () => {
  await fc.assert(
    fc.asyncProperty(nearly(token), async (changed) => {
      fc.pre(changed.replace(/^[ \t]+|[ \t]+$/g, '') !== token); // what HTTP lets stand around it changes nothing
      const decision = await guard.decide({
        ...good,
        headers: { ...good.headers, authorization: [`DPoP ${changed}`] },
      });
      assert.equal(decision.allowed, false);
    }),
    { numRuns: 800 },
  );
});

test('blanks around a token are HTTP’s, anything else is a change', async () => {
  const around = async (change: (text: string) => string) => {
    const fresh = await agent.request();
    const [, own] = fresh.headers.authorization![0]!.split(' ') as [string, string];
    const headers = { ...fresh.headers, authorization: [`DPoP ${change(own)}`] };
    return (await guard.decide({ ...fresh, headers })).allowed;
  };
  for (const blanks of [' ', '\t', '  ']) {
    assert.equal(await around((text) => blanks + text), true);
    assert.equal(await around((text) => text + blanks), true);
  }
  for (const other of ['\n', '\u00a0', '\ufeff', '\u2028', '\0', '=', '.']) {
    assert.equal(await around((text) => text + other), false, JSON.stringify(other));
    assert.equal(await around((text) => other + text), false, JSON.stringify(other));
  }
});

test('a proof changed anywhere is no proof', async () => {
  await fc.assert(
    fc.asyncProperty(nearly(proof), async (changed) => {
      fc.pre(changed !== proof);
      const decision = await guard.decide({ ...good, headers: { ...good.headers, dpop: [changed] } });
      assert.equal(decision.allowed, false);
    }),
    { numRuns: 800 },
  );
  assert.equal((await guard.decide(good)).allowed, true, 'and the good one was good all the time');
});

test('claims of any kind under our signature are answered, too', async () => {
  const claim = fc.oneof(fc.jsonValue(), fc.constant(undefined));
  const claims = fc.dictionary(
    fc.constantFrom(
      'iss',
      'aud',
      'sub',
      'exp',
      'iat',
      'nbf',
      'jti',
      'client_id',
      'scope',
      'cnf',
      'act',
      'ctx',
      'org',
      'task',
      'rev',
      'links',
      'authorization_details',
      'instance',
    ),
    claim,
    { maxKeys: 3 },
  );
  await fc.assert(
    fc.asyncProperty(claims, async (changes) => {
      const decision = await guard.decide(
        await agent.request('GET', '/tickets', { claims: changes as Record<string, unknown> }),
      );
      assert.ok(
        decision.allowed || [401, 403].includes(decision.status),
        decision.allowed ? '' : `${decision.body} ${JSON.stringify(changes)}`,
      );
    }),
    { numRuns: 300 },
  );
  assert.deepEqual(runtime.problems, []);
});
