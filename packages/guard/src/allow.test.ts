/** What a token reaches: scopes, details, and the detail that names an operation. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChallenges } from '@bailiwick/protocol';
import { createGuard, type Decision, type DecisionRecord, type GuardOptions, Refusal, type Verified } from './index.ts';
import { fakeAgent, fakeIssuer, resource } from './testing/fake-issuer.ts';

const operations: NonNullable<GuardOptions['operations']> = [
  {
    name: 'send',
    method: 'POST',
    path: '/accounts/{account}/transfers',
    scope: ['transfers:write'],
    details: { type: 'transfer', account: '{account}' },
    sensitivity: 'high',
  },
  { name: 'list', method: 'GET', path: '/accounts/{account}', scope: ['accounts:read'], sensitivity: 'low' },
  { name: 'file', method: 'GET', path: '/files/{rest*}', scope: ['files'], sensitivity: 'low' },
  {
    name: 'quote',
    method: 'GET',
    path: '/quotes/{account}',
    scope: [],
    details: { type: 'transfer', account: '{account}' },
    sensitivity: 'low',
  },
  {
    name: 'convert',
    tool: 'convert',
    scope: ['tools'],
    details: { type: 'money', currency: '{to}' },
    sensitivity: 'low',
  },
  { name: 'search', tool: 'search', scope: ['tools'], sensitivity: 'low' },
];
const detailsTypes: NonNullable<GuardOptions['detailsTypes']> = [
  { type: 'transfer', compare: { amount: 'at_most', account: 'equal' } },
  { type: 'money', compare: {} },
];

async function setUp(options: Partial<GuardOptions> = {}) {
  const fake = await fakeIssuer();
  const records: DecisionRecord[] = [];
  const onDecision = (record: DecisionRecord) => records.push(record);
  const guard = createGuard(fake.options({ operations, detailsTypes, onDecision, ...options }));
  const agent = await fakeAgent(fake);
  const send = async (method: string, path: string, scope: string, ...details: object[]): Promise<Decision> =>
    guard.decide(await agent.request(method, path, { claims: { scope, authorization_details: details } }));
  const verified = async (scope: string, ...details: object[]): Promise<Verified> => {
    const request = await agent.request('POST', '/', { claims: { scope, authorization_details: details } });
    const found = await guard.verify(request);
    return 'verified' in found ? found : assert.fail(found.body);
  };
  return { fake, guard, agent, records, send, verified };
}

const operation = (parameters: object | undefined, ...actions: string[]) => ({
  type: 'operation',
  actions,
  ...(parameters === undefined ? {} : { parameters }),
});

for (const [what, method, path, scope, details] of [
  [
    'scope and a detail of this account',
    'POST',
    '/accounts/7/transfers',
    'transfers:write',
    [{ type: 'transfer', account: '7' }],
  ],
  ['scope and a detail of any account', 'POST', '/accounts/7/transfers', 'transfers:write', [{ type: 'transfer' }]],
  [
    'one of several details',
    'POST',
    '/accounts/7/transfers',
    'transfers:write',
    [
      { type: 'transfer', account: '8' },
      { type: 'transfer', account: '7' },
    ],
  ],
  [
    'an account that is written in escapes',
    'POST',
    '/accounts/%C3%BC/transfers',
    'transfers:write',
    [{ type: 'transfer', account: 'ü' }],
  ],
  ['a detail where no scope is needed', 'GET', '/quotes/7', 'other', [{ type: 'transfer', account: '7' }]],
  ['the operation by name, and no scope at all', 'POST', '/accounts/7/transfers', '', [operation(undefined, 'send')]],
  [
    'the operation by name for this account',
    'POST',
    '/accounts/7/transfers',
    '',
    [operation({ account: ['7', '8'] }, 'list', 'send')],
  ],
  [
    'scope alone where it is enough, beside details of something else',
    'GET',
    '/accounts/7',
    'accounts:read',
    [{ type: 'transfer', account: '9' }],
  ],
  ['all of a path', 'GET', '/files/a/b', '', [operation({ rest: ['a/b'] }, 'file')]],
  ['what HEAD does, by the name of GET', 'HEAD', '/accounts/7', '', [operation({ account: ['7'] }, 'list')]],
] as [string, string, string, string, object[]][]) {
  test(`reached by ${what}`, async () => {
    const { send } = await setUp();
    const decision = await send(method, path, scope, ...details);
    assert.ok(decision.allowed, decision.allowed ? '' : decision.body);
  });
}

const send = ['POST', '/accounts/7/transfers'] as const;
for (const [what, [method, path], scope, details, needed] of [
  ['a scope without its details', send, 'transfers:write', [], [{ type: 'transfer', account: '7' }]],
  ['details without their scope', send, 'accounts:read', [{ type: 'transfer' }], [{ type: 'transfer', account: '7' }]],
  [
    'details of another account',
    send,
    'transfers:write',
    [{ type: 'transfer', account: '8' }],
    [{ type: 'transfer', account: '7' }],
  ],
  [
    'details that limit what the request does not say',
    send,
    'transfers:write',
    [{ type: 'transfer', amount: 5 }],
    [{ type: 'transfer', account: '7' }],
  ],
  [
    'details of another type',
    send,
    'transfers:write',
    [{ type: 'money', account: '7' }],
    [{ type: 'transfer', account: '7' }],
  ],
  [
    'details of no registered type',
    send,
    'transfers:write',
    [{ type: 'Transfer' }],
    [{ type: 'transfer', account: '7' }],
  ],
  ['another operation by name', send, '', [operation(undefined, 'list')], [{ type: 'transfer', account: '7' }]],
  [
    'the operation by name for another account',
    send,
    '',
    [operation({ account: ['8'] }, 'send')],
    [{ type: 'transfer', account: '7' }],
  ],
  [
    'the operation by name and a parameter that it lacks',
    send,
    '',
    [operation({ colour: ['red'] }, 'send')],
    [{ type: 'transfer', account: '7' }],
  ],
  [
    'parameters that are no list',
    send,
    '',
    [operation({ account: '7' }, 'send')],
    [{ type: 'transfer', account: '7' }],
  ],
  [
    'actions that are no list',
    send,
    '',
    [{ type: 'operation', actions: 'send' }],
    [{ type: 'transfer', account: '7' }],
  ],
  ['half of a path', ['GET', '/files/a/b'], '', [operation({ rest: ['a'] }, 'file')], undefined],
] as [string, readonly [string, string], string, object[], object[] | undefined][]) {
  test(`not reached by ${what}: 403 says what is needed`, async () => {
    const { send, records } = await setUp();
    const decision = await send(method, path, scope, ...details);
    assert.ok(!decision.allowed);
    const { problem } = decision;
    assert.equal(decision.status, 403);
    assert.equal(problem?.error, 'insufficient_scope');
    assert.deepEqual(JSON.parse(decision.body).authorization_details, needed);
    const [challenge] = parseChallenges(String(decision.headers['www-authenticate']));
    assert.equal(challenge?.params.scope, problem?.scope);
    assert.match(records[0]?.reason ?? '', /^missing |^no detail covers it$/);
  });
}

for (const [what, details] of [
  ['no list', { type: 'transfer' }],
  ['a string among them', ['transfer']],
  ['one without a type', [{ account: '7' }]],
  ['one whose type is no string', [{ type: ['transfer'] }]],
  ['null', [null]],
  ['a nesting of ten', [{ type: 'transfer', a: [[[[[[[[[[1]]]]]]]]]] }]],
] as [string, unknown][]) {
  test(`a token whose details can not be read is refused: ${what}`, async () => {
    const { guard, agent } = await setUp();
    const request = await agent.request('GET', '/accounts/7', {
      claims: { scope: 'accounts:read', authorization_details: details },
    });
    const decision = await guard.decide(request);
    assert.ok(!decision.allowed);
    assert.equal(decision.problem?.error, 'invalid_token');
  });
}

test('what only the route knows it holds against the details itself', async () => {
  const { send } = await setUp();
  const decision = await send('GET', '/accounts/7', 'accounts:read', { type: 'transfer', amount: 100, account: '7' });
  assert.ok(decision.allowed);
  const { caller } = decision;
  assert.equal(caller.covers({ type: 'transfer', amount: 100, account: '7' }), true);
  assert.equal(caller.covers({ type: 'transfer', amount: 99.5, account: '7', note: 'rent' }), true);
  assert.equal(caller.covers({ type: 'transfer', amount: 100.01, account: '7' }), false);
  assert.equal(caller.covers({ type: 'transfer', amount: '1', account: '7' }), false, 'a text is no amount');
  assert.equal(caller.covers({ type: 'transfer', account: '7' }), false, 'an amount that nobody says');
  assert.equal(caller.covers({ type: 'transfer', amount: 1 }), false);
  assert.equal(caller.covers({ type: 'money' }), false);
  assert.equal(caller.covers(null as never), false);
  assert.equal(caller.covers({} as never), false);
});

test('a route can not widen what the next request with the same token may do', async () => {
  const { guard, agent } = await setUp();
  const claims = { scope: 'transfers:write', authorization_details: [{ type: 'transfer', account: '8', list: ['a'] }] };
  const token = await agent.token(claims);
  const first = await guard.decide(await agent.request('POST', '/accounts/8/transfers', { token }));
  assert.ok(!first.allowed, 'it says more than the request does');
  const found = await guard.verify(await agent.request('POST', '/', { token }));
  assert.ok('verified' in found);
  const [detail] = found.caller.details as unknown as { account: string; list: string[] }[];
  assert.throws(() => Object.assign(detail!, { account: '7' }), TypeError);
  assert.throws(() => detail?.list.push('b'), TypeError);
});

test('two halves: verified once, then each tool is a decision of its own', async () => {
  const { guard, verified, records } = await setUp();
  const caller = await verified('tools', { type: 'money', currency: 'CHF' });
  assert.equal(records.length, 0, 'who it is decides nothing yet');
  const convert = (to: unknown) => guard.allows(caller, { tool: 'convert', parameters: { to } });
  const [allowed, refused] = [await convert('CHF'), await convert('EUR')];
  assert.ok(allowed.allowed);
  assert.equal(allowed.caller.operation, 'convert');
  assert.ok(!refused.allowed);
  assert.deepEqual(refused.problem?.authorization_details, [{ type: 'money', currency: 'EUR' }]);
  assert.equal((await guard.allows(caller, { tool: 'convert' })).allowed, false);
  assert.equal((await guard.allows(caller, { tool: 'search' })).allowed, true);
  assert.equal((await guard.allows(caller, { operation: 'search' })).allowed, true);
  for (const tool of ['list', 'Search', '__proto__', ''])
    assert.equal((await guard.allows(caller, { tool })).allowed, false, tool);
  assert.deepEqual(
    records.map(({ outcome, operation: name, code }) => [outcome, name, code]),
    [
      ['allowed', 'convert', undefined],
      ['refused', 'convert', 'insufficient_scope'],
      ['refused', 'convert', 'insufficient_scope'],
      ['allowed', 'search', undefined],
      ['allowed', 'search', undefined],
      ...Array(4).fill(['refused', undefined, 'operation_not_listed']),
    ],
  );
});

test('what is shown to a caller: tools that some arguments reach', async () => {
  const { guard, verified, records } = await setUp();
  const shown = async (scope: string, ...details: object[]) => {
    const caller = await verified(scope, ...details);
    return ['convert', 'search', 'unknown'].filter((tool) => guard.reaches(caller, { tool }));
  };
  assert.deepEqual(await shown('tools'), ['search']);
  assert.deepEqual(await shown('tools', { type: 'money', currency: 'CHF' }), ['convert', 'search']);
  assert.deepEqual(await shown('', operation({ to: ['CHF'] }, 'convert')), ['convert']);
  assert.deepEqual(await shown('', { type: 'money' }), []);
  assert.deepEqual(records, []);
  assert.equal((await guard.tool('convert'))?.name, 'convert');
  assert.equal(await guard.tool('unknown'), undefined);
});

test('the first half refuses as the whole does, spends the proof, and knows the metadata', async () => {
  const { guard, agent, records } = await setUp();
  const request = await agent.request('POST', '/');
  assert.ok('verified' in (await guard.verify(request)));
  const again = await guard.verify(request);
  assert.ok(!('verified' in again));
  assert.equal(again.status, 401);
  assert.deepEqual(
    records.map(({ reason }) => reason),
    ['replayed'],
  );
  const { pathname } = new URL(guard.metadataUrl);
  const metadata = await guard.verify({ method: 'GET', url: pathname, headers: {} });
  assert.ok(!('verified' in metadata) && metadata.status === 200);
  assert.equal(JSON.parse(metadata.body).resource, resource);
  const outside = await agent.request('POST', '/');
  const beside = await guard.verify({ ...outside, url: '/v2/' });
  assert.ok(!('verified' in beside));
});

test('what an adapter refuses is answered and recorded as everything is', async () => {
  const { guard, verified, records } = await setUp();
  const caller = await verified('tools');
  const reason = 'the tool has changed';
  const answer = guard.refuse(
    caller,
    new Refusal('operation_not_listed', 'Look at it first.', { reason }),
    await guard.tool('search'),
  );
  assert.equal(answer.status, 403);
  assert.deepEqual(
    records.map(({ code, reason: why, operation: name, agent }) => [code, why, name, agent]),
    [['operation_not_listed', reason, 'search', 'agt_reader']],
  );
});

for (const [what, change, sentence] of [
  [
    'operations of one name',
    { operations: [operations[1]!, { ...operations[2]!, name: 'list' }] },
    /list has the name of another/,
  ],
  [
    'operations of one tool',
    { operations: [operations[4]!, { ...operations[5]!, tool: 'convert' }] },
    /search has the tool of another/,
  ],
  ['details of a type that is not registered', { detailsTypes: [] }, /send needs details of the type transfer/],
  [
    'details without a type',
    { operations: [{ ...operations[1]!, details: {} }] },
    /details of the operation list\.type/,
  ],
  [
    'details that are a text',
    { operations: [{ ...operations[1]!, details: 'transfer' }] },
    /details of the operation list/,
  ],
] as [string, object, RegExp][]) {
  test(`a guard does not begin with ${what}`, async () => {
    await assert.rejects(setUp(change), sentence);
  });
}
