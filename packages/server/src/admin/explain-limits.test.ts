/** Explanations of what policies limit, of tasks, of the time asked about and of what is only observed. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const reason = 'a test';

for (const database of databases) {
  describe(`limits and tasks, explained (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database }); // a Sunday, nine in the morning
      operator = adminClient(server, server.operator);
      client = await tokenClient(server);
    });
    after(() => server.close());

    // biome-ignore lint/suspicious/noExplicitAny: an answer that a test looks at
    const explain = (body: object): Promise<any> => operator.ok('POST', '/policies/explain', body);
    const about = () => ({ agent: client.clientId, resource: client.identifier });
    const lastEvent = async () => (await operator.ok('GET', `/events?agent=${client.clientId}&limit=1`)).items[0];
    let written = 0;
    const under = async (text: string, run: (name: string) => Promise<void>, mode = 'enforce') => {
      written += 1;
      const name = `limits-${written}`;
      const { id } = await operator.ok('POST', '/policies', { name, text, mode, reason });
      try {
        await run(`${name}/limited`);
      } finally {
        await operator.ok('POST', `/policies/${id}/remove`, { reason });
      }
    };
    const permit = (annotations: string) =>
      `@id("limited")\n${annotations}\npermit (principal, action, resource == Api::"${client.identifier}");\n`;

    const limits: [what: string, annotation: string, heard: string, dimension: string, says: RegExp][] = [
      [
        'hours',
        '@limit_hours("tue-fri 08:00-18:00 Europe/Berlin")',
        'policy does not allow this at this hour',
        'hours',
        /: tue-fri 08:00-18:00 Europe\/Berlin; it was [A-Z][a-z]{2} \d\d:\d\d there\.$/,
      ],
      [
        'addresses',
        '@limit_ip("192.0.2.0/24")',
        'policy does not allow this from this address',
        'ip',
        /: from 192\.0\.2\.0\/24; it came from 127\.0\.0\.1\.$/,
      ],
      [
        'countries',
        '@limit_country("DE AT")',
        'policy does not allow this from the country of this address',
        'country',
        /: in the country AT or DE; from where it came is not known\.$/,
      ],
      [
        'zones',
        '@limit_zone("eu-1")',
        'policy does not allow this from this zone',
        'zone',
        /: in the zone eu-1; from where it came is not known\.$/,
      ],
    ];
    for (const [what, annotation, heard, dimension, says] of limits) {
      test(`limits of a policy to ${what} are told as its own: to the agent, in the log, then and now`, async () => {
        await under(permit(annotation), async (name) => {
          const { status, body } = await client.send();
          assert.deepEqual([status, body.error, body.error_description], [400, 'access_denied', heard]);
          const event = await lastEvent();
          assert.equal(event.reason, `outside of the limits of policy ${name}: ${dimension}`);
          assert.match(event.decided_on.policy, /^org_.*\/\d+$/);
          assert.ok(event.decided_on.policy_input);
          const told = await explain({ event: event.id });
          assert.deepEqual([told.asked, told.differs, told.at_the_time.decision], [true, false, 'deny']);
          assert.match(told.at_the_time.says, says);
          assert.ok(told.says.startsWith(`It may not get the token: limited by policy ${name}: `), told.says);
          const live = await explain({ ...about(), address: '127.0.0.1' });
          assert.equal(live.decision, 'deny');
          assert.ok(live.says.startsWith(`Limited by policy ${name}: `), live.says);
          assert.match(live.says, says);
          assert.deepEqual(
            live.limits.by.map(({ policy }: { policy: string }) => policy),
            [name],
          );
          const { differences } = await operator.ok('POST', '/policies/simulate', {
            since: '2026-11-01T00:00:00Z',
            drafts: [{ name: name.split('/')[0], remove: true }],
          });
          assert.ok(differences.some(({ change }: { change: string }) => change === 'gains'));
        });
      });
    }

    test('the reason of a limit is told to the client where it is public, and never whose it is', async () => {
      const text = permit('@limit_ip("192.0.2.0/24")\n@reason("From the office.")\n@public');
      await under(text, async (name) => {
        const { body } = await client.send();
        assert.equal(body.error_description, 'policy does not allow this from this address: From the office.');
        assert.equal((await lastEvent()).reason, `outside of the limits of policy ${name} (From the office.): ip`);
        const { says } = await explain(about());
        assert.match(says, /and no address was named: name one with --address\.$/);
      });
    });

    test('at which time it was asked is told, in the time zone of the organization', async () => {
      const live = await explain({ ...about(), at: '2026-11-23T02:12:00Z' });
      assert.deepEqual(live.as_of, { at: '2026-11-23T02:12:00.000Z', time_zone: 'UTC' });
      const all = await explain({ resource: client.identifier, scope: ['tickets:read'], at: '2026-11-23T02:12:00Z' });
      assert.deepEqual(all.as_of, live.as_of);
      await client.send();
      const event = await lastEvent();
      const told = await explain({ event: event.id });
      assert.equal(told.as_of.time_zone, 'UTC');
      assert.equal(told.as_of.at.slice(0, 16), event.at.slice(0, 16));
    });

    test('what observed policies would decide is said plainly, then and now', async () => {
      const text = `@id("limited")\nforbid (principal, action, resource == Api::"${client.identifier}");\n`;
      await under(
        text,
        async (name) => {
          assert.equal((await client.send()).status, 200);
          const would = `${name} (observed) would refuse it.`;
          const told = await explain({ event: (await lastEvent()).id });
          assert.ok(told.says.includes(would), told.says);
          assert.deepEqual(told.at_the_time.observed, { decision: 'deny', by: [name], says: would });
          const live = await explain(about());
          assert.deepEqual([live.decision, live.observed.says], ['allow', would]);
        },
        'observe',
      );
    });

    test('why it may: the role, and the policy', async () => {
      const yes = /^Given by the role role-\w+; starter\/roles-do-what-they-say permits it\.$/;
      assert.match((await explain(about())).says, yes);
      const { items } = await explain({ resource: client.identifier, scope: ['tickets:read'] });
      const [mine] = items.filter((one: { agent: { id: string } }) => one.agent.id === client.clientId);
      assert.match(mine.says, yes);
      assert.deepEqual(
        new Set(items.map(({ decision, given }: { decision: string; given: boolean }) => `${decision} ${given}`)),
        new Set(['allow true', 'deny false']),
      );
    });

    test('with a task and no scope it is about what the task names; and the task ends', async () => {
      const boss = await orchestratorClient(server);
      const open = async (resources?: object[]) =>
        (
          await boss.call('POST', '/tasks', {
            agent: client.clientId,
            workflow: 'billing',
            lifetime_seconds: 600,
            resources,
          })
        ).body.id as string;
      const task = await open([{ resource: client.identifier, scope: 'tickets:write' }]);
      assert.equal((await client.send({ scope: '', task })).body.scope, 'tickets:write');
      const asked = { ...about(), task };
      const yes = await explain(asked);
      assert.equal(yes.decision, 'allow', yes.says);
      assert.equal(layer(yes, 'task').says, 'The task is for this.');
      const beyond = await explain({ ...asked, scope: ['tickets:read'] });
      assert.deepEqual([beyond.decision, beyond.says], ['deny', 'The task is not for tickets:read on this resource.']);

      const other = await tokenClient(server);
      const { items } = await explain({ resource: client.identifier, scope: ['tickets:write'], task });
      const foreign = items.find((one: { agent: { id: string } }) => one.agent.id === other.clientId);
      assert.equal(foreign.decision, 'deny');

      const later = new Date(server.clock.now() + 700_000).toISOString();
      assert.equal((await explain({ ...asked, at: later })).says, 'This task has ended.');
      assert.equal((await boss.call('DELETE', `/tasks/${task}`)).status, 204);
      const ended = await explain(asked);
      assert.deepEqual([ended.decision, ended.says], ['deny', 'This task has ended.']);
      assert.equal((await client.send({ scope: '', task })).body.error_description, 'this task has ended');
    });

    // biome-ignore lint/suspicious/noExplicitAny: an answer that a test looks at
    const layer = (answer: any, name: string) => answer.layers.find((one: { layer: string }) => one.layer === name);

    test('a task that is made up is supposed, and is one that could be opened', async () => {
      const found = await explain({ ...about(), task: { workflow: 'month-end' } });
      assert.equal(layer(found, 'task').says, 'The task is supposed: as if an orchestrator had opened it.');
      for (const [task, field] of [
        [{ workflow: 'Month-End' }, 'task'],
        [{ workflow: 'month-end', step: 'Step 1' }, 'task'],
        [{ workflow: 'month-end', environment: 'Live' }, 'task'],
      ] as const) {
        const { status, body, text } = await operator.call('POST', '/policies/explain', { ...about(), task });
        assert.ok(status === 400 || status === 422, text);
        assert.ok(body.errors?.[0].field.startsWith(field), text);
      }
      const own = await explain({ ...about(), task: { workflow: 'Month End', provenance: 'declared' } });
      assert.match(layer(own, 'task').says, /^The task is what the agent says of itself/);
    });
  });
}
