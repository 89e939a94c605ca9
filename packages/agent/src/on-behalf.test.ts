/** Acting for somebody, through the SDK: by mandates and by tokens of others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Mandate } from './index.ts';
import { mandateWorld, toldMandate as told } from './testing/mandates.ts';
import { api, clientId, createWorld, failure, issuer, json, type Seen, tokenResponse, type World } from './testing.ts';

const mandate = told.id;
const part = `mdt_${'2'.repeat(26)}`;
const [to = ''] = told.passing.to;
const foreign = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwZXJfMSJ9.c2lnbmF0dXJl-of_somebody';

/** What a request for a token says, without what proves the client. */
const saidIn = ({ body }: Seen): Record<string, string> =>
  Object.fromEntries([...new URLSearchParams(body)].filter(([name]) => !name.startsWith('client_')));

/** Those that brought a token: the first one of a world is sent back for a nonce. */
const asked = (world: World) => world.tokenRequests().slice(1).map(saidIn);

const refusal = (error: string, error_description: string) => () => json({ error, error_description }, { status: 400 });

test('a mandate is presented for each token, which is kept, and renewed by presenting it anew', async () => {
  const world = createWorld();
  const robin = world.agent.onBehalfOf(mandate);
  for (let i = 0; i < 3; i++) assert.equal((await robin.fetch(`${api}/7`)).status, 200);
  const presented = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: mandate,
    subject_token_type: 'urn:bailiwick:params:oauth:token-type:mandate',
    resource: api,
  };
  assert.deepEqual(asked(world), [presented]);
  world.time.now += 595_000;
  assert.equal((await robin.fetch(`${api}/7`)).status, 200);
  assert.deepEqual(asked(world), [presented, presented]);
});

test('an access token that somebody came with is presented as one', async () => {
  const world = createWorld();
  await world.agent.onBehalfOf(foreign, { resource: api, scope: ['tickets:read'] }).token();
  assert.deepEqual(asked(world), [
    {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: foreign,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: api,
      scope: 'tickets:read',
    },
  ]);
});

test('an ID token of an issuer that ours trusts is presented as one', async () => {
  const world = createWorld();
  await world.agent.onBehalfOf({ idToken: foreign }, { resource: api }).token();
  assert.deepEqual(asked(world), [
    {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: foreign,
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      resource: api,
    },
  ]);
});

test('who may act in turn, and which token says who acts: other words, other tokens', async () => {
  const world = createWorld();
  const { agent } = world;
  const actor = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZ3RfMSJ9.c2lnbmF0dXJl-of_the-agent';
  const mayAct = 'spiffe://bailiwick.example/default/scout';
  for (const wishes of [{}, { mayAct }, { mayAct: to }, { actorToken: actor }, { mayAct }, {}]) {
    await agent.onBehalfOf(mandate, { resource: api, ...wishes }).token();
  }
  await agent.token({ resource: api, mayAct });
  const type = 'urn:ietf:params:oauth:token-type:access_token';
  assert.deepEqual(
    asked(world).map(({ may_act, actor_token, actor_token_type }) => [may_act, actor_token, actor_token_type]),
    [
      [undefined, undefined, undefined],
      [mayAct, undefined, undefined],
      [to, undefined, undefined],
      [undefined, actor, type],
      [mayAct, undefined, undefined],
    ],
  );
  for (const wrong of ['', 'a\nb', 7 as never]) {
    assert.throws(() => agent.with({ mayAct: wrong }), { code: 'bad_option' });
  }
});

test('on whose authority: tokens of the agent’s own and of each mandate are kept apart', async () => {
  const world = createWorld();
  const { agent } = world;
  const actors = [agent, agent.onBehalfOf(mandate), agent.onBehalfOf(part), agent.onBehalfOf(foreign)];
  for (const each of [...actors, ...actors]) await each.fetch(`${api}/7`);
  assert.deepEqual(
    asked(world).map(({ subject_token }) => subject_token),
    [undefined, mandate, part, foreign],
  );
  const used = world.withToken().map(({ headers }) => headers.get('authorization'));
  assert.equal(new Set(used).size, 4);
  await agent.onBehalfOf(mandate).fetch(`${api}/7`);
  assert.equal(asked(world).length, 4, 'the same authority, said again');
});

test('wishes narrow; those of the agent hold, too, and so does its task', async () => {
  const world = createWorld({ ctx: { ip: ['192.0.2.0/24'] } });
  const task = `tsk_${'4'.repeat(26)}`;
  const robin = world.agent.with({ task }).onBehalfOf(mandate, { scope: ['tickets:read', 'tickets:write'] });
  await robin.with({ scope: ['tickets:read'] }).fetch(`${api}/7`);
  await robin.fetch(`${api}/7`, { scope: ['tickets:write'] }).catch(() => {});
  assert.deepEqual(
    asked(world).map(({ scope, task: named, ctx, subject_token }) => [scope, named, ctx, subject_token]),
    ['tickets:read', 'tickets:write'].map((scope) => [scope, task, '{"ip":["192.0.2.0/24"]}', mandate]),
  );
});

test('named scopes are not widened because an API wants more', async () => {
  const world = createWorld();
  world.settings.needs['/tickets/7'] = ['tickets:write'];
  const answer = await world.agent.onBehalfOf(mandate, { scope: ['tickets:read'] }).fetch(`${api}/7`);
  assert.equal(answer.status, 403);
  assert.equal(asked(world).length, 1);
});

test('what was left out of a token is told, with the link that took it away', async () => {
  const world = createWorld();
  const narrowed = [
    { what: 'scope', value: 'tickets:write', by: `mandate ${mandate}` },
    { what: 'lifetime', by: 'subject_token' },
  ];
  world.issuerSays.push(
    (request) => tokenResponse(world, request),
    async (request) => {
      const answer = await tokenResponse(world, request);
      return json({ ...((await answer.json()) as object), narrowed: [...narrowed, 'something else', { what: 1 }] });
    },
  );
  const token = await world.agent.onBehalfOf(mandate).token({ resource: api });
  assert.deepEqual(token.narrowed, narrowed);
  assert.deepEqual((await world.agent.token({ resource: api })).narrowed, []);
});

for (const [code, words] of [
  ['invalid_request', `mandate ${mandate} rests on mdt_root, which is stopped or has ended`],
  ['invalid_scope', `mandate ${mandate} does not allow tickets:purge on this resource`],
  ['invalid_grant', `the limit uses of mandate ${mandate} is used up`],
]) {
  test(`a refusal says which link of the chain it was: ${code}`, async () => {
    const world = createWorld();
    world.issuerSays.push((request) => tokenResponse(world, request), refusal(code as string, words as string));
    const error = await failure(world, () => world.agent.onBehalfOf(mandate).fetch(`${api}/7`));
    assert.equal(error.code, code);
    assert.ok(error.message.includes(words as string), error.message);
    assert.match(error.hint ?? '', /mandate|used up/);
  });
}

test('ended while the agent works: the API refuses, the mandate is presented anew, and the issuer says why', async () => {
  const world = createWorld();
  const robin = world.agent.onBehalfOf(mandate);
  assert.equal((await robin.fetch(`${api}/7`)).status, 200);
  world.issued.clear();
  world.issuerSays.push(refusal('invalid_request', `mandate ${mandate} is paused, or has ended`));
  const error = await failure(world, () => robin.fetch(`${api}/7`));
  assert.match(error.message, /is paused, or has ended/);
  assert.equal(world.withToken().length, 2, 'nothing more was sent to the API');
});

test('a token that somebody came with is shown by nothing', async () => {
  const world = createWorld();
  const robin = world.agent.onBehalfOf(foreign);
  world.issuerSays.push((request) => tokenResponse(world, request), refusal('invalid_request', `no ${foreign}`));
  const error = await failure(world, () => robin.fetch(`${api}/7`));
  for (const shown of [error, robin, robin.with({ ctx: {} }), await robin.token({ resource: api })]) {
    world.assertSilent(shown);
    assert.ok(!JSON.stringify([shown, String((shown as Error).message)]).includes(foreign.slice(0, 30)));
  }
});

for (const [what, subject] of [
  ['nothing', undefined],
  ['the id of a person', 'per_1'],
  ['a mandate whose id is none', 'mdt_1'],
  ['text that is no token', 'a.b'],
  ['a token with a line break', `${foreign}\n`],
  ['a mandate without an id', {}],
  ['an access token in place of the id of a mandate', { id: foreign }],
  ['an ID token that is none', { idToken: 'a.b' }],
] as [string, never][]) {
  test(`no authority is taken from ${what}`, () => {
    assert.throws(() => createWorld().agent.onBehalfOf(subject), { code: 'bad_option' });
  });
}

test('the mandates that it holds, page by page', async () => {
  const { world } = mandateWorld({
    'GET /mandates?limit=20': () => json({ items: [told], next_cursor: 'next' }),
    'GET /mandates?limit=20&cursor=next': () => json({ items: [{ ...told, id: part, parent: mandate }] }),
  });
  const [first, second, ...others] = await world.agent.mandates();
  assert.deepEqual(others, []);
  assert.deepEqual(first, {
    id: mandate,
    person: 'per_1',
    agent: clientId,
    instance: undefined,
    parent: undefined,
    resources: [{ resource: api, scope: ['tickets:read', 'tickets:write'], details: [{ type: 'x' }] }],
    context: undefined,
    task: undefined,
    limits: { uses: 3 },
    ledger: [{ counter: 'uses', spent: 1, most: 3 }],
    passing: { depth: 2, to: [to] },
    status: 'active',
    expiresAt: Date.parse('2027-01-15T09:00:00Z'),
  });
  assert.deepEqual([second?.id, second?.parent], [part, mandate]);
  assert.deepEqual(
    asked(world).map(({ scope, resource, grant_type }) => [scope, resource, grant_type]),
    [['mandates:pass', issuer, 'client_credentials']],
  );
});

const answerOfPart = () => json({ ...told, id: part, parent: mandate, agent: to }, { status: 201 });

for (const [what, options, body] of [
  ['all of it', { mandate, to }, { parent: mandate, agent: to }],
  ['to one instance', { mandate, to: 'ins_1' }, { parent: mandate, instance: 'ins_1' }],
  [
    'some scopes of an API',
    { mandate, to, resource: api, scope: ['tickets:read'] },
    { parent: mandate, agent: to, resources: [{ resource: api, scope: 'tickets:read' }] },
  ],
  [
    'details of the one API that the mandate is for',
    { mandate: { ...told, resources: [{ resource: api, scope: [], details: [] }] }, to, details: [{ type: 'x' }] },
    { parent: mandate, agent: to, resources: [{ resource: api, authorization_details: [{ type: 'x' }] }] },
  ],
  [
    'several APIs, and every other bound',
    {
      mandate,
      to,
      resources: [{ resource: api, scope: ['tickets:read'] }, { resource: 'https://other.example' }],
      ctx: { country: ['CH'] },
      task: { workflow: 'trips' },
      limits: { uses: 1 },
      passing: { depth: 1, to: [to] },
      lifetimeSeconds: 60,
    },
    {
      parent: mandate,
      agent: to,
      resources: [{ resource: api, scope: 'tickets:read' }, { resource: 'https://other.example' }],
      context: { country: ['CH'] },
      task: { workflow: 'trips' },
      limits: { uses: 1 },
      passing: { depth: 1, to: [to] },
      expires_in: 60,
    },
  ],
] as [string, never, object][]) {
  test(`passed on: ${what}`, async () => {
    const { world, calls } = mandateWorld({ 'POST /mandates': answerOfPart });
    const given = await world.agent.delegate(options);
    assert.deepEqual([given.id, given.parent, given.agent], [part, mandate, to]);
    assert.deepEqual(JSON.parse(calls[0]?.body ?? ''), body);
    assert.ok(calls[0]?.headers.has('idempotency-key'));
    assert.match(calls[0]?.headers.get('authorization') ?? '', /^DPoP /);
  });
}

for (const [what, options] of [
  ['to a name', { mandate, to: 'courier' }],
  ['to nobody', { mandate }],
  ['of no mandate', { mandate: foreign, to }],
  ['of scopes without an API', { mandate, to, scope: ['tickets:read'] }],
  ['of scopes that are none', { mandate, to, resource: api, scope: ['tickets read\n'] }],
] as [string, never][]) {
  test(`not even asked to pass on ${what}`, async () => {
    const { world, calls } = mandateWorld({});
    assert.equal((await failure(world, () => world.agent.delegate(options))).code, 'bad_option');
    assert.deepEqual(calls, []);
  });
}

test('what is beyond the mandate the issuer says, and it is said', async () => {
  const detail = `resources[0].scope: mandate ${mandate} does not allow tickets:purge`;
  const { world } = mandateWorld({ 'POST /mandates': () => json({ detail }, { status: 422 }) });
  const error = await failure(world, () => world.agent.delegate({ mandate, to }));
  assert.equal(error.code, 'mandate_refused');
  assert.ok(error.message.endsWith(detail), error.message);
});

test('what is no mandate is none', async () => {
  const { world } = mandateWorld({
    'POST /mandates': () => json({ ...told, id: 'mdt_1' }, { status: 201 }),
    'GET /mandates?limit=20': () => json({}),
  });
  assert.equal((await failure(world, () => world.agent.delegate({ mandate, to }))).code, 'bad_answer');
  assert.equal((await failure(world, () => world.agent.mandates())).code, 'bad_answer');
});

test('what was passed on ends with its block, and once', async () => {
  const path = `DELETE /mandates/${part}`;
  const { world, calls } = mandateWorld({
    'POST /mandates': answerOfPart,
    [path]: () => new Response(null, { status: 204 }),
  });
  {
    await using given = await world.agent.delegate({ mandate, to });
    await given.end();
  }
  assert.deepEqual(
    calls.map((each) => each.path),
    ['POST /mandates', path],
  );
});

/** Never called: the compiler is what is tested. */
export async function onlyNarrower(): Promise<void> {
  const { agent } = createWorld();
  const trips = agent.onBehalfOf(mandate, { scope: ['trips:read', 'trips:book'] });
  await trips.fetch(api, { scope: ['trips:book'] });
  // @ts-expect-error: not among what it acts by
  await trips.fetch(api, { scope: ['trips:pay'] });
  const reading = trips.with({ scope: ['trips:read'] });
  // @ts-expect-error: narrower never becomes wider again
  reading.with({ scope: ['trips:book'] });
  const held = (await agent.mandates())[0] as Mandate<'trips:read' | 'trips:book'>;
  const given = await agent.delegate({ mandate: held, to, scope: ['trips:read'] });
  given satisfies Mandate<'trips:read'>;
  // @ts-expect-error: the mandate has no such scope
  await agent.delegate({ mandate: held, to, scope: ['trips:pay'] });
  // @ts-expect-error: what was passed on is less than that
  agent.onBehalfOf(given, { scope: ['trips:book'] });
}
