import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { type Answer, type TokenClient, tokenClient } from '../testing/token-client.ts';

interface Event {
  type: string;
  reason: string;
  decided_on: Record<string, unknown>;
}

const minute = 60_000;

for (const database of databases) {
  describe(`policy at the token endpoint (${database})`, () => {
    let server: TestServer;
    let client: TokenClient;
    let written = 0;

    before(async () => {
      server = await startServer({ database });
      client = await tokenClient(server, { agent: { environment: 'sandbox' } });
    });
    after(() => server.close());

    /** Writes a policy, does the work, and removes it, so that no test decides about another. */
    async function under<Result>(text: string, work: () => Promise<Result>, mode = 'enforce'): Promise<Result> {
      written += 1;
      const policy = await server.admin<{ id: string }>('POST', '/policies', {
        name: `policy-${written}`,
        text: text.replaceAll('$API', `Api::"${client.identifier}"`),
        mode,
        reason: 'a test',
      });
      try {
        return await work();
      } finally {
        await server.admin('POST', `/policies/${policy.id}/remove`, { reason: 'the test is over' });
      }
    }

    const lastEvent = async (of: TokenClient = client): Promise<Event> => {
      const { items } = await server.admin<{ items: Event[] }>('GET', `/events?agent=${of.clientId}&limit=1`);
      return items[0] as Event;
    };

    const claims = ({ body }: Answer) => parseCompact(body.access_token as string).payload;

    test('the starter set lets roles do what they say, and the event names it', async () => {
      const answer = await client.send();
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      const event = await lastEvent();
      assert.match(event.reason, /^role role-\w+; policy starter\/roles-do-what-they-say$/);
      assert.match(event.decided_on.policy as string, /^org_\w+\/\d+$/);
      assert.deepEqual((event.decided_on.policy_input as { roles: string[] }).roles.length, 1);
    });

    test('a forbid is access_denied; its reason is told where it is public, and is always in the log', async () => {
      const text = (annotations: string) =>
        `@id("no") @reason("Not on a Sunday.") ${annotations} forbid (principal, action, resource == $API);`;
      const hidden = await under(text(''), () => client.send());
      assert.deepEqual(hidden, {
        status: 400,
        body: { error: 'access_denied', error_description: 'policy does not allow this' },
      });
      assert.match((await lastEvent()).reason, /^denied by policy policy-\d+\/no \(Not on a Sunday\.\)$/);
      const told = await under(text('@public'), () => client.send());
      assert.deepEqual(told.body, {
        error: 'access_denied',
        error_description: 'policy does not allow this: Not on a Sunday.',
      });
      assert.equal((await client.send()).status, 200, 'removed, it decides no more');
    });

    test('without any permit nothing is allowed', async () => {
      const { items } = await server.admin<{ items: { id: string; name: string }[] }>('GET', '/policies?name=starter');
      const starter = items[0] as { id: string };
      await server.admin('PATCH', `/policies/${starter.id}`, { mode: 'observe', reason: 'a test' });
      const refused = await client.send();
      assert.equal(refused.body.error, 'access_denied');
      const event = await lastEvent();
      assert.equal(event.reason, 'no policy allows it');
      assert.deepEqual((event.decided_on.observed as { decision: string }).decision, 'allow');
      await server.admin('PATCH', `/policies/${starter.id}`, { mode: 'enforce', reason: 'a test' });
      assert.equal((await client.send()).status, 200);
    });

    test('a permit gives nothing that no role gives', async () => {
      const everything = '@id("all") permit (principal, action, resource);';
      const answer = await under(everything, () => client.send({ scope: 'tickets:delete' }));
      assert.equal(answer.body.error, 'invalid_scope');
    });

    test('a statement that fails denies, also a forbid that Cedar would skip', async () => {
      const text =
        '@id("fails") forbid (principal, action, resource == $API) when { context.proof_age + 9223372036854775807 > 0 };';
      // fresh, the sum is in range and the forbid holds; a second old, it overflows
      const late = await under(text, async () => {
        const request = await client.prepared();
        server.clock.advance(1000);
        return request();
      });
      assert.equal(late.body.error, 'access_denied');
      assert.match((await lastEvent()).reason, /^policy policy-\d+\/fails could not be evaluated: /);
    });

    const stepUps: [annotation: string, requirements: object[]][] = [
      ['approval', [{ type: 'approval' }]],
      ['fresh_proof 30', [{ type: 'fresh_proof', max_age: 30 }]],
      ['narrower', [{ type: 'narrower' }]],
      ['binding mtls', [{ type: 'binding', binding: 'mtls' }]],
      ['task', [{ type: 'task' }]],
    ];
    for (const [annotation, requirements] of stepUps) {
      test(`not yet, for ${annotation}: the error says what is missing, for machines`, async () => {
        const text = `@id("later") @step_up("${annotation}") forbid (principal, action, resource == $API);`;
        const answer = await under(text, () => client.send());
        assert.equal(answer.status, 400);
        assert.equal(answer.body.error, 'step_up_required');
        assert.deepEqual(answer.body.requirements, requirements);
        assert.match((await lastEvent()).reason, /^not yet by policy policy-\d+\/later$/);
      });
    }

    test('no is stronger than not yet', async () => {
      const text =
        '@id("later") @step_up("narrower") forbid (principal, action, resource == $API);\n@id("no") forbid (principal, action, resource == $API);';
      const answer = await under(text, () => client.send());
      assert.deepEqual([answer.body.error, answer.body.requirements], ['access_denied', undefined]);
    });

    test('a fresher proof is enough where that was wanted', async () => {
      const text =
        '@id("fresh") @step_up("fresh_proof 20") forbid (principal, action, resource == $API) when { context.proof_age > 20 };';
      await under(text, async () => {
        const old = await client.prepared();
        server.clock.advance(30_000);
        assert.equal((await old()).body.error, 'step_up_required');
        assert.equal((await client.send()).status, 200);
      });
    });

    test('limits narrow the token in place and time, and never widen it', async () => {
      const limits = '@id("narrow") @limit_ip("127.0.0.0/8 10.0.0.0/8") @limit_lifetime("120")';
      const answer = await under(`${limits} permit (principal, action, resource == $API);`, () => client.send());
      assert.equal(answer.body.expires_in, 120);
      assert.deepEqual(claims(answer).ctx, { ip: ['10.0.0.0/8', '127.0.0.0/8'] });
      const longer = await under(
        '@id("long") @limit_lifetime("900") permit (principal, action, resource == $API);',
        () => client.send(),
      );
      assert.equal(longer.body.expires_in, 600, 'the configured lifetime stays');
      const elsewhere = await under(
        '@id("far") @limit_ip("192.0.2.0/24") permit (principal, action, resource == $API);',
        () => client.send(),
      );
      assert.equal(elsewhere.body.error, 'access_denied', 'nobody gets a token for a place that they are not in');
    });

    test('the hour is that of the organization', async () => {
      const text = '@id("night") forbid (principal, action, resource == $API) when { context.time.hour < 6 };';
      const hour = new Date(server.clock.now()).getUTCHours();
      server.clock.advance(((24 + 9 - hour) % 24) * 60 * minute); // 9 in the morning, UTC
      await under(text, async () => {
        assert.equal((await client.send()).status, 200);
        await server.admin('PATCH', `/organizations/${client.organization}`, { time_zone: 'America/New_York' });
        assert.equal((await client.send()).body.error, 'access_denied', 'it is 4 in the morning there');
        await server.admin('PATCH', `/organizations/${client.organization}`, { time_zone: 'UTC' });
        assert.equal((await client.send()).status, 200);
      });
    });

    test('the environment, the task and the address are what policies see', async () => {
      const text = `@id("sandbox")
        forbid (principal, action == Action::"token:issue", resource == $API)
        when { principal.environment == "sandbox" && context has address && context.address.isInRange(ip("127.0.0.0/8")) }
        unless { context has task && context.task has workflow && context.task.workflow == "drill" &&
          context.task.provenance == "orchestrated" };`;
      const orchestrator = await orchestratorClient(server);
      const { id } = await orchestrator.open(client.clientId, { workflow: 'drill' });
      await under(text, async () => {
        assert.equal((await client.send()).body.error, 'access_denied');
        assert.equal((await client.send({ task: id })).status, 200);
        assert.equal((await client.send({ declared_workflow: 'drill' })).body.error, 'access_denied');
      });
    });

    test('what an agent declares of its task is believed for nothing above low sensitivity', async () => {
      // the one operation of the resource, read, is of medium sensitivity
      const declared = await client.send({ declared_purpose: 'to help' });
      assert.equal(declared.body.error, 'step_up_required');
      assert.deepEqual(declared.body.requirements, [{ type: 'task' }]);
      const { body } = await client.send({ declared_purpose: 'to help', scope: 'tickets:write' });
      assert.equal(body.error, 'step_up_required', 'what no listed operation takes is for something that isn’t listed');
      const operations = ['read', 'write'].map((name) => ({
        ...{ name, method: 'GET', path: `/${name}`, scope: [`tickets:${name}`] },
        sensitivity: name === 'read' ? 'low' : 'medium',
      }));
      const other = await tokenClient(server);
      const outcomes = async () =>
        Promise.all(
          ['tickets:read', 'tickets:write'].map(
            async (scope) => (await other.send({ declared_purpose: 'to help', scope })).body.error ?? 'allowed',
          ),
        );
      await server.admin('PATCH', `/resources/${other.resource}`, { operations });
      assert.deepEqual(await outcomes(), ['allowed', 'step_up_required']);
      await server.admin('PATCH', `/resources/${other.resource}`, { operations: [] });
      assert.deepEqual(await outcomes(), ['step_up_required', 'step_up_required'], 'a guard with operations in code');
    });

    test('naming an operation asks for its scopes and details in effect: no policy on them is avoided by it', async () => {
      const named = (...actions: string[]) => ({
        authorization_details: JSON.stringify([{ type: 'operation', actions }]),
      });
      const outcomes = async (text: string) =>
        under(text, async () => {
          const answers: unknown[] = [];
          for (const asked of [{ scope: 'tickets:read' }, named('read'), { scope: 'tickets:write' }]) {
            answers.push((await client.send(asked)).body.error ?? 'allowed');
          }
          return answers;
        });
      const onScope = (annotation: string) =>
        `@id("no") ${annotation} forbid (principal, action, resource == $API) when { context.scope.contains("tickets:read") };`;
      assert.deepEqual(await outcomes(onScope('')), ['access_denied', 'access_denied', 'allowed']);
      assert.deepEqual(await outcomes(onScope('@step_up("approval")')), [
        'step_up_required',
        'step_up_required',
        'allowed',
      ]);
      assert.deepEqual(
        await outcomes(
          '@id("only") forbid (principal, action, resource == $API) unless { ["tickets:write"].containsAll(context.scope) };',
        ),
        ['access_denied', 'access_denied', 'allowed'],
      );
    });

    test('what was asked for in effect is on record, and asked again in a simulation', async () => {
      server.clock.advance(1000);
      const since = new Date(server.clock.now()).toISOString();
      const details = JSON.stringify([{ type: 'operation', actions: ['read'] }]);
      assert.equal((await client.send({ authorization_details: details })).status, 200);
      const { decided_on } = await lastEvent();
      assert.deepEqual(decided_on.scope, []);
      assert.deepEqual((decided_on.policy_input as { scope: string[] }).scope, ['tickets:read']);
      const text = `@id("no") forbid (principal, action, resource == Api::"${client.identifier}") when { context.scope.contains("tickets:read") };`;
      const { replayed, differences } = await server.admin<{
        replayed: number;
        differences: { change: string; count: number }[];
      }>('POST', '/policies/simulate', { drafts: [{ name: 'draft', text }], since });
      assert.ok(replayed > 0);
      assert.deepEqual(
        differences.map(({ change }) => change),
        ['loses'],
      );
    });

    test('what is only observed changes nothing, and is on record', async () => {
      const text = '@id("later") @step_up("approval") forbid (principal, action, resource == $API);';
      const answer = await under(text, () => client.send(), 'observe');
      assert.equal(answer.status, 200);
      const { observed } = (await lastEvent()).decided_on as { observed: { decision: string; by: string[] } };
      assert.equal(observed.decision, 'step_up');
      assert.match(observed.by.join(), /^policy-\d+\/later$/);
    });

    test('the server’s own API is beyond every policy: nobody can lock the operator out', async () => {
      await under('@id("shut") forbid (principal, action, resource);', async () => {
        assert.equal((await client.send()).body.error, 'access_denied');
        await server.admin('GET', '/policies');
      });
    });

    test('a change bites with the next decision, at another node too', async () => {
      const node = await startServer({ joins: server });
      try {
        const there = { ...server, address: node.address, deps: node.deps };
        const other = await tokenClient(there);
        assert.equal((await other.send()).status, 200);
        const text = `@id("no") forbid (principal, action, resource == Api::"${other.identifier}");`;
        await under(text, async () => assert.equal((await other.send()).body.error, 'access_denied'));
        assert.equal((await other.send()).status, 200);
      } finally {
        await node.close();
      }
    });
  });
}
