/** Services inside of a trust domain: what comes in by a transaction token, what doesn't, and what the route learns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateJwk, linkTag } from '@bailiwick/protocol';
import { createGuard, type DecisionRecord, type GuardOptions, type GuardRequest } from './index.ts';
import { type FakeIssuer, fakeAgent, fakeIssuer, issuer, operations, resourceId } from './testing/fake-issuer.ts';
import { following } from './testing/feed-world.ts';

const trustDomain = 'prod.example';
const named = (name: string) => `spiffe://${trustDomain}/default/${name}`;
const header = { typ: 'txntoken+jwt' };
type Claims = Record<string, unknown>;

/** What the gateway requested for a call of the agent `reader`, which acts for a person. */
const transaction = (more: Claims = {}): Claims => ({
  aud: trustDomain,
  sub: 'per_1',
  sub_profile: 'user',
  mandate: 'mdt_1',
  act: { sub: named('reader'), iss: issuer, sub_profile: 'ai_agent' },
  links: ['per_1', 'agt_gateway'].map(linkTag),
  txn: 't-1',
  req_wl: named('gateway'),
  tctx: { order: { id: 7 } },
  rctx: { req_ip: '192.0.2.7' },
  resources: ['res_other', resourceId],
  ...more,
});

async function setUp(options: Partial<GuardOptions> = {}) {
  const fake = await fakeIssuer();
  const records: DecisionRecord[] = [];
  const guard = createGuard(
    fake.options({
      resourceId,
      transactions: { trustDomain },
      onDecision: (record) => records.push(record),
      ...options,
    }),
  );
  const agent = await fakeAgent(fake);
  const token = (claims: Claims = {}, more: Claims = {}) => fake.token(transaction(claims), { ...header, ...more });
  const send = async (headers: GuardRequest['headers'], method = 'GET', path = '/tickets') =>
    guard.decide({ method, url: `/v1${path}`, headers, remoteAddress: '192.0.2.9' });
  return { fake, guard, agent, records, token, send };
}

/** Accepts access tokens as well. */
const both = { transactions: { trustDomain, accessTokens: 'accept' as const } };

test('the route learns who called from outside, what it is about, and who said so', async () => {
  const { send, token, records } = await setUp();
  const jwt = await token({ req_wl: named('clerk'), req_wl_before: [named('gateway')] });
  const decision = await send({ 'txn-token': [jwt] });
  assert.ok(decision.allowed);
  const { caller } = decision;
  assert.deepEqual(caller.transaction, {
    txn: 't-1',
    tctx: { order: { id: 7 } },
    rctx: { req_ip: '192.0.2.7' },
    requestedBy: [named('gateway'), named('clerk')],
  });
  assert.deepEqual(
    [caller.person, caller.agent, caller.mandate, caller.chain.map(({ subject }) => subject), caller.proof],
    ['per_1', 'agt_reader', 'mdt_1', [named('reader')], 'none'],
  );
  assert.equal(records[0]?.txn, 't-1');
  assert.ok(!JSON.stringify(caller).includes(jwt));
  assert.throws(() => Object.assign(caller.transaction?.tctx.order as object, { id: 8 }), TypeError);
});

test('without contexts they are empty', async () => {
  const { send, token } = await setUp();
  const decision = await send({ 'txn-token': [await token({ tctx: undefined, rctx: undefined })] });
  assert.ok(decision.allowed);
  assert.deepEqual([decision.caller.transaction?.tctx, decision.caller.transaction?.rctx], [{}, {}]);
});

type World = Awaited<ReturnType<typeof setUp>>;
type Row = [what: string, headers: (of: World) => Promise<GuardRequest['headers']>, status: number, says?: RegExp];
const forged = generateJwk('ES256');

const rows: readonly Row[] = [
  ['nothing', async () => ({}), 401, /Send the transaction token/],
  ['an empty header', async () => ({ 'txn-token': [''] }), 401],
  ['two', async ({ token }) => ({ 'txn-token': [await token(), await token({ jti: 'j2' })] }), 400, /exactly one/],
  [
    'two in one header',
    async ({ token }) => ({ 'txn-token': [`${await token()}, ${await token()}`] }),
    400,
    /exactly one/,
  ],
  ['one with a scheme', async ({ token }) => ({ 'txn-token': [`Bearer ${await token()}`] }), 400, /exactly one/],
  ['what is too long', async () => ({ 'txn-token': ['x'.repeat(20_000)] }), 400],
  ['what is no token', async () => ({ 'txn-token': ['a.b.c'] }), 401],
  [
    'an access token, as everywhere else',
    async ({ agent }) => (await agent.request()).headers,
    400,
    /no access token: exchange it at the edge/,
  ],
  [
    'an access token beside it',
    async ({ agent, token }) => ({ ...(await agent.request()).headers, 'txn-token': [await token()] }),
    400,
    /no access token/,
  ],
  [
    'an access token beside it, in other letters',
    async ({ token }) => ({ authorization: ['bEARER x'], 'txn-token': [await token()] }),
    400,
  ],
  [
    'an access token in its header',
    async ({ agent }) => ({ 'txn-token': [await agent.token()] }),
    401,
    /no access token/,
  ],
  [
    'an access token for the trust domain',
    async ({ fake }) => ({ 'txn-token': [await fake.token(transaction())] }),
    401,
  ],
  ['one for another trust domain', async ({ token }) => ({ 'txn-token': [await token({ aud: 'test.example' })] }), 401],
  ['one of another issuer', async ({ token }) => ({ 'txn-token': [await token({ iss: 'https://x.example' })] }), 401],
  [
    'one that doesn’t come to this resource',
    async ({ token }) => ({ 'txn-token': [await token({ resources: ['res_other'] })] }),
    401,
    /another resource/,
  ],
  [
    'one that only rests on this resource',
    async ({ token }) => ({ 'txn-token': [await token({ resources: ['res_other'], links: [linkTag(resourceId)] })] }),
    401,
  ],
  [
    'one that is over',
    async ({ token, fake }) => ({ 'txn-token': [await token({ exp: fake.clock.now() / 1000 - 60 })] }),
    401,
  ],
  ['one that is bound', async ({ token }) => ({ 'txn-token': [await token({ cnf: { jkt: 'x' } })] }), 401],
  ['one without txn', async ({ token }) => ({ 'txn-token': [await token({ txn: undefined })] }), 401],
  ['a person for whom nobody acts', async ({ token }) => ({ 'txn-token': [await token({ act: undefined })] }), 401],
  [
    'one that somebody else signed',
    async ({ fake }) => {
      const key = { ...(await forged), kid: fake.keys[0]?.kid as string };
      return { 'txn-token': [await fake.token(transaction(), header, key)] };
    },
    401,
  ],
  [
    'one that was ended',
    async ({ fake, token }) => {
      fake.ended.add('ended');
      return { 'txn-token': [await token({ jti: 'ended' })] };
    },
    401,
    /no longer stands/,
  ],
  [
    'one for less',
    async ({ token }) => ({ 'txn-token': [await token({ scope: 'tickets:write' })] }),
    403,
    /tickets:read/,
  ],
];

for (const [what, headers, status, says] of rows) {
  test(`inside of a trust domain is refused: ${what}`, async () => {
    const world = await setUp();
    const decision = await world.send(await headers(world));
    assert.ok(!decision.allowed, 'it went on');
    assert.equal(decision.status, status, decision.body);
    if (says) assert.match(decision.problem?.detail ?? '', says);
    const challenge = decision.headers['www-authenticate'];
    assert.match(String(challenge), /^Txn-Token realm="prod\.example"/, 'nobody is sent for an access token');
  });
}

test('what authorizes the service that calls is the route’s own affair', async () => {
  const { send, token } = await setUp();
  assert.ok((await send({ 'txn-token': [await token()], authorization: ['Basic eDp5'] })).allowed);
});

test('where access tokens are accepted too, one of the two comes, each in its own header', async () => {
  const { send, token, agent } = await setUp(both);
  const access = (await agent.request()).headers;
  const inside = await token();
  assert.ok((await send({ 'txn-token': [inside] })).allowed);
  assert.ok((await send(access)).allowed);
  for (const [headers, status] of [
    [{ ...(await agent.request()).headers, 'txn-token': [inside] }, 400],
    [{ authorization: [`Bearer ${inside}`] }, 401],
    [{ 'txn-token': [await agent.token()] }, 401],
    [{}, 401],
  ] as const) {
    const decision = await send(headers);
    assert.ok(!decision.allowed && decision.status === status, JSON.stringify(decision));
  }
});

test('a guard that takes none has never heard of the header', async () => {
  const fake: FakeIssuer = await fakeIssuer();
  const guard = createGuard(fake.options({ resourceId }));
  const agent = await fakeAgent(fake);
  const jwt = await fake.token(transaction(), header);
  const at = { method: 'GET', url: '/v1/tickets', remoteAddress: '192.0.2.9' };
  const alone = await guard.decide({ ...at, headers: { 'txn-token': [jwt] } });
  assert.ok(!alone.allowed && alone.status === 401);
  const request = await agent.request();
  assert.ok((await guard.decide({ ...request, headers: { ...request.headers, 'txn-token': [jwt] } })).allowed);
  const bearer = await guard.decide({ ...at, headers: { authorization: [`Bearer ${jwt}`] } });
  assert.ok(!bearer.allowed && bearer.status === 401);
});

for (const [what, demands, isAllowed] of [
  ['a person', { person: true }, true],
  ['one actor', { maxDepth: 1 }, true],
  ['nobody who acts for another', { maxDepth: 0 }, false],
  ['that the one who called has no part in it, by its id', { without: ['agt_reader'] }, false],
  ['that the one who called has no part in it, by its name', { without: [named('reader')] }, false],
  ['that who requested it has no part in it, by its id', { without: ['agt_gateway'] }, false],
  ['that who requested it has no part in it, by its name', { without: [named('gateway')] }, false],
  ['that somebody else has no part in it', { without: ['agt_else', named('else')] }, true],
] as const) {
  test(`a guard that demands ${what} ${isAllowed ? 'accepts' : 'refuses'} it`, async () => {
    const { send, token } = await setUp({ demands: demands as GuardOptions['demands'] });
    assert.equal((await send({ 'txn-token': [await token()] })).allowed, isAllowed);
  });
}

test('the decision point is asked about access tokens, and not about transactions', async () => {
  const { send, token, agent, fake } = await setUp({ ...both, continuous: {} });
  fake.evaluate = () => ({ decision: false });
  const scope = { scope: 'tickets:purge' };
  assert.ok((await send({ 'txn-token': [await token(scope)] }, 'DELETE', '/tickets/purge')).allowed);
  assert.equal(fake.evaluated.length, 0);
  const request = await agent.request('DELETE', '/tickets/purge', { claims: scope });
  assert.ok(!(await send(request.headers, 'DELETE', '/tickets/purge')).allowed);
});

test('by the feed it ends with what it rests on, and with the tokens of this resource', async () => {
  for (const ending of ['agt_gateway', 'per_1', resourceId, 'j-txn']) {
    const { guard, fake, feed, settled } = await following({ resourceId, ...both });
    const jwt = await fake.token(transaction({ jti: 'j-txn' }), header);
    const request = { method: 'GET', url: '/v1/tickets', headers: { 'txn-token': [jwt] }, remoteAddress: '192.0.2.9' };
    assert.ok((await guard.decide(request)).allowed);
    feed.revoke('res_other');
    await settled();
    assert.ok((await guard.decide(request)).allowed, 'what ends the tokens of another resource ends it there alone');
    feed.revoke(ending);
    await settled();
    const decision = await guard.decide(request);
    assert.ok(!decision.allowed && decision.status === 401, ending);
    assert.equal(fake.asked['/oauth2/introspect'], undefined, 'nobody was asked');
    await guard.close();
  }
});

for (const [what, options, says] of [
  ['no trust domain', { transactions: {} }, /trustDomain/],
  ['an unknown member', { transactions: { trustDomain, x: 1 } }, /knows no member "x"/],
  ['another choice', { transactions: { trustDomain, accessTokens: 'maybe' } }, /"refuse" or "accept"/],
  ['no resourceId', { transactions: { trustDomain }, resourceId: undefined }, /resourceId/],
  ['questions that nobody will ask', { transactions: { trustDomain }, continuous: {} }, /continuous/],
] as const) {
  test(`a guard is not made with ${what}`, async () => {
    const fake = await fakeIssuer();
    const given = { resourceId, operations, ...options } as unknown as Partial<GuardOptions>;
    assert.throws(() => createGuard(fake.options(given)), says);
  });
}
