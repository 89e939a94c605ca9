/** Rehearsed revocations: on a canary, on a real agent, and when somebody doesn't answer. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type FakeClock, systemClock } from '../lib/clock.ts';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { feedGuard } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import type { Report } from './drill.ts';
import { drillWhenDue } from './schedule.ts';

type Shown = Omit<Report, 'at' | 'org'> & { completed_at: string };

/** A drill measures: it needs the time that passes by itself. */
const realTime: FakeClock = { ...systemClock, advance: () => assert.fail('this is the real time') };

for (const database of databases) {
  describe(`drills, on ${database}`, () => {
    let server: TestServer;
    let other: TestServer;
    let operator: AdminClient;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database, clock: realTime });
      other = await startServer({ joins: server });
      operator = adminClient(server, server.operator);
      client = await tokenClient(server);
    });
    after(async () => {
      await other.close();
      await server.close();
    });

    const drill = (body: object = {}): Promise<Shown> => operator.ok('POST', '/drills', body);
    const rowsOf = ({ rows }: Shown, probe: string) => rows.filter((row) => row.probe === probe);

    test('everybody refuses the canary, each is timed, and the evidence is in the log', async () => {
      const done = await drill();
      assert.deepEqual([done.verdict, done.passed], ['passed', true], JSON.stringify(done.rows));
      assert.equal(rowsOf(done, 'listeners')[0]?.outcome, 'not_asked', 'what was not asked is said');
      for (const probe of [
        'admin_api',
        'service_api',
        'introspection',
        'signed_introspection',
        'token_request',
        'instance_renewal',
        'task',
        'status_list',
      ]) {
        const [row] = rowsOf(done, probe);
        assert.equal(row?.outcome, 'refused', `${probe}: ${JSON.stringify(row)}`);
        assert.ok((row?.after_ms as number) >= 0 && (row?.after_ms as number) <= done.took_ms);
      }
      assert.match(
        done.gaps[0] ?? '',
        /X\.509-SVID.*: 20\d\d-.* at the latest$/,
        'the end of the canary’s own certificate',
      );
      assert.match(done.gaps.at(-1) ?? '', /status list/);
      const agent = await operator.ok('GET', `/agents/${done.agent}`);
      assert.deepEqual([agent.name, agent.status, agent.kind], ['drill-canary', 'suspended', 'workload'], 'it sleeps');
      const { items } = await operator.ok('GET', '/drills');
      assert.deepEqual(items[0], { ...done, completed_at: items[0].completed_at });
      const log = await operator.ok('GET', `/events?type=drill.completed&target=${done.agent}`);
      assert.equal(log.items.length, 1);
    });

    test('the canary is made once, and acts again for the next drill', async () => {
      const [first, second] = [await drill(), await drill()];
      assert.equal(first.agent, second.agent);
      assert.notEqual(first.id, second.id);
      assert.equal(second.passed, true, JSON.stringify(second.rows));
      const reach = await operator.ok('GET', `/revocations/reach?kind=organization&subject=${client.organization}`);
      assert.deepEqual(
        [reach.agents.names.includes('operator'), reach.agents.names.includes('drill-canary')],
        [true, false],
        'whoever asks how far something reaches is told of agents of their own',
      );
    });

    test('what somebody else stopped stays stopped; what is highly sensitive the canary never gets', async () => {
      const pay = await operator.ok('POST', '/resources', {
        identifier: 'https://pay.example/api',
        name: 'pay',
        scopes: [{ name: 'pay:send' }],
        operations: [{ name: 'send', method: 'POST', path: '/send', scope: ['pay:send'], sensitivity: 'high' }],
      });
      await feedGuard(server, pay.id);
      const done = await drill();
      const [row] = rowsOf(done, 'resource').filter(({ what }) => what === 'pay');
      assert.match(row?.note ?? '', /high sensitivity/);
      const roles = await operator.ok('GET', '/roles?name=drill-canary');
      assert.ok(!JSON.stringify(roles).includes('pay:send'));
      await operator.ok('POST', `/agents/${done.agent}/resume`);
      await operator.ok('POST', '/revocations', { subject: done.agent, reason: 'its key was seen elsewhere' });
      const refused = await operator.call('POST', '/drills', {});
      assert.equal(refused.status, 409, refused.text);
      assert.equal((await operator.ok('GET', `/agents/${done.agent}`)).status, 'suspended');
      await operator.ok('POST', `/agents/${done.agent}/resume`);
      assert.equal((await drill()).passed, true);
      const resumed = await operator.ok('GET', `/events?type=agent.resumed&target=${done.agent}`);
      assert.ok(resumed.items.length >= 3, 'each awakening is told');
    });

    test('its key lies in no answer and in no event', async () => {
      const row = await server.deps.db.get<{ key: string }>('select key from drill_canaries');
      const { canary } = JSON.parse(row?.key ?? '{}') as { canary: { jwk: { d: string } } };
      assert.ok(canary.jwk.d.length > 20);
      const said = [
        await operator.ok('GET', '/agents?limit=200'),
        await operator.ok('GET', '/credentials?limit=200'),
        await operator.ok('GET', '/events?limit=200'),
      ];
      assert.ok(!JSON.stringify(said).includes(canary.jwk.d));
    });

    test('a canary that policy forbids everything shows nothing, and the drill does not pass', async () => {
      const { id } = await operator.ok('POST', '/policies', {
        name: 'no-canary',
        mode: 'enforce',
        reason: 'to see what a drill says',
        text: '@id("no-canary")\nforbid (principal == Agent::"drill-canary", action, resource);',
      });
      const done = await drill();
      assert.deepEqual([done.verdict, done.passed], ['incomplete', false], JSON.stringify(done.rows));
      for (const probe of ['introspection', 'signed_introspection', 'task', 'status_list']) {
        const [row] = rowsOf(done, probe);
        assert.equal(row?.outcome, 'not_asked', probe);
        assert.ok(row?.note, probe);
      }
      const [event] = (await operator.ok('GET', '/events?type=drill.completed')).items;
      assert.equal(event.outcome, 'refused');
      await operator.ok('POST', `/policies/${id}/remove`, { reason: 'seen' });
    });

    test('two at once: one of them is refused, on either node', async () => {
      const there = adminClient({ ...server, address: other.address }, server.operator);
      const replies = await Promise.all([operator.call('POST', '/drills', {}), there.call('POST', '/drills', {})]);
      assert.deepEqual(replies.map(({ status }) => status).sort(), [201, 409], replies.map(({ text }) => text).join());
      assert.equal((await drill()).passed, true);
    });

    test('a real agent is suspended when that was meant, and stays so', async () => {
      const one = await tokenClient(server);
      const body = { agent: one.clientId, for_real: true };
      assert.equal((await operator.call('POST', '/drills', { agent: one.clientId })).status, 422);
      assert.equal((await operator.ok('GET', `/agents/${one.clientId}`)).status, 'active');
      await one.send();
      const done = await drill(body);
      assert.deepEqual([done.agent, done.for_real, done.passed], [one.clientId, true, true], JSON.stringify(done.rows));
      const asked = done.rows.filter(({ outcome }) => outcome === 'refused').map(({ probe }) => probe);
      assert.deepEqual(asked, ['introspection'], 'its living token is asked about');
      assert.ok(
        done.gaps.some((gap) => gap.includes('No guard is registered')),
        done.gaps.join(),
      );
      assert.equal((await operator.ok('GET', `/agents/${one.clientId}`)).status, 'suspended');
    });

    test('a real agent that holds nothing is suspended, and nothing is proven', async () => {
      const one = await tokenClient(server);
      const done = await drill({ agent: one.clientId, for_real: true });
      assert.deepEqual([done.verdict, done.passed], ['incomplete', false], JSON.stringify(done.rows));
      assert.equal((await operator.ok('GET', `/agents/${one.clientId}`)).status, 'suspended');
    });

    test('the last operator is refused, as with any revocation', async () => {
      const me = (await operator.ok('GET', '/agents?name=operator')).items[0].id;
      const reply = await operator.call('POST', '/drills', { agent: me, for_real: true });
      assert.equal(reply.status, 409, reply.text);
      const [refusal] = (await operator.ok('GET', '/events?type=admin.refused')).items;
      assert.equal(refusal.decided_on.operation, 'runDrill');
    });

    test('the same request sent again runs no second drill', async () => {
      const headers = { 'idempotency-key': 'drill-once' };
      const first = await operator.call('POST', '/drills', {}, headers);
      const again = await operator.call('POST', '/drills', {}, headers);
      assert.equal(first.status, 201, first.text);
      assert.equal(again.body.id, first.body.id);
      const real = await tokenClient(server);
      const body = { agent: real.clientId, for_real: true };
      const once = { 'idempotency-key': 'drill-real' };
      const replies = await Promise.all([1, 2, 3].map(() => operator.call('POST', '/drills', body, once)));
      assert.ok(replies.some(({ status }) => status === 201));
      for (const { status, text } of replies) assert.ok(status === 201 || status === 409, text);
      const suspensions = await operator.ok('GET', `/events?type=agent.suspended&target=${real.clientId}`);
      const evidence = await operator.ok('GET', `/events?type=drill.completed&target=${real.clientId}`);
      assert.deepEqual([suspensions.items.length, evidence.items.length], [1, 1]);
      assert.equal((await operator.call('POST', '/drills', body, once)).status, 201, 'the evidence, again');
    });

    const refused: [string, object, number][] = [
      ['an agent that is nowhere', { agent: 'nobody', for_real: true }, 404],
      ['for real, of whom is not said', { for_real: true, agent: '' }, 400],
      ['no time to wait', { wait_seconds: 0 }, 400],
      ['an hour to wait', { wait_seconds: 3600 }, 400],
      ['a member that nobody knows', { canary: true }, 400],
    ];
    for (const [sentence, body, status] of refused) {
      test(`refused: ${sentence}`, async () => {
        const reply = await operator.call('POST', '/drills', body);
        assert.equal(reply.status, status, reply.text);
      });
    }

    test('who may not run drills, or not revoke, is refused; another organization has a canary of its own', async () => {
      const without = await administrator(server, operator, { scopes: ['revocations:write', 'events:read'] });
      assert.equal((await without.call('POST', '/drills', {})).status, 403);
      const narrow = await administrator(server, operator, { scopes: ['drills:run'] });
      assert.equal((await narrow.call('POST', '/drills', { agent: client.clientId, for_real: true })).status, 422);
      assert.equal((await narrow.call('GET', '/drills')).status, 403);
      await operator.ok('POST', '/organizations', { name: 'acme', display_name: 'Acme' });
      const theirs = await administrator(server, operator, {
        scopes: ['drills:run', 'events:read'],
        organization: 'acme',
      });
      const done = (await theirs.ok('POST', '/drills', {})) as Shown;
      assert.equal(done.passed, true, JSON.stringify(done.rows));
      assert.deepEqual(
        (await theirs.ok('GET', '/drills')).items.map(({ id }: Shown) => id),
        [done.id],
      );
      assert.equal((await theirs.call('POST', '/drills', { agent: client.clientId, for_real: true })).status, 404);
      const acme = await operator.ok('POST', '/teams?organization=acme', { name: 'acme-team' });
      const desk = { name: 'acme-desk', kind: 'workload', owner: acme.id };
      const { id } = await operator.ok('POST', '/agents?organization=acme', desk);
      const abroad = await drill({ agent: id, for_real: true });
      const [newest] = (await theirs.ok('GET', '/drills')).items;
      assert.equal(newest.id, abroad.id, 'a drill on an agent stands where the agent is');
    });

    test('by schedule: on one node, once in so many hours', async () => {
      // servers without others: after a minute each would drill by itself, and this is the real time
      const config = { drill: { every_hours: 24 } };
      const one = await startServer({ database, clock: realTime, config });
      const two = await startServer({ joins: one, config });
      try {
        const count = async () => (await adminClient(one, one.operator).ok('GET', '/drills?limit=200')).items.length;
        await Promise.all([drillWhenDue(one.deps, 'default'), drillWhenDue(two.deps, 'default')]);
        assert.equal(await count(), 1);
        await drillWhenDue(two.deps, 'default');
        assert.equal(await count(), 1);
      } finally {
        await two.close();
        await one.close();
      }
    });
  });
}
