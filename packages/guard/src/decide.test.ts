import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createDpopProof, generateJwk, parseChallenges, thumbprint } from '@bailiwick/protocol';
import { createGuard, type Guard, type GuardOptions, type GuardRequest } from './index.ts';
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
  assert.ok(decision.allowed);
  const { covers, ...caller } = decision.caller;
  assert.equal(covers({ type: 'x' }), false, 'what is not registered covers nothing');
  assert.deepEqual(
    { ...decision, caller },
    {
      allowed: true,
      headers: {},
      caller: {
        agent: 'agt_reader',
        subject: 'per_1',
        organization: 'org_default',
        instance: 'ins_1',
        spiffeId: 'spiffe://id.example/default/reader',
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
    },
  );
});

for (const alg of ['ES256', 'EdDSA', 'PS256', 'RS256'] as const) {
  test(`tokens and proofs signed with ${alg}`, async () => {
    const fake = await fakeIssuer();
    fake.keys = [await generateJwk(alg)];
    const agent = await fakeAgent(fake, await generateJwk(alg));
    assert.equal((await createGuard(fake.options()).decide(await agent.request())).allowed, true);
  });
}

function bare(headers: GuardRequest['headers'], url = '/v1/tickets', method = 'GET'): GuardRequest {
  return { method, url, headers };
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
      ['Bearer', 'invalid_token'],
      ['DPoP', undefined],
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
    authorization_details_types_supported: ['operation'],
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

test('behind a proxy that strips the path: proofs are for the whole URL, and the metadata is found', async () => {
  const { agent, guard } = await setUp({ localPath: '/' });
  const request = await agent.request('GET', '/tickets/7');
  assert.equal((await guard.decide({ ...request, url: '/tickets/7' })).allowed, true);
  const published = await guard.decide(bare({}, '/.well-known/oauth-protected-resource/v1'));
  assert.equal(published.allowed === false && published.status, 200);
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

test('whatever it was given throws, reporting too: the answer is no, and an answer', async () => {
  const broken = () => {
    throw new Error('secret');
  };
  const { agent, guard } = await setUp({ now: broken, report: broken, onDecision: broken });
  const decision = await guard.decide(await agent.request());
  assert.ok(!decision.allowed);
  assert.deepEqual([decision.status, decision.problem?.status], [500, 500]);
  assert.doesNotMatch(JSON.stringify(decision), /secret/);
});
