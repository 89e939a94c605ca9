/** Asking another agent for a part of a mandate, and being asked, through the SDK: with a fake issuer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Mandate } from './index.ts';
import { mandateWorld, toldMandate } from './testing/mandates.ts';
import { api, createWorld, failure, json, type World } from './testing.ts';

const from = `agt_${'4'.repeat(26)}`;
const id = `mrq_${'5'.repeat(26)}`;
const url = '/mandates/requests';
const request = {
  id,
  organization: 'org_default',
  agent: `agt_${'6'.repeat(26)}`,
  from,
  resources: [{ resource: api, scope: 'tickets:read', operations: ['close'] }],
  limits: { uses: 2 },
  expires_in: 60,
  why: 'to look it up',
  status: 'pending',
  created_at: '2027-01-15T08:00:00Z',
  answer_by: '2027-01-15T08:10:00Z',
};

type Answers = Parameters<typeof mandateWorld>[0];
const asked: Answers = { [`POST ${url}`]: () => json(request, { status: 201 }) };
const withdrawn: Answers = { [`DELETE ${url}/${id}`]: () => new Response(null, { status: 204 }) };

/** What looking at the request answers, one after the other; the last for good. */
const looks = (...answers: (() => Response)[]): Answers => ({
  [`GET ${url}/${id}`]: () => ((answers.length > 1 ? answers.shift() : answers[0]) as () => Response)(),
});
const standing = (more: object) => () => json({ ...request, ...more });
const pathsOf = (calls: { path: string }[]) => calls.map(({ path }) => path);

test('asked, looked at until it is granted, and the mandate is here', async () => {
  const { world, calls } = mandateWorld({
    ...asked,
    ...looks(standing({}), standing({}), standing({ status: 'granted', mandate: toldMandate.id })),
    [`GET /mandates/${toldMandate.id}`]: () => json(toldMandate),
  });
  const mandate = await world.agent.ask({
    from,
    mandate: toldMandate.id,
    resource: api,
    scope: ['tickets:read'],
    ctx: { country: ['CH'] },
    task: { workflow: 'trips' },
    limits: { uses: 2 },
    passing: { depth: 1 },
    lifetimeSeconds: 60,
    why: 'to look it up',
    waitSeconds: 900,
  });
  mandate satisfies Mandate<'tickets:read'>;
  assert.equal(mandate.id, toldMandate.id);
  assert.deepEqual(JSON.parse(calls[0]?.body ?? ''), {
    from,
    parent: toldMandate.id,
    resources: [{ resource: api, scope: 'tickets:read' }],
    context: { country: ['CH'] },
    task: { workflow: 'trips' },
    limits: { uses: 2 },
    passing: { depth: 1 },
    expires_in: 60,
    why: 'to look it up',
    answer_within: 900,
  });
  assert.ok(calls[0]?.headers.has('idempotency-key'));
  const look = `GET ${url}/${id}`;
  assert.deepEqual(pathsOf(calls), [`POST ${url}`, look, look, look, `GET /mandates/${toldMandate.id}`]);
});

test('it is looked at more and more seldom, and never all at once', async () => {
  const answers = Array.from({ length: 60 }, () => standing({}));
  const { world } = mandateWorld({ ...asked, ...looks(...answers, standing({ status: 'expired' })), ...withdrawn });
  await failure(world, () => world.agent.ask({ from, resource: api }));
  const [first = 0] = world.sleeps;
  assert.ok(first >= 750 && first < 1250, String(first));
  assert.ok(Math.max(...world.sleeps) < 12_500);
  assert.ok(world.sleeps.slice(-20).every((ms) => ms >= 7_500));
});

for (const [what, answer, code, words] of [
  ['refused', { status: 'refused', reason: 'not today' }, 'mandate_refused', `${from} refused it: not today`],
  ['refused without a word', { status: 'refused' }, 'mandate_refused', `${from} refused it`],
  ['refused with what is no text', { status: 'refused', reason: 'a\nb' }, 'mandate_refused', `${from} refused it`],
  ['left', { status: 'expired' }, 'mandate_unanswered', 'the request is over'],
  ['stopped', { status: 'stopped' }, 'mandate_unanswered', 'the request is over'],
] as const) {
  test(`${what}: that is said`, async () => {
    const { world } = mandateWorld({ ...asked, ...looks(standing(answer)), ...withdrawn });
    const error = await failure(world, () => world.agent.ask({ from, resource: api, scope: ['tickets:read'] }));
    assert.equal(error.code, code);
    assert.ok(error.message.endsWith(words), error.message);
  });
}

test('forgotten by the issuer, it is over', async () => {
  const { world } = mandateWorld(asked);
  assert.equal((await failure(world, () => world.agent.ask({ from, resource: api }))).code, 'mandate_unanswered');
});

test('what the issuer refuses is said with its words, and nothing is looked at', async () => {
  const { world, calls } = mandateWorld({
    [`POST ${url}`]: () => json({ detail: 'from must be an active agent' }, { status: 422 }),
  });
  const error = await failure(world, () => world.agent.ask({ from, resource: api }));
  assert.deepEqual([error.code, error.status], ['mandate_refused', 422]);
  assert.ok(error.message.endsWith('from must be an active agent'));
  assert.deepEqual(pathsOf(calls), [`POST ${url}`]);
});

test('an issuer that can not answer for a moment is asked again; one that says no is believed', async () => {
  const later = () => json({ detail: 'not now' }, { status: 503 });
  const busy = () => json({ detail: 'too often' }, { status: 429 });
  const granted = standing({ status: 'granted', mandate: toldMandate.id });
  const well = mandateWorld({
    ...asked,
    ...looks(later, busy, granted),
    [`GET /mandates/${toldMandate.id}`]: () => json(toldMandate),
  });
  assert.equal((await well.world.agent.ask({ from, resource: api })).id, toldMandate.id);
  const no = () => json({ detail: 'the token has been revoked' }, { status: 403 });
  const { world, calls } = mandateWorld({ ...asked, ...looks(no), ...withdrawn });
  assert.equal((await failure(world, () => world.agent.ask({ from, resource: api }))).status, 403);
  assert.equal(pathsOf(calls).at(-1), `DELETE ${url}/${id}`);
});

/** Aborts while the agent waits between two looks. */
function abortingWorld(answers: Answers): { world: World; calls: { path: string }[]; signal: AbortSignal } {
  const { world, calls } = mandateWorld({ ...asked, ...looks(standing({})), ...answers });
  const control = new AbortController();
  const { sleeps } = world;
  sleeps.push = (ms) => {
    control.abort(new Error('the work is done'));
    return Array.prototype.push.call(sleeps, ms);
  };
  return { world, calls, signal: control.signal };
}

test('aborted, it is taken back', async () => {
  const { world, calls, signal } = abortingWorld(withdrawn);
  await assert.rejects(world.agent.ask({ from, resource: api, signal }), { message: 'the work is done' });
  assert.deepEqual(pathsOf(calls), [`POST ${url}`, `DELETE ${url}/${id}`]);
});

test('aborted before anything was sent, nothing is', async () => {
  const { world, calls } = mandateWorld(asked);
  const signal = AbortSignal.abort(new Error('too late'));
  await assert.rejects(world.agent.ask({ from, resource: api, signal }), { message: 'too late' });
  assert.deepEqual(calls, []);
});

test('aborted as it was granted, what was granted is given up', async () => {
  let looked = 0;
  const { world, calls, signal } = abortingWorld({
    [`DELETE ${url}/${id}`]: () => json({ detail: 'request is granted already' }, { status: 409 }),
    [`GET ${url}/${id}`]: () => {
      looked += 1;
      return standing({ status: 'granted', mandate: toldMandate.id })();
    },
    [`DELETE /mandates/${toldMandate.id}`]: () => new Response(null, { status: 204 }),
  });
  await assert.rejects(world.agent.ask({ from, resource: api, signal }), { message: 'the work is done' });
  assert.equal(pathsOf(calls).at(-1), `DELETE /mandates/${toldMandate.id}`);
  assert.equal(looked, 1);
});

for (const [what, options] of [
  ['of nobody', { scope: ['tickets:read'], resource: api }],
  ['of a name', { from: 'orchestrator', resource: api }],
  ['for nothing', { from }],
  ['for scopes without an API', { from, scope: ['tickets:read'] }],
  ['for scopes that are none', { from, resource: api, scope: ['tickets read\n'] }],
  ['of a mandate that is none', { from, resource: api, mandate: 'mdt_1' }],
] as [string, never][]) {
  test(`not even asked ${what}`, async () => {
    const { world, calls } = mandateWorld({});
    assert.equal((await failure(world, () => world.agent.ask(options))).code, 'bad_option');
    assert.deepEqual(calls, []);
  });
}

test('what is asked of it, page by page: granted as it is or less, or refused', async () => {
  const { world, calls } = mandateWorld({
    [`GET ${url}?limit=10`]: () => json({ items: [request], next_cursor: 'next' }),
    [`GET ${url}?limit=10&cursor=next`]: () => json({ items: [{ ...request, instance: 'ins_1' }] }),
    [`POST ${url}/${id}/grant`]: () => json(toldMandate, { status: 201 }),
    [`POST ${url}/${id}/refuse`]: () => json({ ...request, status: 'refused' }),
    [`DELETE /mandates/${toldMandate.id}`]: () => new Response(null, { status: 204 }),
  });
  const [first, second, ...others] = await world.agent.requests();
  assert.ok(first && second);
  assert.deepEqual(others, []);
  const { grant, refuse, ...shown } = first;
  assert.deepEqual(shown, {
    id,
    agent: request.agent,
    instance: undefined,
    mandate: undefined,
    resources: [{ resource: api, scope: ['tickets:read'], details: [{ type: 'operation', actions: ['close'] }] }],
    ctx: undefined,
    task: undefined,
    limits: { uses: 2 },
    passing: undefined,
    lifetimeSeconds: 60,
    why: 'to look it up',
    answerBy: Date.parse(request.answer_by),
  });
  assert.equal(second.instance, 'ins_1');
  await using passedOn = await grant({ mandate: toldMandate.id, scope: ['tickets:read'], limits: { uses: 1 } });
  assert.equal(passedOn.id, toldMandate.id);
  await grant();
  await refuse('not today');
  await refuse();
  const sent = calls.filter(({ body }) => body !== '').map(({ path, body }) => [path, JSON.parse(body)]);
  const resources = [{ resource: api, scope: 'tickets:read' }];
  assert.deepEqual(sent, [
    [`POST ${url}/${id}/grant`, { parent: toldMandate.id, resources, limits: { uses: 1 } }],
    [`POST ${url}/${id}/grant`, {}],
    [`POST ${url}/${id}/refuse`, { reason: 'not today' }],
    [`POST ${url}/${id}/refuse`, {}],
  ]);
});

test('a mandate is given up by its id, or as it was listed', async () => {
  const path = `DELETE /mandates/${toldMandate.id}`;
  const { world, calls } = mandateWorld({ [path]: () => new Response(null, { status: 204 }) });
  await world.agent.giveUp(toldMandate.id);
  await world.agent.giveUp({ id: toldMandate.id } as Mandate);
  assert.deepEqual(pathsOf(calls), [path, path]);
  assert.equal((await failure(world, () => world.agent.giveUp('mdt_1'))).code, 'bad_option');
});

test('what is no request is none', async () => {
  const { world } = mandateWorld({
    [`POST ${url}`]: () => json({ ...request, id: 'mrq_1' }, { status: 201 }),
    [`GET ${url}?limit=10`]: () => json({}),
  });
  assert.equal((await failure(world, () => world.agent.ask({ from, resource: api }))).code, 'bad_answer');
  assert.equal((await failure(world, () => world.agent.requests())).code, 'bad_answer');
});

/** Never called: the compiler is what is tested. */
export async function onlyNarrower(): Promise<void> {
  const { agent } = createWorld();
  const granted = await agent.ask({ from, resource: api, scope: ['trips:read'] });
  granted satisfies Mandate<'trips:read'>;
  // @ts-expect-error: it wasn't asked for
  agent.onBehalfOf(granted, { scope: ['trips:book'] });
  const held = (await agent.mandates())[0] as Mandate<'trips:read' | 'trips:book'>;
  const [request] = await agent.requests();
  const given = await request?.grant({ mandate: held, scope: ['trips:read'] });
  given satisfies Mandate<'trips:read'> | undefined;
  // @ts-expect-error: the mandate has no such scope
  await request?.grant({ mandate: held, scope: ['trips:pay'] });
}
