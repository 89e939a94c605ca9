import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  accessTokenHash,
  createDpopProof,
  encodeHeader,
  generateJwk,
  parseChallenges,
  publicJwk,
  signerFrom,
  signWith,
  thumbprint,
} from '@bailiwick/protocol';
import {
  createGuard,
  type Decision,
  type DecisionRecord,
  type Guard,
  type GuardOptions,
  type GuardRequest,
} from './index.ts';
import { type FakeAgent, type FakeIssuer, fakeAgent, fakeIssuer, issuer, resource } from './testing/fake-issuer.ts';

interface Bench {
  fake: FakeIssuer;
  agent: FakeAgent;
  guard: Guard;
}

async function setUp(options: Partial<GuardOptions> = {}): Promise<Bench> {
  const fake = await fakeIssuer();
  return { fake, agent: await fakeAgent(fake), guard: createGuard(fake.options(options)) };
}

test('an agent with its token, its key and the scope is let in, and the route learns who it is', async () => {
  const { agent, guard, fake } = await setUp();
  const task = { id: 'tsk_1', workflow: 'triage' };
  const act = {
    sub: 'spiffe://id.example/default/reader',
    iss: issuer,
    sub_profile: 'ai_agent',
    act: { sub: 'spiffe://id.example/default/lead' },
  };
  const claims = { jti: 'j-1', sub: 'per_1', instance: 'ins_1', task, act, authorization_details: [{ type: 'x' }] };
  const decision = await guard.decide(await agent.request('GET', '/tickets/7?x=1', { claims }));
  assert.deepEqual(decision, {
    allowed: true,
    headers: {},
    caller: {
      agent: 'agt_reader',
      subject: 'per_1',
      organization: 'org_default',
      instance: 'ins_1',
      task,
      scope: ['tickets:read'],
      operation: 'read ticket',
      chain: [
        { subject: 'spiffe://id.example/default/reader', issuer, profile: 'ai_agent' },
        { subject: 'spiffe://id.example/default/lead' },
      ],
      details: [{ type: 'x' }],
      proof: 'dpop',
      token: { jti: 'j-1', issuedAt: fake.clock.now(), expiresAt: fake.clock.now() + 600_000 },
    },
  });
});

for (const alg of ['ES256', 'EdDSA', 'PS256', 'RS256'] as const) {
  test(`tokens and proofs signed with ${alg}`, async () => {
    const fake = await fakeIssuer();
    fake.keys = [await generateJwk(alg)];
    const agent = await fakeAgent(fake, await generateJwk(alg));
    assert.equal((await createGuard(fake.options()).decide(await agent.request())).allowed, true);
  });
}

type Make = (bench: Bench) => Promise<GuardRequest>;

const bare = (headers: GuardRequest['headers'], url = '/v1/tickets', method = 'GET'): GuardRequest => ({
  method,
  url,
  headers,
});
const claims =
  (changes: Record<string, unknown>): Make =>
  ({ agent }) =>
    agent.request('GET', '/tickets', { claims: changes });
const proof =
  (changes: object): Make =>
  ({ agent }) =>
    agent.request('GET', '/tickets', { proof: changes });

/** A good request whose token has another header (and, if given, key). */
const header =
  (changes: Record<string, unknown>, key?: Parameters<FakeIssuer['token']>[2]): Make =>
  async ({ fake, agent }) => {
    const cnf = { jkt: thumbprint(agent.signer.publicJwk) };
    return agent.request('GET', '/tickets', { token: await fake.token({ cnf }, changes, key) });
  };

/** A good request, changed afterwards. */
const changed =
  (change: (request: GuardRequest, token: string, proof: string) => Partial<GuardRequest>): Make =>
  async ({ agent }) => {
    const request = await agent.request();
    const token = request.headers.authorization![0]!.slice('DPoP '.length);
    return { ...request, ...change(request, token, request.headers.dpop![0]!) };
  };

/** A good request with a proof made by hand. */
const handmade =
  (make: (bench: Bench, token: string) => Promise<string>): Make =>
  async (bench) => {
    const token = await bench.agent.token();
    return bare({ authorization: [`DPoP ${token}`], dpop: [await make(bench, token)] });
  };

const proofClaims = (bench: Bench, token: string) => ({
  jti: 'p',
  htm: 'GET',
  htu: `${resource}/tickets`,
  iat: Math.floor(bench.fake.clock.now() / 1000),
  ath: accessTokenHash(token),
});

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

const foreign = await generateJwk('ES256');

/** What | how | status | OAuth error | what the operator reads. */
const rejections: [string, Make, number, string | undefined, string][] = [
  // No token, or not where it belongs
  ['no credentials', async () => bare({}), 401, undefined, 'no Authorization header'],
  [
    'credentials of another scheme',
    async () => bare({ authorization: ['Basic YTpi'] }),
    401,
    undefined,
    'another scheme',
  ],
  ['a scheme without a token', async () => bare({ authorization: ['DPoP'] }), 400, 'invalid_request', 'no token'],
  [
    'an empty Authorization header',
    async () => bare({ authorization: [''] }),
    400,
    'invalid_request',
    'no single token',
  ],
  [
    'two Authorization headers',
    changed((r) => ({ headers: { ...r.headers, authorization: [...r.headers.authorization!, 'Bearer x'] } })),
    400,
    'invalid_request',
    'two Authorization headers',
  ],
  [
    'two Authorization headers joined on the way',
    changed((r, token) => ({ headers: { ...r.headers, authorization: [`DPoP ${token}, Bearer ${token}`] } })),
    400,
    'invalid_request',
    'no single token',
  ],
  [
    'two tokens in one header',
    changed((r, token) => ({ headers: { ...r.headers, authorization: [`DPoP ${token} ${token}`] } })),
    400,
    'invalid_request',
    'no single token',
  ],
  [
    'a token in the query only',
    async ({ agent }) => bare({}, `/v1/tickets?access_token=${await agent.token()}`),
    400,
    'invalid_request',
    'token in the URL',
  ],
  [
    'a token in the query, too',
    changed((_, token) => ({ url: `/v1/tickets?a=1&access_token=${token}` })),
    400,
    'invalid_request',
    'token in the URL',
  ],
  [
    'an Authorization header of 20,000 characters',
    async () => bare({ authorization: [`DPoP ${'a'.repeat(20_000)}`] }),
    400,
    'invalid_request',
    'too long',
  ],
  [
    'a path that can be misread',
    changed(() => ({ url: '/v1/x/..%2ftickets' })),
    400,
    'invalid_request',
    'ambiguous path',
  ],

  // The token itself
  [
    'no JWT',
    changed((r) => ({ headers: { ...r.headers, authorization: ['DPoP opaque'] } })),
    401,
    'invalid_token',
    'malformed',
  ],
  [
    'a JWT of four parts',
    changed((r, token) => ({ headers: { ...r.headers, authorization: [`DPoP ${token}.x`] } })),
    401,
    'invalid_token',
    'malformed',
  ],
  [
    'a token with a changed payload',
    changed((r, token) => {
      const [head, , signature] = token.split('.');
      return {
        headers: {
          ...r.headers,
          authorization: [
            `DPoP ${head}.${encode({ iss: issuer, aud: resource, scope: 'tickets:purge' })}.${signature}`,
          ],
        },
      };
    }),
    401,
    'invalid_token',
    'bad_signature',
  ],
  [
    'a token without its signature',
    changed((r, token) => ({
      headers: { ...r.headers, authorization: [`DPoP ${token.slice(0, token.lastIndexOf('.') + 1)}`] },
    })),
    401,
    'invalid_token',
    'malformed',
  ],
  [
    'alg none',
    changed((r, token) => ({
      headers: {
        ...r.headers,
        authorization: [`DPoP ${encode({ alg: 'none', typ: 'at+jwt' })}.${token.split('.')[1]}.`],
      },
    })),
    401,
    'invalid_token',
    'malformed',
  ],
  [
    'alg none with a signature',
    changed((r, token) => ({
      headers: {
        ...r.headers,
        authorization: [`DPoP ${encode({ alg: 'none', typ: 'at+jwt' })}.${token.split('.')[1]}.AAAA`],
      },
    })),
    401,
    'invalid_token',
    'unsupported_algorithm',
  ],
  [
    'HMAC with the public key',
    async ({ fake, agent }) => {
      const input = `${encode({ alg: 'HS256', typ: 'at+jwt', kid: fake.keys[0]!.kid })}.${(await agent.token()).split('.')[1]}`;
      const mac = createHmac('sha256', JSON.stringify(publicJwk(fake.keys[0]!)))
        .update(input)
        .digest('base64url');
      return agent.request('GET', '/tickets', { token: `${input}.${mac}` });
    },
    401,
    'invalid_token',
    'unsupported_algorithm',
  ],
  [
    'another key under the kid of ours',
    async (bench) => header({ kid: bench.fake.keys[0]!.kid }, foreign)(bench),
    401,
    'invalid_token',
    'bad_signature',
  ],
  ['a kid that nobody knows', header({ kid: 'unknown' }), 401, 'invalid_token', 'unknown_kid'],
  ['no kid', header({ kid: undefined }), 401, 'invalid_token', 'no_kid'],
  ['its own key in the header', header({ jwk: publicJwk(foreign) }, foreign), 401, 'invalid_token', 'unknown_kid'],
  ['crit', header({ crit: ['exp'], exp: 1 }), 401, 'invalid_token', 'unsupported_extension'],
  ['typ JWT', header({ typ: 'JWT' }), 401, 'invalid_token', 'wrong_type'],
  ['typ of a DPoP proof', header({ typ: 'dpop+jwt' }), 401, 'invalid_token', 'wrong_type'],
  ['another issuer', claims({ iss: 'https://evil.example' }), 401, 'invalid_token', 'wrong_issuer'],
  ['the issuer with a slash', claims({ iss: `${issuer}/` }), 401, 'invalid_token', 'wrong_issuer'],
  ['another audience', claims({ aud: 'https://other.example' }), 401, 'invalid_token', 'wrong_audience'],
  ['an audience above', claims({ aud: 'https://api.example' }), 401, 'invalid_token', 'wrong_audience'],
  ['several audiences', claims({ aud: [resource, 'https://other.example'] }), 401, 'invalid_token', 'wrong_audience'],
  ['no audience', claims({ aud: undefined }), 401, 'invalid_token', 'wrong_audience'],
  ['expired', claims({ exp: 1 }), 401, 'invalid_token', 'expired'],
  ['no expiry', claims({ exp: undefined }), 401, 'invalid_token', 'malformed'],
  ['an expiry that is a string', claims({ exp: '9999999999' }), 401, 'invalid_token', 'malformed'],
  [
    'issued in the future',
    async (bench) => claims({ iat: Math.floor(bench.fake.clock.now() / 1000) + 60 })(bench),
    401,
    'invalid_token',
    'not_yet_valid',
  ],
  [
    'not yet valid',
    async (bench) => claims({ nbf: Math.floor(bench.fake.clock.now() / 1000) + 60 })(bench),
    401,
    'invalid_token',
    'not_yet_valid',
  ],
  ['no client_id', claims({ client_id: undefined }), 401, 'invalid_token', 'malformed'],
  ['no organization', claims({ org: undefined }), 401, 'invalid_token', 'malformed'],
  [
    'six actors',
    claims({
      act: { sub: '1', act: { sub: '2', act: { sub: '3', act: { sub: '4', act: { sub: '5', act: { sub: '6' } } } } } },
    }),
    401,
    'invalid_token',
    'claims: more than 5 actors',
  ],
  ['a context that cannot be checked', claims({ ctx: { country: ['CH'] } }), 401, 'invalid_token', 'ctx.country'],
  [
    'from another address than its context says',
    claims({ ctx: { ip: ['10.0.0.0/8'] } }),
    401,
    'invalid_token',
    'ctx.ip',
  ],
  ['a context that cannot be read', claims({ ctx: { ip: 'here' } }), 401, 'invalid_token', 'ctx.ip'],

  // Whose token it is
  ['bound to nothing', claims({ cnf: undefined }), 401, 'invalid_token', 'bound to no key'],
  [
    'bound to nothing, as Bearer',
    async ({ fake }) => bare({ authorization: [`Bearer ${await fake.token()}`] }),
    401,
    'invalid_token',
    'bound to no key',
  ],
  ['bound in an empty way', claims({ cnf: {} }), 401, 'invalid_token', 'malformed'],
  ['bound in an unknown way', claims({ cnf: { kid: 'x' } }), 401, 'invalid_token', 'malformed'],
  ['bound to a certificate', claims({ cnf: { 'x5t#S256': 'x' } }), 401, 'invalid_token', 'bound to a certificate'],
  [
    'bound to the key and a certificate',
    async (bench) => claims({ cnf: { jkt: thumbprint(bench.agent.signer.publicJwk), 'x5t#S256': 'x' } })(bench),
    401,
    'invalid_token',
    'bound to a certificate',
  ],
  [
    'a bound token as Bearer',
    changed((_, token) => ({ headers: { authorization: [`Bearer ${token}`] } })),
    401,
    'invalid_token',
    'bound, but sent as Bearer',
  ],
  [
    'a bound token as Bearer, with a proof',
    changed((r, token) => ({ headers: { ...r.headers, authorization: [`Bearer ${token}`] } })),
    401,
    'invalid_token',
    'bound, but sent as Bearer',
  ],
  [
    'no proof',
    changed((r) => ({ headers: { authorization: r.headers.authorization! } })),
    401,
    'invalid_dpop_proof',
    'no proof',
  ],
  [
    'two proofs',
    changed((r, _, p) => ({ headers: { ...r.headers, dpop: [p, p] } })),
    401,
    'invalid_dpop_proof',
    'two proofs',
  ],
  [
    'two proofs joined on the way',
    changed((r, _, p) => ({ headers: { ...r.headers, dpop: [`${p}, ${p}`] } })),
    401,
    'invalid_dpop_proof',
    'malformed',
  ],
  [
    'a stolen token with the proof of another key',
    async ({ fake, agent }) => {
      const thief = await fakeAgent(fake, foreign);
      return thief.request('GET', '/tickets', { token: await agent.token() });
    },
    401,
    'invalid_dpop_proof',
    'made with another key',
  ],
  ['a proof for another method', proof({ htm: 'POST' }), 401, 'invalid_dpop_proof', 'wrong_method'],
  ['a proof for another path', proof({ htu: `${resource}/tickets/7` }), 401, 'invalid_dpop_proof', 'wrong_url'],
  [
    'a proof for another host',
    proof({ htu: 'https://evil.example/v1/tickets' }),
    401,
    'invalid_dpop_proof',
    'wrong_url',
  ],
  ['a proof for plain http', proof({ htu: 'http://api.example/v1/tickets' }), 401, 'invalid_dpop_proof', 'wrong_url'],
  ['a proof for another token', proof({ accessToken: 'another' }), 401, 'invalid_dpop_proof', 'wrong_token'],
  ['a proof for no token', proof({ accessToken: undefined }), 401, 'invalid_dpop_proof', 'wrong_token'],
  [
    'a proof of last hour',
    async (bench) => proof({ now: bench.fake.clock.now() - 3_600_000 })(bench),
    401,
    'invalid_dpop_proof',
    'expired',
  ],
  [
    'a proof of the next minute',
    async (bench) => proof({ now: bench.fake.clock.now() + 60_000 })(bench),
    401,
    'invalid_dpop_proof',
    'not_yet_valid',
  ],
  ['a proof without a jti', proof({ jti: undefined }), 401, 'invalid_dpop_proof', 'malformed'],
  [
    'a proof that is the token',
    changed((r, token) => ({ headers: { ...r.headers, dpop: [token] } })),
    401,
    'invalid_dpop_proof',
    'wrong_type',
  ],
  [
    'a proof with a private key in it',
    handmade(async (bench, token) => {
      const jwk = await generateJwk('ES256');
      return signWith(signerFrom(jwk), encodeHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk }), proofClaims(bench, token));
    }),
    401,
    'invalid_dpop_proof',
    'private_key',
  ],
  [
    'a proof signed by another key than it shows',
    handmade(async (bench, token) => {
      const { kty, crv, x, y } = bench.agent.signer.publicJwk;
      const shown = encodeHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } });
      return signWith(signerFrom(foreign), shown, proofClaims(bench, token));
    }),
    401,
    'invalid_dpop_proof',
    'bad_signature',
  ],
  [
    'a proof of type JWT',
    handmade(async (bench, token) => {
      const { kty, crv, x, y } = bench.agent.signer.publicJwk;
      return signWith(
        bench.agent.signer,
        encodeHeader({ typ: 'JWT', alg: 'ES256', jwk: { kty, crv, x, y } }),
        proofClaims(bench, token),
      );
    }),
    401,
    'invalid_dpop_proof',
    'wrong_type',
  ],

  // What for
  [
    'an operation that is not listed',
    async ({ agent }) => agent.request('PATCH', '/tickets'),
    403,
    undefined,
    'no such operation',
  ],
  [
    'a path that is not listed',
    async ({ agent }) => agent.request('GET', '/invoices'),
    403,
    undefined,
    'no such operation',
  ],
  [
    'a listed path with a slash',
    async ({ agent }) => agent.request('GET', '/tickets/'),
    403,
    undefined,
    'no such operation',
  ],
  [
    'outside of the resource',
    async ({ agent }) => {
      const request = await agent.request('GET', '/tickets', { proof: { htu: 'https://api.example/tickets' } });
      return { ...request, url: '/tickets' };
    },
    403,
    undefined,
    'no such operation',
  ],
  [
    'a scope that is missing',
    async ({ agent }) => agent.request('POST', '/tickets/7/close'),
    403,
    'insufficient_scope',
    'missing tickets:write',
  ],
  ['a token without any scope', claims({ scope: undefined }), 403, 'insufficient_scope', 'missing tickets:read'],
  [
    'an exact path does not pass as a template',
    async ({ agent }) => agent.request('DELETE', '/tickets/purge'),
    403,
    'insufficient_scope',
    'missing tickets:purge',
  ],
];

for (const [what, make, status, error, reason] of rejections) {
  test(`refused: ${what}`, async () => {
    const records: DecisionRecord[] = [];
    const bench = await setUp({ onDecision: (record) => records.push(record) });
    const request = await make(bench);
    const decision = await bench.guard.decide(request);
    assert.equal(records[0]?.reason, reason, 'refused for another reason');
    assert.equal(decision.allowed, false);
    assert.ok(!decision.allowed);
    assert.equal(decision.status, status, decision.body);
    assert.equal(decision.problem?.error, error, decision.body);
    assert.equal(decision.problem?.status, status);
    assert.equal(decision.headers['content-type'], 'application/problem+json');
    assert.equal(decision.headers['cache-control'], 'no-store');
    assert.ok((decision.problem?.detail.length ?? 0) > 10, 'it says what to do');
    checkChallenge(decision, error);
    leaksNothing(decision, request);
  });
}

function checkChallenge(decision: Decision & { allowed: false }, error: string | undefined): void {
  const challenge = decision.headers['www-authenticate'];
  if (decision.status === 403 && error === undefined) {
    assert.equal(challenge, undefined, 'no scope would help');
    return;
  }
  const [dpop, ...others] = parseChallenges(String(challenge));
  assert.equal(dpop?.scheme, 'DPoP');
  assert.deepEqual(others, [], 'Bearer would not help');
  assert.equal(dpop.params.error, error);
  assert.equal(dpop.params.algs, 'ES256 EdDSA PS256 RS256');
  assert.equal(dpop.params.resource_metadata, 'https://api.example/.well-known/oauth-protected-resource/v1');
}

/** Nothing that the request presented comes back, and nothing of our insides. */
function leaksNothing(decision: Decision & { allowed: false }, request: GuardRequest): void {
  const said = JSON.stringify([decision.headers, decision.body]);
  for (const value of [...(request.headers.authorization ?? []), ...(request.headers.dpop ?? [])]) {
    for (const part of value.split(/[ .,]+/)) if (part.length > 12) assert.ok(!said.includes(part), said);
  }
  assert.doesNotMatch(said, /node_modules|\.ts|at \w+ \(/);
}

test('missing scope: all scopes that the operation needs are named', async () => {
  const { agent, guard } = await setUp();
  const decision = await guard.decide(await agent.request('POST', '/tickets/7/close'));
  assert.ok(!decision.allowed);
  assert.equal(
    parseChallenges(String(decision.headers['www-authenticate']))[0]?.params.scope,
    'tickets:read tickets:write',
  );
  assert.equal(decision.problem?.scope, 'tickets:read tickets:write');
});

test('a proof is good once', async () => {
  const { agent, guard } = await setUp();
  const request = await agent.request();
  assert.equal((await guard.decide(request)).allowed, true);
  const again = await guard.decide(request);
  assert.ok(!again.allowed);
  assert.deepEqual([again.status, again.problem?.error], [401, 'invalid_dpop_proof']);
});

test('fifty identical requests at once: one is let in', async () => {
  const { agent, guard } = await setUp();
  const request = await agent.request();
  const decisions = await Promise.all(Array.from({ length: 50 }, () => guard.decide(request)));
  assert.equal(decisions.filter(({ allowed }) => allowed).length, 1);
});

test('a token that was good expires', async () => {
  const { agent, guard, fake } = await setUp();
  const token = await agent.token();
  assert.equal((await guard.decide(await agent.request('GET', '/tickets', { token }))).allowed, true);
  fake.clock.advance(604_999);
  assert.equal(
    (await guard.decide(await agent.request('GET', '/tickets', { token }))).allowed,
    true,
    'within the tolerance',
  );
  fake.clock.advance(1);
  const late = await guard.decide(await agent.request('GET', '/tickets', { token }));
  assert.ok(!late.allowed);
  assert.match(late.problem?.detail ?? '', /expired/);
});

test('a resource that says dangerously_bearer takes unbound tokens; bound ones stay bound', async () => {
  const { agent, guard, fake } = await setUp({ token: { dangerouslyBearer: true } });
  const unbound = await fake.token();
  assert.equal((await guard.decide(bare({ authorization: [`Bearer ${unbound}`] }))).allowed, true);
  assert.equal(
    (await guard.decide(bare({ authorization: [`bearer ${unbound}`] }))).allowed,
    true,
    'schemes have no case',
  );
  assert.equal((await guard.decide(bare({ authorization: [`DPoP ${unbound}`] }))).allowed, false);
  assert.equal((await guard.decide(await agent.request())).allowed, true);
  const stolen = await guard.decide(bare({ authorization: [`Bearer ${await agent.token()}`] }));
  assert.ok(!stolen.allowed);
  const challenges = parseChallenges([stolen.headers['www-authenticate']].flat().join(', '));
  assert.deepEqual(
    challenges.map(({ scheme, params }) => [scheme, params.error]),
    [
      ['DPoP', undefined],
      ['Bearer', 'invalid_token'],
    ],
  );
});

test('a token profile: another type and another audience', async () => {
  const { agent, guard } = await setUp({ token: { typ: 'JWT', audience: 'api://tickets' } });
  assert.equal((await guard.decide(await agent.request())).allowed, false);
  const { fake } = await setUp();
  const other = createGuard(fake.options({ token: { typ: 'JWT', audience: 'api://tickets' } }));
  const holder = await fakeAgent(fake);
  const cnf = { jkt: thumbprint(holder.signer.publicJwk) };
  const token = await fake.token({ aud: 'api://tickets', cnf }, { typ: 'JWT' });
  assert.equal((await other.decide(await holder.request('GET', '/tickets', { token }))).allowed, true);
});

test('an algorithm that the guard does not allow', async () => {
  const { agent, guard } = await setUp({ algorithms: ['EdDSA'] });
  assert.equal((await guard.decide(await agent.request())).allowed, false);
});

test('ctx.ip: the address is that of the connection, or whom trusted proxies name', async () => {
  const { agent, guard } = await setUp({ trustedProxies: ['10.0.0.0/8'] });
  const from = async (remoteAddress: string | undefined, forwarded?: string) => {
    const request = await agent.request('GET', '/tickets', {
      claims: { ctx: { ip: ['192.0.2.0/24', '2001:db8::/32'] } },
    });
    const headers = forwarded === undefined ? request.headers : { ...request.headers, 'x-forwarded-for': [forwarded] };
    return (await guard.decide({ ...request, headers, remoteAddress })).allowed;
  };
  assert.equal(await from('192.0.2.9'), true);
  assert.equal(await from('2001:db8::7'), true);
  assert.equal(await from('198.51.100.1'), false);
  assert.equal(await from('198.51.100.1', '192.0.2.9'), false, 'anybody can write that');
  assert.equal(await from('10.1.1.1', '192.0.2.9'), true);
  assert.equal(await from('10.1.1.1', '192.0.2.9, 198.51.100.1'), false);
  assert.equal(await from(undefined), false);
});

test('nonces of our own: asked for once, then good for one to two minutes', async () => {
  const { agent, guard, fake } = await setUp({ dpop: { nonce: 'required', maxAgeSeconds: 600 } });
  const asked = await guard.decide(await agent.request());
  assert.ok(!asked.allowed);
  assert.equal(asked.problem?.error, 'use_dpop_nonce');
  const nonce = String(asked.headers['dpop-nonce']);
  const withNonce = async () => guard.decide(await agent.request('GET', '/tickets', { proof: { nonce } }));
  const first = await withNonce();
  assert.deepEqual(first.allowed && first.headers, { 'dpop-nonce': nonce });
  fake.clock.advance(60_000);
  const second = await withNonce();
  assert.ok(second.allowed);
  assert.notEqual(second.headers['dpop-nonce'], nonce, 'the next one is told in time');
  fake.clock.advance(60_000);
  assert.equal((await withNonce()).allowed, false);
});

test('too many proofs at once: new ones wait, and recorded ones stay out', async () => {
  const { agent, guard } = await setUp({ dpop: { replayCapacity: 2, replayCapacityPerKey: 2 } });
  const first = await agent.request();
  assert.equal((await guard.decide(first)).allowed, true);
  assert.equal((await guard.decide(await agent.request())).allowed, true);
  const third = await guard.decide(await agent.request());
  assert.ok(!third.allowed);
  assert.deepEqual([third.status, third.headers['retry-after']], [503, '60']);
  const again = await guard.decide(first);
  assert.equal(again.allowed === false && again.status, 401);
});

test('the metadata of the resource lies at its well-known path, for everybody', async () => {
  const { guard } = await setUp();
  const url = '/.well-known/oauth-protected-resource/v1';
  const answer = await guard.decide(bare({}, url));
  assert.ok(!answer.allowed);
  assert.equal(answer.status, 200);
  assert.deepEqual(JSON.parse(answer.body), {
    resource,
    authorization_servers: [issuer],
    scopes_supported: ['tickets:read', 'tickets:write', 'tickets:purge'],
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: ['ES256', 'EdDSA', 'PS256', 'RS256'],
    dpop_bound_access_tokens_required: true,
  });
  const post = await guard.decide(bare({}, url, 'POST'));
  assert.equal(post.allowed === false && post.status, 405);
  const preflight = await guard.decide(bare({}, url, 'OPTIONS'));
  assert.equal(preflight.allowed === false && preflight.headers['access-control-allow-origin'], '*');
  const above = await guard.decide(bare({}, '/.well-known/oauth-protected-resource'));
  assert.equal(above.allowed === false && above.status, 401, 'that of another resource is not ours to publish');
});

test('every decision is told once, with its reason and without a secret', async () => {
  const records: unknown[] = [];
  const { agent, guard, fake } = await setUp({
    onDecision: (record) => {
      records.push(record);
      throw new Error('a broken log changes nothing');
    },
  });
  const request = await agent.request('GET', '/tickets?q=private', { claims: { jti: 'j-1' } });
  assert.equal((await guard.decide(request)).allowed, true);
  await guard.decide(request);
  const known = { at: fake.clock.now(), method: 'GET', path: '/v1/tickets', address: '192.0.2.7' };
  const who = { agent: 'agt_reader', organization: 'org_default', jti: 'j-1' };
  assert.deepEqual(records, [
    { ...known, ...who, outcome: 'allowed', status: 200, operation: 'list tickets' },
    { ...known, ...who, outcome: 'refused', status: 401, code: 'invalid_dpop_proof', reason: 'replayed' },
  ]);
});

test('what the caller object holds is not the token', async () => {
  const { agent, guard } = await setUp();
  const request = await agent.request();
  const decision = await guard.decide(request);
  const signature = request.headers.authorization![0]!.split('.')[2]!;
  assert.ok(!JSON.stringify(decision).includes(signature));
});

test('a proof made with random bytes as its nonce or jti does no harm', async () => {
  const { agent, guard } = await setUp();
  const token = await agent.token();
  const dpop = await createDpopProof(agent.signer, {
    htm: 'GET',
    htu: `${resource}/tickets`,
    now: 0,
    jti: randomBytes(90).toString('latin1'),
    accessToken: token,
  });
  assert.equal((await guard.decide(bare({ authorization: [`DPoP ${token}`], dpop: [dpop] }))).allowed, false);
});
