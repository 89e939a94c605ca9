/** What guards and agents report: what is taken, what isn't, and each once. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createAgent } from '@bailiwick/agent';
import { tidy } from '../jobs.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { guardClient, type PdpClient } from '../testing/pdp-client.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

type Reported = Record<string, unknown>;
type Result = { id?: string; outcome: string; reason?: string };

const hour = 3_600_000;
const decidedOn = (event: Reported | undefined) => event?.decided_on as Reported;
const newReportId = () => randomBytes(16).toString('base64url');
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** A guard's own client for `/events`. */
function reporting(
  server: TestServer,
  guard: Pick<PdpClient, 'agent' | 'jwk'>,
  scope = 'events:report',
  node = server,
) {
  const { issuer, clock } = server;
  const sdk = createAgent({
    issuer,
    resource: issuer,
    clientId: guard.agent,
    key: guard.jwk,
    scope,
    stepUp: false,
    now: clock.now,
    fetch: (input, init) => fetch(String(input).replace(issuer, node.address), init),
  });
  return async (body: unknown) => {
    const response = await sdk.fetch(`${issuer}/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as { results: Result[]; errors?: unknown } };
  };
}

const claimsIn = (token: unknown) =>
  JSON.parse(Buffer.from(String(token).split('.')[1] as string, 'base64url').toString()) as { jti: string };

for (const database of databases) {
  describe(`reports of use, ${database}`, () => {
    let server: TestServer;
    let agent: TokenClient;
    let jti: string;
    let guard: PdpClient & { guard: string };
    let report: ReturnType<typeof reporting>;
    let good: (changes?: Reported) => Reported;

    before(async () => {
      server = await startServer({ database });
      agent = await tokenClient(server);
      jti = claimsIn((await agent.send()).body.access_token).jti;
      guard = await guardClient(server, agent.resource);
      report = reporting(server, guard);
      good = (changes = {}) => ({
        type: 'access.used',
        id: newReportId(),
        at: new Date(server.clock.now()).toISOString(),
        outcome: 'allowed',
        status: 200,
        agent: agent.clientId,
        organization: agent.organization,
        jti,
        operation: 'read',
        method: 'GET',
        path: '/{id}',
        address: '192.0.2.7',
        trace: traceparent,
        mode: 'introspect',
        ...changes,
      });
    });
    after(() => server.close());

    const events = async (query: string) =>
      (await server.admin<{ items: Record<string, unknown>[] }>('GET', `/events?${query}&limit=100`)).items;
    const used = () => events('type=access.used');

    test('a use is recorded as the token’s own, sealed under who answers for the agent', async () => {
      const one = good();
      const { status, body } = await report({ reports: [one] });
      assert.deepEqual([status, body], [200, { results: [{ id: one.id, outcome: 'recorded' }] }]);
      const [event] = await used();
      assert.deepEqual(
        [event?.agent, event?.resource, event?.jti, event?.outcome, event?.trace],
        [agent.clientId, agent.identifier, jti, 'allowed', traceparent],
      );
      assert.deepEqual(event?.decided_on, {
        guard: guard.guard,
        method: 'GET',
        mode: 'introspect',
        operation: 'read',
        path: '/{id}',
        report: one.id,
        resource_id: agent.resource,
        status: 200,
        used_at: server.clock.now(),
      });
      assert.deepEqual(event?.personal, { owner: agent.owner, address: '192.0.2.7' });
    });

    test('each id counts once: in one batch, in the next, and in two at the same moment', async () => {
      const before = (await used()).length;
      const one = good();
      const first = await report({ reports: [one, one] });
      assert.deepEqual(
        first.body.results.map(({ outcome }) => outcome),
        ['recorded', 'known'],
      );
      const others = await Promise.all(
        Array.from({ length: 4 }, () => report({ reports: [one, good({ id: 'x'.repeat(16) })] })),
      );
      assert.deepEqual(
        others.map(({ body }) => body.results[0]?.outcome),
        ['known', 'known', 'known', 'known'],
      );
      assert.equal(others.filter(({ body }) => body.results[1]?.outcome === 'recorded').length, 1);
      assert.equal((await used()).length, before + 2);
    });

    if (database === 'postgres') {
      test('and once on all nodes', async () => {
        const node = await startServer({ joins: server });
        try {
          const before = (await used()).length;
          const there = reporting(server, guard, 'events:report', node);
          const batch = { reports: Array.from({ length: 50 }, () => good()) };
          const backwards = { reports: batch.reports.toReversed() };
          const answers = await Promise.all([report(batch), there(backwards), report(backwards), there(batch)]);
          const recorded = answers.flatMap(({ body }) => body.results.filter(({ outcome }) => outcome === 'recorded'));
          assert.equal(recorded.length, 50);
          assert.equal((await used()).length, before + 50);
        } finally {
          await node.close();
        }
      });
    }

    test('what happened stands beside when it was told', async () => {
      const { body } = await agent.send();
      const told = claimsIn(body.access_token).jti;
      const at = server.clock.now();
      server.clock.advance(26 * hour);
      await report({ reports: [good({ jti: told, at: new Date(at).toISOString() })] });
      const [event] = await used();
      assert.equal(decidedOn(event).used_at, at);
      assert.equal(Date.parse(event?.at as string), server.clock.now());
      jti = claimsIn((await agent.send()).body.access_token).jti;
    });

    const refused: [what: string, changes: () => Promise<Reported> | Reported, reason: string][] = [
      ['a token that never was', () => ({ jti: '01hzzzzzzzzzzzzzzzzzzzzzzz' }), 'no_such_token'],
      ['a jti that is none', () => ({ jti: "'; drop table events; --" }), 'no_such_token'],
      [
        'the id of another kind of event',
        async () => ({ jti: String((await used())[0]?.id).slice(4) }),
        'no_such_token',
      ],
      ['another agent', () => ({ agent: guard.agent }), 'no_such_token'],
      ['another organization', () => ({ organization: 'org_01hzzzzzzzzzzzzzzzzzzzzzzz' }), 'no_such_token'],
      ['an instance that it was not', () => ({ instance: 'ins_01hzzzzzzzzzzzzzzzzzzzzzzz' }), 'no_such_token'],
      ['a task that it was not for', () => ({ task: 'tsk_01hzzzzzzzzzzzzzzzzzzzzzzz' }), 'no_such_token'],
      [
        'a token for another resource',
        async () => {
          const other = await tokenClient(server);
          const { body } = await other.send();
          return { jti: claimsIn(body.access_token).jti, agent: other.clientId };
        },
        'no_such_token',
      ],
      ['a use before the token was issued', () => ({ at: iso(-2 * 60_000) }), 'outside_of_the_token'],
      ['what is yet to come', () => ({ at: iso(2 * 60_000) }), 'in_the_future'],
      ['what is older than a week', () => ({ at: iso(-7 * 24 * hour - 1) }), 'too_old'],
      ['a short id', () => ({ id: 'short' }), 'malformed'],
      ['an id with a space', () => ({ id: 'a b'.repeat(8) }), 'malformed'],
      ['no id', () => ({ id: undefined }), 'malformed'],
      ['a time in another zone', () => ({ at: '2026-11-01T10:00:00+01:00' }), 'malformed'],
      ['a day that there isn’t', () => ({ at: '2026-13-41T10:00:00Z' }), 'malformed'],
      ['a type that nobody reports', () => ({ type: 'token.issued' }), 'malformed'],
      ['another outcome', () => ({ outcome: 'perhaps' }), 'malformed'],
      ['a reason that is long', () => ({ reason: 'x'.repeat(201) }), 'malformed'],
      ['an operation with a line break', () => ({ operation: 'a\n2026 forged line' }), 'malformed'],
      ['an operation that turns what follows', () => ({ operation: 'a\u202e' }), 'malformed'],
      ['a reason with a line break', () => ({ reason: 'a\nb' }), 'malformed'],
      ['a chain without end', () => ({ act: Array(9).fill('spiffe://a/b') }), 'malformed'],
      ['a status that is none', () => ({ status: 42 }), 'malformed'],
      [
        'a task’s beginning, by a guard',
        () => ({ type: 'task.started', task: 'tsk_01hzzzzzzzzzzzzzzzzzzzzzzz' }),
        'not_allowed',
      ],
    ];
    const iso = (ms: number) => new Date(server.clock.now() + ms).toISOString();
    for (const [what, changes, reason] of refused) {
      test(`not taken, alone: ${what}`, async () => {
        const before = (await used()).length;
        const wrong = good(await changes());
        const { status, body } = await report({ reports: [wrong, good()] });
        assert.equal(status, 200);
        assert.deepEqual(body.results[0], {
          ...(wrong.id !== undefined && { id: wrong.id }),
          outcome: 'refused',
          reason,
        });
        assert.equal(body.results[1]?.outcome, 'recorded', 'what came with it is taken');
        assert.equal((await used()).length, before + 1);
      });
    }

    const batches: [what: string, body: () => unknown, status: number][] = [
      ['nothing', () => ({}), 400],
      ['an empty list', () => ({ reports: [] }), 400],
      ['501 reports', () => ({ reports: Array.from({ length: 501 }, () => good()) }), 400],
      ['no JSON', () => '{"reports":', 400],
      ['a list that is none', () => ({ reports: 'all' }), 400],
      [
        'more than 256 KB',
        () => ({ reports: Array.from({ length: 400 }, () => good({ junk: 'x'.repeat(1000) })) }),
        413,
      ],
    ];
    for (const [what, body, status] of batches) {
      test(`no batch: ${what}`, async () => assert.equal((await report(body())).status, status));
    }

    test('500 at once are', async () => {
      const { status, body } = await report({ reports: Array.from({ length: 500 }, () => good()) });
      assert.equal(status, 200);
      assert.equal(body.results.filter(({ outcome }) => outcome === 'recorded').length, 500);
    });

    test('nobody reports but guards, and agents their own tasks', async () => {
      const anyone = await fetch(`${server.issuer}/events`, { method: 'POST', body: '{}' });
      assert.equal(anyone.status, 401);
      const ended = await guardClient(server, agent.resource);
      const by = reporting(server, ended);
      assert.equal((await by({ reports: [good()] })).status, 200);
      const evaluating = reporting(server, ended, 'access:evaluate');
      assert.equal((await evaluating({ reports: [good()] })).status, 403);
      await server.admin('DELETE', `/guards/${ended.guard}`);
      await assert.rejects(by({ reports: [good()] }));
    });

    test('what a guard sums up is about nobody', async () => {
      const at = new Date(server.clock.now()).toISOString();
      const summary = { type: 'access.unproven', id: newReportId(), at, since: at, counts: { no_credentials: 7 } };
      const lost = {
        type: 'access.unreported',
        id: newReportId(),
        at: iso(hour), // by a clock that is ahead, which may be why they were lost
        since: iso(hour),
        counts: { allowed: 3 },
        causes: { full: 3 },
      };
      const { body } = await report({
        reports: [summary, lost, { ...summary, id: newReportId(), counts: { 'No!': 1 } }],
      });
      assert.deepEqual(
        body.results.map(({ outcome }) => outcome),
        ['recorded', 'recorded', 'refused'],
      );
      const [unproven] = await events('type=access.unproven');
      assert.equal(unproven?.agent, guard.agent);
      assert.deepEqual(decidedOn(unproven).counts, { no_credentials: 7 });
      const [unreported] = await events('type=access.unreported');
      assert.deepEqual(decidedOn(unreported).causes, { full: 3 });
      assert.equal(decidedOn(unreported).used_at, Date.parse(at));
    });

    test('what was taken is forgotten once it would be too old', async () => {
      const one = good();
      await report({ reports: [one] });
      const rows = async () =>
        Number((await server.deps.db.get<{ n: number }>('select count(*) as n from reported'))?.n);
      assert.ok((await rows()) > 0);
      server.clock.advance(6 * 24 * hour);
      await tidy(server.deps);
      assert.equal((await report({ reports: [one] })).body.results[0]?.outcome, 'known');
      server.clock.advance(3 * 24 * hour);
      await tidy(server.deps);
      assert.equal(await rows(), 0);
      assert.equal((await report({ reports: [one] })).body.results[0]?.reason, 'too_old');
    });

    test('an agent reports its own tasks, without a role for it', async () => {
      const orchestrator = await orchestratorClient(server);
      const worker = await orchestratorClient(server);
      const own = reporting(server, { agent: agent.clientId, jwk: await keyOf(agent) }, 'tasks:report');
      const { id } = await orchestrator.open(agent.clientId);
      const others = (await orchestrator.open(worker.clientId)).id;
      const at = new Date(server.clock.now()).toISOString();
      const started = { type: 'task.started', id: newReportId(), at, task: id, trace: traceparent };
      const finished = { type: 'task.finished', id: newReportId(), at, task: id, result: 'failed' };
      const { body } = await own({
        reports: [
          started,
          finished,
          { ...started, id: newReportId(), task: others },
          { ...started, id: newReportId(), at: iso(-hour) },
          good(),
        ],
      });
      assert.deepEqual(
        body.results.map(({ outcome, reason }) => reason ?? outcome),
        ['recorded', 'recorded', 'no_such_task', 'outside_of_the_task', 'not_allowed'],
      );
      const [begun] = await events('type=task.started');
      assert.deepEqual([begun?.agent, begun?.target, begun?.trace], [agent.clientId, id, traceparent]);
      const [end] = await events('type=task.finished');
      assert.equal(decidedOn(end).result, 'failed');
      assert.equal(decidedOn(end).provenance, 'declared');
    });
  });
}

const keyOf = async (client: TokenClient) => client.signer as never;
