/** What a call names is what it gets a token for: no answer of an API makes it more, and what was more once is not for ever. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { readObject } from './http.ts';
import { createAgent, requirementsOf } from './index.ts';
import { api, createWorld, failure, json, type World } from './testing.ts';

const url = `${api}/17`;
const details = [{ type: 'transfer', amount: 50 }];

/** The scopes of the token requests but of the one that only fetched a nonce. */
const scopes = (world: World) =>
  world
    .tokenRequests()
    .slice(1)
    .map(({ body }) => new URLSearchParams(body).get('scope'));

const lacking = (scope: string) => () =>
  json({}, { status: 403, headers: { 'www-authenticate': `DPoP error="insufficient_scope", scope="${scope}"` } });

suite('what a call names', () => {
  for (const [what, wishes] of [
    ['scope', { scope: 'tickets:read' }],
    ['scope and details', { scope: 'tickets:read', details }],
    ['details', { details }],
    ['details, and no scope', { scope: [], details }],
  ] as const) {
    test(`${what}: an API that wants more gets no more`, async () => {
      const world = createWorld();
      for (const call of [
        () => world.agent.fetch(url, wishes),
        () => world.agent.with(wishes).fetch(url),
        () =>
          world.agent
            .with(wishes)
            .with({ ctx: { ip: ['10.0.0.0/8'] } })
            .fetch(url),
      ]) {
        world.apiSays.push(lacking('tickets:close'));
        assert.equal((await call()).status, 403);
      }
      assert.ok(!scopes(world).some((scope) => scope?.includes('tickets:close')));
    });
  }

  test('is widened where it says so, there or later', async () => {
    for (const wide of [
      (world: World) => world.agent.fetch(url, { scope: 'tickets:read', stepUp: true }),
      (world: World) => world.agent.with({ scope: 'tickets:read', stepUp: true }).fetch(url),
      (world: World) => world.agent.with({ scope: 'tickets:read' }).fetch(url, { stepUp: true }),
    ]) {
      const world = createWorld();
      world.apiSays.push(lacking('tickets:close'));
      assert.equal((await wide(world)).status, 200);
      assert.match(scopes(world).at(-1) ?? '', /tickets:close/);
    }
  });

  test('what the agent itself was made with is widened, unless a call forbids it', async () => {
    const world = createWorld();
    const agent = createAgent({ ...world.options, scope: 'tickets:read' });
    world.apiSays.push(lacking('tickets:close'));
    assert.equal((await agent.fetch(url, { stepUp: false })).status, 403);
    world.apiSays.push(lacking('tickets:close'));
    assert.equal((await agent.fetch(url)).status, 200);
    assert.match(scopes(world).at(-1) ?? '', /tickets:close/);

    // the same scope, named by a call: what the agent was widened to is not its
    const asked = world.withToken().length;
    assert.equal((await agent.fetch(url, { scope: 'tickets:read' })).status, 200);
    const [, token] = world.withToken()[asked]?.headers.get('authorization')?.split(' ') ?? [];
    assert.deepEqual(world.issued.get(token ?? '')?.scope, ['tickets:read']);
  });

  test('no scope and no details: refused before a token is asked for', async () => {
    const world = createWorld();
    for (const scope of [[], '']) {
      for (const call of [
        () => world.agent.token({ resource: api, scope }),
        () => world.agent.fetch(url, { scope }),
        () => world.agent.with({ scope, details: [] }).fetch(url),
      ]) {
        assert.equal((await failure(world, call)).code, 'bad_option');
      }
    }
    assert.deepEqual(world.tokenRequests(), []);
    await world.agent.token({ resource: api, scope: [], details });
    assert.deepEqual(scopes(world), [null]);
  });
});

suite('what was widened once', () => {
  const no = (code: string) => () => json({ error: code }, { status: 400 });

  async function widened(): Promise<World> {
    const world = createWorld();
    world.apiSays.push(lacking('tickets:close'));
    assert.equal((await world.agent.fetch(url)).status, 200);
    return world;
  }

  for (const code of ['invalid_scope', 'access_denied', 'step_up_required']) {
    test(`and is ${code} by the time its token has ended: what was wished is asked for, now and from then on`, async () => {
      const world = await widened();
      world.time.now += 3_600_000;
      world.issuerSays.push(no(code));
      assert.equal((await world.agent.fetch(url)).status, 200);
      assert.deepEqual(
        scopes(world)
          .slice(-2)
          .map((scope) => scope?.includes('tickets:close') ?? false),
        [true, false],
      );
      const before = scopes(world).length;
      world.time.now += 3_600_000;
      assert.equal((await world.agent.fetch(url)).status, 200);
      assert.deepEqual(
        scopes(world)
          .slice(before)
          .map((scope) => scope?.includes('tickets:close') ?? false),
        [false],
      );
    });
  }

  test('and whose token the API refuses, since the role is gone: likewise', async () => {
    const world = await widened();
    const refused = { status: 401, headers: { 'www-authenticate': 'DPoP error="invalid_token"' } };
    // the wider token, and then the one for the wish, which was kept
    world.apiSays.push(
      () => json({}, refused),
      () => json({}, refused),
    );
    world.issuerSays.push(no('invalid_scope'));
    assert.equal((await world.agent.fetch(url)).status, 200);
    assert.match(scopes(world).at(-2) ?? '', /tickets:close/);
    assert.ok(!scopes(world).at(-1)?.includes('tickets:close'));
    const before = scopes(world).length;
    assert.equal((await world.agent.fetch(url)).status, 200);
    assert.equal(scopes(world).length, before);
  });

  test('what was wished itself is refused: that is told', async () => {
    const world = await widened();
    world.time.now += 3_600_000;
    world.issuerSays.push(no('invalid_scope'), no('access_denied'));
    assert.equal((await failure(world, () => world.agent.fetch(url))).code, 'access_denied');
  });
});

suite('the requirements in an answer', () => {
  const requirements = [{ type: 'task' }];

  test('are not looked for in more than 64 KiB', async () => {
    for (const [size, expected] of [
      [60_000, requirements],
      [70_000, undefined],
    ] as const) {
      const answer = json({ requirements, padding: 'x'.repeat(size) }, { status: 403 });
      assert.deepEqual(await requirementsOf(answer), expected);
      assert.equal((await answer.text()).length > size, true, 'its body can still be read');
    }
  });

  test('nor in an answer without an end', async () => {
    let chunks = 0;
    const endless = new ReadableStream({
      pull(controller) {
        chunks += 1;
        controller.enqueue(new Uint8Array(16_384));
      },
    });
    assert.equal(await requirementsOf(new Response(endless, { status: 403 })), undefined);
    assert.ok(chunks < 20, `${chunks} chunks`);
  });

  test('nor for longer than that is worth', async () => {
    const silent = new Response(new ReadableStream({}), { status: 403 });
    await assert.rejects(readObject(silent, 1), { name: 'TimeoutError' });
  });
});
