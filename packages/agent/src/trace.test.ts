/** What a call is part of: told to the API, and to the issuer with the token. */
import assert from 'node:assert/strict';
import { afterEach, suite, test } from 'node:test';
import { parseTraceparent } from '@bailiwick/protocol';
import { api, createWorld, type World } from './testing.ts';

const given = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
const openTelemetry = Symbol.for('opentelemetry.js.api.1');
const globals = globalThis as Record<symbol, unknown>;

const sent = ({ tokenRequests, withToken }: World) => [
  tokenRequests().at(-1)?.headers.get('traceparent') ?? undefined,
  withToken().at(-1)?.headers.get('traceparent') ?? undefined,
];

suite('traceparent', () => {
  afterEach(() => {
    delete globals[openTelemetry];
  });

  test('of the caller’s own is passed on', async () => {
    const world = createWorld();
    await world.agent.fetch(api, { headers: { traceparent: given } });
    assert.deepEqual(sent(world), [given, given]);
  });

  test('comes from an option', async () => {
    const world = createWorld({ traceparent: () => given });
    await world.agent.fetch(api);
    assert.deepEqual(sent(world), [given, given]);
  });

  test('comes from OpenTelemetry, where the app has it', async () => {
    const world = createWorld();
    globals[openTelemetry] = {
      context: { active: () => 'the active context' },
      propagation: {
        inject(context: unknown, carrier: object, setter: { set(to: object, name: string, value: string): void }) {
          assert.equal(context, 'the active context');
          setter.set(carrier, 'traceparent', given);
        },
      },
    };
    await world.agent.fetch(api);
    assert.deepEqual(sent(world), [given, given]);
  });

  for (const [what, broken] of [
    ['fails', { context: { active: () => 'a' }, propagation: { inject: () => assert.fail('broken') } }],
    ['has set up nothing', {}],
    ['is something else', 'a string'],
    [
      'injects nonsense',
      {
        context: { active: () => 'a' },
        propagation: { inject: (_: unknown, to: { traceparent?: string }) => (to.traceparent = 'x') },
      },
    ],
  ] as const) {
    test(`is made where OpenTelemetry ${what}`, async () => {
      const world = createWorld();
      globals[openTelemetry] = broken;
      await world.agent.fetch(api);
      const [token, call] = sent(world);
      assert.ok(parseTraceparent(call));
      assert.equal(token, call);
    });
  }

  test('is another for each call, and one trace at a task', async () => {
    const world = createWorld();
    const traces = async (agent: Pick<World['agent'], 'fetch'>) => {
      await agent.fetch(api);
      await agent.fetch(api);
      return world
        .withToken()
        .slice(-2)
        .map(({ headers }) => parseTraceparent(headers.get('traceparent')));
    };
    const [one, two] = await traces(world.agent);
    assert.ok(one && two && one.traceId !== two.traceId);
    const [first, second] = await traces(world.agent.with({ task: 'tsk_01jd7x0000000000000000000a' }));
    assert.ok(first && second && first.traceId === second.traceId && first.parentId !== second.parentId);
  });

  test('is not sent where that is said', async () => {
    const world = createWorld({ traceparent: false });
    await world.agent.fetch(api);
    assert.deepEqual(sent(world), [undefined, undefined]);
  });
});
