/** A list of tools holds what the caller may call at this moment, where the guard asks about that; and never fails for want of an answer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operation } from '@bailiwick/protocol';
import type { Question } from '../testing/fake-issuer.ts';
import {
  kinds,
  type McpWorld,
  type McpWorldOptions,
  mcpWorld,
  operationOf,
  rpc,
  type Tool,
} from '../testing/mcp-world.ts';

const evaluations = '/access/v1/evaluations';
const toolNamed = (name: string): Tool => ({ name, inputSchema: { type: 'object' } });
const levels = ['low', 'medium', 'high'] as const;
const tools = levels.map(toolNamed);
const operations = levels.map((sensitivity) => operationOf(toolNamed(sensitivity), ['use'], { sensitivity }));

interface Cleanup {
  after(work: () => unknown): void;
}

async function open(context: Cleanup, { guard, ...more }: McpWorldOptions = {}): Promise<McpWorld> {
  const world = await mcpWorld({ tools, guard: { operations, continuous: { from: 'medium' }, ...guard }, ...more });
  context.after(() => world.close());
  return world;
}

/** Which tools a caller sees. */
async function shown(world: McpWorld, claims: Record<string, unknown> = { scope: 'use' }): Promise<string[]> {
  const { status, json } = await world.send({ body: rpc('tools/list'), token: await world.bearer(claims) });
  assert.equal(status, 200);
  return ((json.result?.tools ?? []) as Tool[]).map(({ name }) => name);
}

const toolIn = ({ resource }: Question) => resource.id.split('#')[1] as string;
/** What the decision point says of each tool; yes of the others. */
const saying = (answers: Record<string, unknown>) => (question: Question) =>
  answers[toolIn(question)] ?? { decision: true };

for (const [from, asked] of [
  ['low', ['low', 'medium', 'high']],
  ['medium', ['medium', 'high']],
  ['high', ['high']],
] as const) {
  test(`from ${from} on, ${asked.length} of three are asked about, in one batch`, async (context) => {
    const world = await open(context, { guard: { continuous: { from } } });
    assert.deepEqual(await shown(world), ['low', 'medium', 'high']);
    assert.deepEqual(
      world.fake.evaluated.map((batch) => batch.map(toolIn)),
      [asked],
    );
  });
}

for (const kind of kinds) {
  test(`what policy forbids is not shown, at a server of ${kind}`, async (context) => {
    const world = await open(context, { kind });
    if (kind === '1.x with sessions') await openSession(world);
    else {
      world.fake.evaluate = saying({ medium: { decision: false } });
      assert.deepEqual(await shown(world), ['low', 'high']);
    }
  });
}

async function openSession(world: McpWorld): Promise<void> {
  world.fake.evaluate = saying({ medium: { decision: false } });
  const token = await world.bearer({ scope: 'use' });
  const initialize = rpc('initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 't', version: '1' },
  });
  const opened = await world.send({ body: initialize, token });
  const headers = { 'mcp-session-id': opened.headers.get('mcp-session-id') as string };
  const { text } = await world.send({ body: rpc('tools/list'), token, headers });
  assert.match(text, /"low"/);
  assert.doesNotMatch(text, /"medium"/);
}

for (const [what, answer] of [
  ['no', { decision: false }],
  ['not yet', { decision: false, context: { requirements: [{ type: 'approval' }] } }],
  ['that the token has ended', { decision: false, context: { error: { status: 401, message: 'ended' } } }],
  ['that this guard may not ask', { decision: false, context: { error: { status: 403, message: 'beyond' } } }],
  ['nothing of use', { decision: 'true' }],
  ['yes of something else', { allowed: true }],
  ['null', null],
] as const) {
  test(`a tool of which the decision point says ${what} is not shown, and the others are`, async (context) => {
    const world = await open(context);
    world.fake.evaluate = (question) => (toolIn(question) === 'medium' ? answer : { decision: true });
    assert.deepEqual(await shown(world), ['low', 'high']);
  });
}

test('nothing is remembered: what policy allows again is shown again', async (context) => {
  const world = await open(context);
  world.fake.evaluate = saying({ medium: { decision: false } });
  assert.deepEqual(await shown(world), ['low', 'high']);
  world.fake.evaluate = () => ({ decision: true });
  assert.deepEqual(await shown(world), ['low', 'medium', 'high']);
});

test('where nobody answers, what is asked about is hidden, the list is still one, and the operator hears of it', async (context) => {
  const world = await open(context);
  world.fake.away = new Set([evaluations]);
  assert.deepEqual(await shown(world), ['low']);
  assert.match(world.problems.join(), /evaluations can't be reached/);
});

test('a decision point that answers fewer questions than it was asked hides them all', async (context) => {
  const fetch: typeof globalThis.fetch = (url, init) => {
    if (!String(url).endsWith(evaluations)) return world.fake.fetch(url, init);
    return Promise.resolve(Response.json({ evaluations: [{ decision: true }] }));
  };
  const world = await open(context, { guard: { fetch } });
  assert.deepEqual(await shown(world), ['low']);
});

test('nobody is asked about what the token does not reach, what changed or what nobody registered', async (context) => {
  const world = await open(context, {
    tools: [...tools.slice(0, 2), { ...toolNamed('high'), title: 'Another' }, toolNamed('debug')],
  });
  assert.deepEqual(await shown(world, { scope: 'other' }), []);
  assert.deepEqual(world.fake.evaluated, []);
  assert.deepEqual(await shown(world), ['low', 'medium']);
  assert.deepEqual(world.fake.evaluated.flat().map(toolIn), ['medium']);
});

test('a long list is asked about in parts, and each tool has its own answer', async (context) => {
  const names = Array.from({ length: 230 }, (_, i) => `tool_${i}`);
  const many = names.map((name) => operationOf(toolNamed(name), ['use'], { sensitivity: 'high' }));
  const world = await open(context, { tools: names.map(toolNamed), guard: { operations: many } });
  world.pageSize = 1000;
  world.fake.evaluate = (question) => ({ decision: toolIn(question).endsWith('7') });
  assert.deepEqual(
    await shown(world),
    names.filter((name) => name.endsWith('7')),
  );
  assert.equal(world.fake.evaluated.flat().length, 230);
  for (const batch of world.fake.evaluated) assert.ok(batch.length <= 100);
});

test('the whole list is for whoever may see it at this moment', async (context) => {
  const all: Operation = { name: 'look', tool: 'method:tools/list', scope: ['look'], sensitivity: 'high' };
  const world = await open(context, { guard: { operations: [...operations, all] } });
  assert.deepEqual(await shown(world, { scope: 'look' }), ['low', 'medium', 'high']);
  world.fake.evaluate = saying({ look: { decision: false } });
  assert.deepEqual(await shown(world, { scope: 'look' }), []);
});

// what depends on arguments, which nobody has said yet: asked about with some that the token allows
const wipe = operationOf(toolNamed('wipe'), ['use'], {
  sensitivity: 'high',
  details: { type: 'wipe', disk: '{disk}', at: { room: '{room}' } },
});

for (const [what, claims, parameters] of [
  [
    'by details of the tool’s own type',
    { scope: 'use', authorization_details: [{ type: 'wipe', disk: 'a', at: { room: 7 } }] },
    { disk: 'a', room: 7 },
  ],
  ['by one that limits less', { scope: 'use', authorization_details: [{ type: 'wipe' }] }, undefined],
  [
    'by one that names the operation and values',
    {
      scope: '',
      authorization_details: [{ type: 'operation', actions: ['wipe'], parameters: { disk: ['b', 'c'], deep: ['1'] } }],
    },
    { disk: 'b', deep: '1' },
  ],
  [
    'by one that names the operation',
    { scope: '', authorization_details: [{ type: 'operation', actions: ['wipe'] }] },
    undefined,
  ],
] as const) {
  test(`a tool that the token reaches ${what} is asked about with arguments that it allows`, async (context) => {
    const world = await open(context, {
      tools: [toolNamed('wipe')],
      guard: { operations: [wipe], detailsTypes: [{ type: 'wipe', compare: {} }] },
    });
    assert.deepEqual(await shown(world, claims), ['wipe']);
    assert.deepEqual(world.fake.evaluated[0]?.[0]?.action.properties, parameters);
    world.fake.evaluate = () => ({ decision: false });
    assert.deepEqual(await shown(world, claims), []);
  });
}
