import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGuard, type GuardOptions } from './index.ts';
import { fakeAgent, fakeIssuer, operations, quiet, resource } from './testing/fake-issuer.ts';

const evaluations = '/access/v1/evaluations';
const details = [{ type: 'operation', actions: ['purge'] }];

async function setUp(options: Partial<GuardOptions> = {}) {
  const fake = await fakeIssuer();
  const runtime = quiet(fake);
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options({ operations: undefined, runtime, ...options }));
  const scope = 'tickets:read tickets:write tickets:purge';
  const token = await agent.token({ jti: 'j-1', scope });
  const ask = async (method = 'DELETE', path = '/tickets/purge', of = token) =>
    guard.decide(await agent.request(method, path, { token: of }));
  const status = async (method?: string, path?: string, of?: string) => {
    const decision = await ask(method, path, of);
    return decision.allowed ? 200 : decision.status;
  };
  return { fake, runtime, agent, guard, token, ask, status };
}

/** What stands in the answer to a refused request. */
async function refused(ask: () => ReturnType<Awaited<ReturnType<typeof setUp>>['ask']>) {
  const decision = await ask();
  assert.ok(!decision.allowed);
  const { status, headers, problem } = decision;
  return { status, problem, challenge: String(headers['www-authenticate'] ?? ''), retryAfter: headers['retry-after'] };
}

test('only what is sensitive is asked about: high by default', async () => {
  const { fake, status } = await setUp();
  assert.deepEqual([await status('GET', '/tickets'), await status('POST', '/tickets/7/close')], [200, 200]);
  assert.equal(fake.asked[evaluations], undefined);
  assert.equal(await status(), 200);
  assert.equal(fake.asked[evaluations], 1);
});

for (const [from, asked] of [
  ['low', 3],
  ['medium', 2],
  ['high', 1],
] as const) {
  test(`from ${from} on: ${asked} of three`, async () => {
    const { fake, status } = await setUp({ continuous: { from } });
    for (const [method, path] of [
      ['GET', '/tickets'],
      ['POST', '/tickets/7/close'],
      ['DELETE', '/tickets/purge'],
    ] as const) {
      assert.equal(await status(method, path), 200);
    }
    assert.equal(fake.asked[evaluations], asked);
  });
}

test('the question names agent, operation, parameters, the token and where it was presented', async () => {
  const { fake, status, token } = await setUp({ continuous: { from: 'medium' } });
  await status('POST', '/tickets/7/close');
  assert.deepEqual(fake.evaluated, [
    [
      {
        subject: { type: 'agent', id: 'agt_reader' },
        action: { name: 'access', properties: { id: '7' } },
        resource: { type: 'operation', id: `${resource}#close ticket` },
        context: { access_token: token, presenter_address: '192.0.2.7' },
      },
    ],
  ]);
});

test('of a tool’s arguments only those travel on which details depend', async () => {
  const fake = await fakeIssuer();
  const tool = { name: 'wipe', tool: 'wipe', scope: ['tickets:purge'], sensitivity: 'high' as const };
  const guard = createGuard(
    fake.options({
      operations: [{ ...tool, details: { type: 'wipe', disk: '{disk}' } }],
      detailsTypes: [{ type: 'wipe', compare: {} }],
      continuous: {},
      runtime: quiet(fake),
    }),
  );
  const agent = await fakeAgent(fake);
  const token = await agent.token({ scope: 'tickets:purge', authorization_details: [{ type: 'wipe', disk: 'a' }] });
  const verified = await guard.verify(await agent.request('POST', '/mcp', { token }));
  assert.ok('verified' in verified);
  const parameters = { disk: 'a', note: 'of Mrs Miller' };
  assert.equal((await guard.allows(verified, { tool: 'wipe', parameters })).allowed, true);
  const [question] = fake.evaluated[0] ?? [];
  assert.deepEqual(question?.action, { name: 'access', properties: { disk: 'a' } });
  assert.deepEqual(question?.resource, { type: 'tool', id: `${resource}#wipe` });
});

test('nothing is remembered: what was allowed is asked again, and a no is heard at once', async () => {
  const { fake, status } = await setUp();
  assert.equal(await status(), 200);
  fake.evaluate = () => ({ decision: false });
  assert.equal(await status(), 403);
  fake.evaluate = () => ({ decision: true });
  assert.equal(await status(), 200);
  assert.equal(fake.asked[evaluations], 3);
});

test('a request that is refused anyway asks nobody', async () => {
  const { fake, status, agent } = await setUp();
  assert.equal(await status('DELETE', '/tickets/purge', await agent.token({ scope: 'tickets:read' })), 403);
  fake.ended.add('j-1');
  assert.equal(await status(), 401);
  assert.equal(fake.asked[evaluations], undefined);
});

test('many requests of one moment are one batch, and each has its own answer', async () => {
  const { fake, agent, status } = await setUp();
  fake.evaluate = ({ subject }) => ({ decision: subject.id !== 'agt_2' });
  const tokens = await Promise.all(
    Array.from({ length: 12 }, (_, i) => agent.token({ scope: 'tickets:purge', client_id: `agt_${i}` })),
  );
  const statuses = await Promise.all(tokens.map((token) => status('DELETE', '/tickets/purge', token)));
  assert.deepEqual(statuses, [200, 200, 403, ...Array(9).fill(200)]);
  assert.equal(fake.asked[evaluations], 1);
});

test('no batch is longer than the decision point takes, or larger than a body may be', async () => {
  const { fake, agent, status } = await setUp();
  const long = 'x'.repeat(3000);
  const tokens = await Promise.all(Array.from({ length: 30 }, () => agent.token({ scope: 'tickets:purge', long })));
  assert.deepEqual(
    new Set(await Promise.all(tokens.map((each) => status('DELETE', '/tickets/purge', each)))),
    new Set([200]),
  );
  for (const batch of fake.evaluated) assert.ok(JSON.stringify(batch).length < 40_000);
  assert.equal(fake.evaluated.flat().length, 30);
});

// what one caller sends is that caller's alone

/** A guard of a tool whose details depend on an argument, and a decision point that refuses whole bodies as the server does. */
async function amongOthers() {
  const fake = await fakeIssuer();
  const bodies: string[] = [];
  const fetch: typeof globalThis.fetch = (url, init) => {
    if (!String(url).endsWith(evaluations)) return fake.fetch(url, init);
    const body = String(init?.body);
    bodies.push(body);
    if (body.includes('poison')) return Promise.resolve(Response.json({ title: 'Bad request' }, { status: 400 }));
    return fake.fetch(url, init);
  };
  const tool = { name: 'wipe', tool: 'wipe', scope: ['tickets:purge'], sensitivity: 'high' as const };
  const guard = createGuard(
    fake.options({
      operations: [{ ...tool, details: { type: 'wipe', disk: '{disk}' } }],
      detailsTypes: [{ type: 'wipe', compare: {} }],
      continuous: {},
      runtime: quiet(fake),
      fetch,
    }),
  );
  const agent = await fakeAgent(fake);
  const token = await agent.token({ scope: 'tickets:purge', authorization_details: [{ type: 'wipe' }] });
  const verified = await guard.verify(await agent.request('POST', '/mcp', { token }));
  assert.ok('verified' in verified);
  const wiped = async (disk: unknown) => {
    const decision = await guard.allows(verified, { tool: 'wipe', parameters: { disk } });
    return decision.allowed ? 200 : decision.status;
  };
  return { wiped, bodies };
}

for (const [what, disk] of [
  ['a NUL', 'a\u0000'],
  ['half a character', '\ud800'],
  ['half a character further in', [{ a: ['\udc00'] }]],
  ['a name with a NUL', { 'a\u0000': 1 }],
  ['a member __proto__', JSON.parse('{"__proto__": 1}')],
  ['a member __proto__ further in', JSON.parse('[{"a": {"__proto__": 1}}]')],
  ['14 levels', JSON.parse('['.repeat(14) + ']'.repeat(14))],
  ['100,000 levels', JSON.parse('['.repeat(100_000) + ']'.repeat(100_000))],
] as const) {
  test(`an argument with ${what} is refused alone, and nobody is asked about it`, async () => {
    const { wiped, bodies } = await amongOthers();
    await wiped('a');
    bodies.length = 0;
    assert.deepEqual(await Promise.all([wiped('a'), wiped(disk), wiped('b')]), [200, 400, 200]);
    assert.equal(bodies.length, 1);
    assert.ok(JSON.parse(bodies[0] ?? '').evaluations.length === 2);
  });
}

test('a batch that the decision point refuses whole is asked again in parts: one question that it can’t read is one caller’s', async () => {
  const { wiped, bodies } = await amongOthers();
  await wiped('a');
  bodies.length = 0;
  const disks = Array.from({ length: 20 }, (_, i) => (i === 13 ? 'poison' : `disk ${i}`));
  const statuses = await Promise.all(disks.map(wiped));
  assert.deepEqual(
    statuses,
    disks.map((disk) => (disk === 'poison' ? 503 : 200)),
  );
  assert.ok(bodies.length <= 11, `${bodies.length} requests`);
});

// what a no means

test('a no of policy: 403, with its public words and no challenge', async () => {
  const { fake, ask } = await setUp();
  fake.evaluate = () => ({
    decision: false,
    context: { id: 'evt_1', reason_user: { '403': 'Not during an incident.' } },
  });
  const { status, problem, challenge } = await refused(ask);
  assert.deepEqual([status, problem?.error, problem?.detail], [403, 'access_denied', 'Not during an incident.']);
  assert.equal(challenge, '');
});

test('a token that has ended meanwhile: 401, though introspection had said yes', async () => {
  const { fake, ask } = await setUp();
  fake.evaluate = () => ({ decision: false, context: { error: { status: 401, message: 'it has ended' } } });
  const { status, problem, challenge } = await refused(ask);
  assert.deepEqual([status, problem?.error], [401, 'invalid_token']);
  assert.match(challenge, /error="invalid_token"/);
});

for (const [what, requirements, status, error, more] of [
  ['a fresher proof', [{ type: 'fresh_proof', max_age: 60 }], 401, 'insufficient_user_authentication', /max_age="?60/],
  [
    'the freshest of several',
    [
      { type: 'fresh_proof', max_age: 60 },
      { type: 'fresh_proof', max_age: 5 },
    ],
    401,
    'insufficient_user_authentication',
    /max_age="?5\b/,
  ],
  [
    'a human’s yes',
    [{ type: 'approval' }],
    401,
    'insufficient_user_authentication',
    /error="insufficient_user_authentication"/,
  ],
  ['another binding', [{ type: 'binding', binding: 'mtls' }], 403, 'insufficient_scope', /scope="tickets:purge"/],
  ['a narrower request', [{ type: 'narrower' }], 403, 'insufficient_scope', /error="insufficient_scope"/],
  ['a task', [{ type: 'task' }], 403, 'insufficient_scope', /error="insufficient_scope"/],
  [
    'a human’s yes and a task',
    [{ type: 'approval' }, { type: 'task' }],
    403,
    'insufficient_scope',
    /insufficient_scope/,
  ],
] as const) {
  test(`not yet, until there is ${what}: ${status} ${error}`, async () => {
    const { fake, ask } = await setUp();
    fake.evaluate = () => ({ decision: false, context: { requirements } });
    const answer = await refused(ask);
    assert.deepEqual([answer.status, answer.problem?.error], [status, error]);
    assert.deepEqual(answer.problem?.requirements, requirements);
    assert.match(answer.challenge, more);
  });
}

// fails closed

for (const [what, answer] of [
  ['no decision', () => Response.json({ evaluations: [{}] })],
  ['a decision that is no boolean', () => Response.json({ evaluations: [{ decision: 'true' }] })],
  ['one number that looks like yes', () => Response.json({ evaluations: [{ decision: 1 }] })],
  ['fewer answers than questions', () => Response.json({ evaluations: [] })],
  ['more answers than questions', () => Response.json({ evaluations: [{ decision: true }, { decision: true }] })],
  ['null', () => Response.json({ evaluations: [null] })],
  ['a decision of another endpoint', () => Response.json({ decision: true, evaluations: [] })],
  ['no JSON', () => new Response('yes')],
  ['an error', () => Response.json({ decision: true }, { status: 500 })],
  ['a refusal of the guard itself', () => Response.json({ title: 'no' }, { status: 403 })],
  [
    'that this guard may not ask',
    () => Response.json({ evaluations: [{ decision: false, context: { error: { status: 403, message: 'beyond' } } }] }),
  ],
] as const) {
  test(`fails closed when the answer is ${what}`, async () => {
    const { fake, ask } = await setUp();
    const good = fake.fetch;
    fake.fetch = (url, init) => (String(url).endsWith(evaluations) ? Promise.resolve(answer()) : good(url, init));
    const runtime = quiet(fake);
    const guard = createGuard(fake.options({ runtime, continuous: {} }));
    const agent = await fakeAgent(fake);
    const token = await agent.token({ scope: 'tickets:purge' });
    const decision = await guard.decide(await agent.request('DELETE', '/tickets/purge', { token }));
    assert.ok(!decision.allowed);
    assert.deepEqual([decision.status, decision.headers['retry-after']], [503, '1']);
    assert.equal(runtime.problems.length, 1, 'the operator hears of it');
    assert.equal((await ask()).allowed, true, 'another guard is none the worse');
  });
}

test('a decision point that cannot be reached: 503 for what is sensitive, and nothing else', async () => {
  const { fake, status, runtime } = await setUp();
  fake.away = new Set([evaluations]);
  assert.deepEqual([await status(), await status('GET', '/tickets')], [503, 200]);
  assert.match(runtime.problems.join(), /evaluations can't be reached/);
});

/** Timers that run when a test says so. */
function timers() {
  const running = new Set<{ ms: number; work: () => void }>();
  return {
    running,
    after(ms: number, work: () => void) {
      const timer = { ms, work };
      running.add(timer);
      return () => void running.delete(timer);
    },
    /** Runs what was set for so many ms, once something was. */
    async fire(ms: number) {
      for (;;) {
        const timer = [...running].find((each) => each.ms === ms);
        if (timer) return running.delete(timer) && timer.work();
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

test('an answer that takes too long is a no, and comes too late to be a yes', async () => {
  const fake = await fakeIssuer();
  const { after, fire, running } = timers();
  const runtime = { ...quiet(fake), after };
  const guard = createGuard(fake.options({ runtime, continuous: { budgetMs: 250, batchMs: 2 } }));
  const agent = await fakeAgent(fake);
  const token = await agent.token({ scope: 'tickets:purge' });
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await guard.decide(await agent.request('GET', '/tickets', { token: await agent.token() }));
  const deciding = guard.decide(await agent.request('DELETE', '/tickets/purge', { token }));
  const reached = new Promise<void>((resolve) => {
    const good = fake.beforeAnswer;
    fake.beforeAnswer = async () => {
      await good();
      if (fake.evaluated.length === 0) return;
      resolve();
      await held;
    };
  });
  await fire(2);
  await reached;
  await fire(250);
  const decision = await deciding;
  assert.ok(!decision.allowed);
  assert.equal(decision.status, 503);
  assert.match(runtime.problems.join(), /did not answer within 250 ms/);
  release();
  assert.equal(running.size, 0, 'no timer is left behind');
});

test('a batch waits for others as long as it is told to, and no longer', async () => {
  const fake = await fakeIssuer();
  const { after, fire, running } = timers();
  const guard = createGuard(fake.options({ runtime: { ...quiet(fake), after }, continuous: { batchMs: 7 } }));
  const agent = await fakeAgent(fake);
  const token = await agent.token({ scope: 'tickets:purge' });
  const one = async () => guard.decide(await agent.request('DELETE', '/tickets/purge', { token }));
  const both = [one(), one()];
  while (running.size < 3) await new Promise((resolve) => setImmediate(resolve)); // a budget for each, and one batch
  assert.equal(fake.asked[evaluations], undefined);
  await fire(7);
  assert.deepEqual(
    (await Promise.all(both)).map(({ allowed }) => allowed),
    [true, true],
  );
  assert.equal(fake.asked[evaluations], 1);
  assert.equal(running.size, 0);
});

test('too many requests under way: the rest is refused, not queued', async () => {
  const { fake, status } = await setUp({ continuous: { maxConcurrent: 1 } });
  assert.equal(await status(), 200);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const asked = fake.evaluated.length;
  fake.beforeAnswer = () => held;
  const early = status();
  while (fake.evaluated.length === asked) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await status(), 503);
  release();
  assert.equal(await early, 200);
});

// what can be configured

test('who has no credential, or is offline, or says so, or has its operations in code, asks nobody', async () => {
  for (const options of [
    {},
    { continuous: false },
    { mode: 'offline' },
    { mode: 'offline', credential: undefined },
  ] as const) {
    const { fake, status } = await setUp({ ...options, operations } as Partial<GuardOptions>);
    assert.equal(await status(), 200);
    assert.equal(fake.asked[evaluations], undefined);
  }
});

for (const [continuous, message] of [
  [{ from: 'highest' }, /continuous\.from must be one of low, medium, high/],
  [{ budgetMs: 0 }, /continuous\.budgetMs must be a number from 1 to 10000/],
  [{ batchMs: -1 }, /continuous\.batchMs/],
  [{ maxConcurrent: 0 }, /continuous\.maxConcurrent/],
  [{ budget: 1 }, /continuous knows no member "budget"/],
] as const) {
  test(`continuous: ${JSON.stringify(continuous)} is refused`, async () => {
    const fake = await fakeIssuer();
    assert.throws(() => createGuard(fake.options({ continuous: continuous as object })), message);
  });
}

test('asking while offline is refused at the start: nobody would be asked', async () => {
  const fake = await fakeIssuer();
  assert.throws(() => createGuard(fake.options({ mode: 'offline', continuous: {} })), /needs a credential/);
});

test('the guard’s own token is for the identity provider, and for asking alone', async () => {
  const { fake, status } = await setUp();
  const forms: URLSearchParams[] = [];
  const good = fake.fetch;
  fake.fetch = (url, init) => {
    if (String(url).endsWith('/oauth2/token')) forms.push(new URLSearchParams(String(init?.body)));
    return good(url, init);
  };
  const guard = createGuard(fake.options({ runtime: quiet(fake), continuous: {} }));
  await guard.ready();
  assert.deepEqual(
    forms.map((form) => [form.get('resource'), form.get('scope')]),
    [['https://id.example', 'access:evaluate']],
  );
  assert.equal(await status(), 200);
});

test('a detail that names the operation is reached and asked about like a scope', async () => {
  const { fake, agent, status } = await setUp();
  const token = await agent.token({ scope: '', authorization_details: details });
  assert.equal(await status('DELETE', '/tickets/purge', token), 200);
  assert.equal(fake.asked[evaluations], 1);
});
