import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { BailiwickError, createAgent, requirementsOf, StepUpRequired } from './index.ts';
import { steppedUp } from './step-up.ts';
import { api, createWorld, failure, json, tokenResponse, type World } from './testing.ts';

const url = `${api}/17`;
const formOf = ({ body }: { body: string }) => Object.fromEntries(new URLSearchParams(body));
const notYet = (...requirements: unknown[]) =>
  json({ error: 'step_up_required', error_description: 'not at night', requirements }, { status: 400 });

/** The token requests but the one that only fetched a nonce. */
const asked = (world: World) => world.tokenRequests().slice(1).map(formOf);

suite('what policy wants first, at the token endpoint', () => {
  test('is told where the agent can do nothing: at once, in sentences', async () => {
    const world = createWorld();
    world.host('https://id.example', (request) =>
      answering(world, request, () => notYet({ type: 'approval' }, { type: 'task' })),
    );
    const error = await failure(world, () => world.agent.fetch(url));
    assert.ok(error instanceof StepUpRequired);
    assert.deepEqual([...error.requirements], [{ type: 'approval' }, { type: 'task' }]);
    assert.match(error.hint ?? '', /human has to approve.*task that an orchestrator opened/);
    assert.match(error.message, /not at night/);
    assert.equal(error.code, 'step_up_required');
    assert.equal(asked(world).length, 1);
  });

  test('a fresh proof: proven anew, once', async () => {
    const world = createWorld();
    let refusals = 0;
    world.host('https://id.example', (request) =>
      answering(world, request, () => (refusals++ === 0 ? notYet({ type: 'fresh_proof', max_age: 60 }) : undefined)),
    );
    assert.equal((await world.agent.fetch(url)).status, 200);
    const [first, second] = asked(world);
    assert.notEqual(first?.client_assertion, second?.client_assertion);

    const stubborn = createWorld();
    stubborn.host('https://id.example', (request) =>
      answering(stubborn, request, () => notYet({ type: 'fresh_proof', max_age: 1 })),
    );
    assert.ok((await failure(stubborn, () => stubborn.agent.fetch(url))) instanceof StepUpRequired);
    assert.equal(asked(stubborn).length, 2);
  });

  test('less: what the caller said would do, in order, each once; nothing without its word', async () => {
    const world = createWorld();
    world.host('https://id.example', (request) =>
      answering(world, request, (form) => (form.scope === 'tickets:read' ? undefined : notYet({ type: 'narrower' }))),
    );
    const narrower = [{ scope: 'tickets:list tickets:read' }, { scope: 'tickets:read' }];
    const response = await world.agent.fetch(url, { scope: 'tickets:write', narrower });
    assert.equal(response.status, 200);
    assert.deepEqual(
      asked(world).map(({ scope }) => scope),
      ['tickets:write', 'tickets:list tickets:read', 'tickets:read'],
    );
    // it is the token of that wish alone: another call does not get it in place of what it asked for
    assert.ok(
      (await failure(world, () => world.agent.fetch(url, { scope: 'tickets:write' }))) instanceof StepUpRequired,
    );
    const none = [{ scope: 'a' }, { scope: 'b' }];
    assert.ok(
      (await failure(world, () => world.agent.fetch(url, { scope: 'c', narrower: none }))) instanceof StepUpRequired,
    );
    assert.equal(asked(world).length, 3 + 1 + 3);
  });

  test('one of several that can not be met: nothing is tried', async () => {
    const world = createWorld();
    const wants = [{ type: 'fresh_proof', max_age: 60 }, { type: 'approval' }];
    world.host('https://id.example', (request) => answering(world, request, () => notYet(...wants)));
    await failure(world, () => world.agent.fetch(url));
    assert.equal(asked(world).length, 1);
  });

  test('something that is not known here, or is no requirement: told, and nothing is tried', async () => {
    for (const wants of [[{ type: 'moonlight' }], [{ type: 'fresh_proof' }], [null], 'x', undefined, []]) {
      const world = createWorld();
      world.host('https://id.example', (request) =>
        answering(world, request, () => json({ error: 'step_up_required', requirements: wants }, { status: 400 })),
      );
      const error = await failure(world, () => world.agent.fetch(url, { narrower: [{ scope: 'a' }] }));
      assert.equal(error.code, 'step_up_required');
      assert.equal(asked(world).length, 1);
    }
  });

  test('a certificate: the identity that has one is used, once; without one it is told', async () => {
    const plain = { name: 'plain', mutualTls: false } as never;
    const certified = { name: 'certified', mutualTls: true } as never;
    const used: unknown[] = [];
    const wants = new StepUpRequired('x', [{ type: 'binding', binding: 'mtls' }]);
    const request = async (_: unknown, identity: unknown) => {
      used.push(identity);
      if (identity === plain) throw wants;
      return 'token';
    };
    const identities = { identity: async () => plain, certified: async () => certified };
    assert.equal(await steppedUp(identities, {}, request), 'token');
    assert.deepEqual(used, [plain, certified]);
    await assert.rejects(steppedUp({ identity: async () => plain }, {}, request), wants);
    const never = async () => Promise.reject(wants);
    await assert.rejects(steppedUp(identities, {}, never), wants);
    const key = new StepUpRequired('x', [{ type: 'binding', binding: 'dpop' }]);
    await assert.rejects(
      steppedUp(identities, {}, async () => Promise.reject(key)),
      key,
    );
  });

  test('a no is a no, with the reasons that may be told', async () => {
    const world = createWorld();
    world.host('https://id.example', (request) =>
      answering(world, request, () =>
        json(
          { error: 'access_denied', error_description: 'policy does not allow this: no exports at night' },
          { status: 400 },
        ),
      ),
    );
    const error = await failure(world, () => world.agent.fetch(url, { narrower: [{ scope: 'a' }] }));
    assert.equal(error.code, 'access_denied');
    assert.match(error.message, /no exports at night/);
    assert.equal(asked(world).length, 1);
  });
});

suite('what an API wants first', () => {
  const says =
    (status: number, params: string, body: object = {}) =>
    () =>
      json(body, { status, headers: { 'www-authenticate': `DPoP ${params}` } });

  test('a proof that is not older than so: a fresh token, once', async () => {
    const world = createWorld();
    await world.agent.fetch(url);
    world.apiSays.push(says(401, 'error="insufficient_user_authentication", max_age="60"'));
    assert.equal((await world.agent.fetch(url)).status, 200);
    assert.equal(world.issued.size, 2);
    const refusal = says(401, 'error="insufficient_user_authentication", max_age="0"', {
      requirements: [{ type: 'approval' }],
    });
    world.apiSays.push(refusal, refusal, refusal);
    const left = await world.agent.fetch(url);
    assert.equal(left.status, 401);
    assert.equal(world.issued.size, 3);
    assert.deepEqual(await requirementsOf(left), [{ type: 'approval' }]);
    assert.deepEqual(await left.json(), { requirements: [{ type: 'approval' }] }, 'its body can still be read');
  });

  test('another way for people to sign in: nothing that a fresh token would change', async () => {
    const world = createWorld();
    world.apiSays.push(says(401, 'error="insufficient_user_authentication", acr_values="gold"'));
    assert.equal((await world.agent.fetch(url)).status, 401);
    assert.equal(world.issued.size, 1);
  });

  test('a wider token that policy holds back: told as what it wants', async () => {
    const world = createWorld();
    world.settings.needs['/tickets/17'] = ['tickets:write'];
    world.host('https://id.example', (request) =>
      answering(world, request, ({ scope }) => (scope?.includes('write') ? notYet({ type: 'approval' }) : undefined)),
    );
    assert.ok((await failure(world, () => world.agent.fetch(url))) instanceof StepUpRequired);
    const careful = createAgent({ ...world.options, stepUp: false });
    assert.equal((await careful.fetch(url)).status, 403);
  });

  test('no requirements in any other answer', async () => {
    assert.equal(await requirementsOf(json({ requirements: [{ type: 'task' }] })), undefined);
    assert.equal(await requirementsOf(new Response('no', { status: 403 })), undefined);
    assert.equal(await requirementsOf(json({ requirements: [{ type: 'x' }] }, { status: 403 })), undefined);
  });
});

suite('what tokens are asked for', () => {
  const details = [{ type: 'transfer', amount: 50 }];
  const ctx = { ip: ['10.0.0.0/8'] };

  test('stands in the request, and each wish has tokens of its own', async () => {
    const world = createWorld();
    const declared = { workflow: 'billing', purpose: 'pay what is due' };
    await world.agent.fetch(url, { details, ctx, declared });
    const [form] = asked(world);
    assert.deepEqual(JSON.parse(form?.authorization_details ?? ''), details);
    assert.deepEqual(JSON.parse(form?.ctx ?? ''), ctx);
    assert.deepEqual([form?.declared_workflow, form?.declared_purpose], [declared.workflow, declared.purpose]);
    await world.agent.fetch(url, { details, ctx, declared });
    assert.equal(world.issued.size, 1);
    for (const other of [{}, { details }, { ctx }, { declared }, { details: [{ type: 'transfer', amount: 51 }] }]) {
      await world.agent.fetch(url, other);
    }
    assert.equal(world.issued.size, 6);
  });

  test('of a narrower agent: what it says, and for the rest what the wider one says', async () => {
    const world = createWorld();
    const narrow = world.agent.with({ ctx, scope: 'tickets:read' }).with({ details });
    await narrow.fetch(url);
    const [form] = asked(world);
    assert.deepEqual(
      [form?.scope, JSON.parse(form?.ctx ?? ''), JSON.parse(form?.authorization_details ?? '')],
      ['tickets:read', ctx, details],
    );
    await world.agent.fetch(url);
    assert.equal(asked(world)[1]?.ctx, undefined, 'the wider one is as it was');
    world.assertSilent(narrow);
  });

  test('is checked before anything is sent', async () => {
    const world = createWorld();
    for (const wrong of [
      { details: [{}] },
      { details: 'x' },
      { narrower: {} },
      { declared: { purpose: 5 } },
      { scope: 'a  b' },
    ] as never[]) {
      await assert.rejects(world.agent.fetch(url, wrong), BailiwickError);
      assert.throws(() => world.agent.with(wrong), BailiwickError);
    }
    for (const task of ['x', 'tsk_1', { jwt: 'a.b' }]) assert.throws(() => world.agent.with({ task }), BailiwickError);
    const task = `tsk_${'0'.repeat(26)}`;
    assert.throws(() => world.agent.with({ task, declared: { step: 'x' } }), BailiwickError);
    assert.equal(world.seen.length, 0);
  });
});

/** The issuer of the world, that answers what `say` says in place of a token, if it says something. */
async function answering(
  world: World,
  request: Request,
  say: (form: Record<string, string>) => Response | undefined,
): Promise<Response> {
  if (request.method === 'GET') {
    return json({ issuer: 'https://id.example', token_endpoint: 'https://id.example/oauth2/token' });
  }
  const form = Object.fromEntries(new URLSearchParams(await request.clone().text()));
  const answer = await tokenResponse(world, request.clone());
  if (answer.status !== 200) return answer; // it wants a nonce first
  const said = say(form);
  if (said !== undefined) world.issued.delete([...world.issued.keys()].at(-1) as string);
  return said ?? answer;
}
