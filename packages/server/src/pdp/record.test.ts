/** What the log keeps of a question: enough to decide it again, and nothing in the clear that is somebody's own. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { seenPlace } from '../decide/place.ts';
import { asOf } from '../liveness/liveness.ts';
import { eventOf as eventInLog } from '../log/search.ts';
import { loadPolicyEngine } from '../policy/engine.ts';
import { policySetOf } from '../policy/policies.ts';
import { requestOf } from '../policy/recorded.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { evaluator, type PdpClient, writePolicy } from '../testing/pdp-client.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const access = { name: 'access' };

for (const database of databases) {
  describe(`decisions on record, on ${database}`, () => {
    let server: TestServer;
    let pep: PdpClient;
    let client: TokenClient;

    const agent = (id = client.clientId) => ({ type: 'agent', id });
    const operation = (id = `${client.identifier}#read`) => ({ type: 'operation', id });
    const mayRead = () => ({ subject: agent(), action: access, resource: operation() });
    const tokenOf = async (of = client, parameters = {}) => {
      const { status, body } = await of.send(parameters);
      assert.equal(status, 200, JSON.stringify(body));
      return body.access_token as string;
    };
    const eventOf = async (id: string) => {
      const { items } = await server.admin<{ items: { id: string }[] }>(
        'GET',
        '/events?type=access.evaluated&limit=200',
      );
      const event = items.find((each) => each.id === id);
      assert.ok(event, `${id} is in the log`);
      return event as unknown as Record<string, never>;
    };

    before(async () => {
      server = await startServer({ database });
      pep = await evaluator(server);
      client = await tokenClient(server);
    });
    after(() => server.close());

    test('a decision is on record: who asked, about whom, what policy was asked, and by which version', async () => {
      const access_token = await tokenOf();
      const { context } = await pep.decide({
        ...mayRead(),
        context: { access_token, presenter_address: '203.0.113.9' },
      });
      const text = JSON.stringify(await eventOf(context.id));
      const event = JSON.parse(text);
      assert.deepEqual(
        [event.type, event.outcome, event.agent, event.target, event.resource],
        ['access.evaluated', 'allowed', pep.agent, client.clientId, client.identifier],
      );
      assert.match(event.decided_on.policy, /^org_\w+\/\d+$/);
      assert.deepEqual(event.decided_on.by, ['starter/roles-do-what-they-say']);
      assert.equal(event.decided_on.policy_input.principal.id, client.clientId);
      assert.equal(event.decided_on.provenance.presenter, 'verified');
      assert.ok(!text.includes(access_token) && !text.includes(access_token.split('.')[2] as string));
    });

    test('what is on record is enough to decide again', async () => {
      await writePolicy(
        server,
        `@id("again") permit (principal == Subject::"user:erin", action, resource == Object::"file:9")
         when {
           context has operation && context.operation == "open" &&
           principal.hasTag("team") && principal.getTag("team") == "blue" &&
           context.claimed.hasTag("action.mode") && context.claimed.getTag("action.mode") == "r"
         };`,
      );
      const erin = { type: 'user', id: 'erin', properties: { team: 'blue' } };
      const open = (mode: string) => ({ name: 'open', properties: { mode } });
      const { deps } = server;
      const engine = await loadPolicyEngine();
      for (const [question, decision] of [
        [{ ...mayRead(), context: { access_token: await tokenOf(), presenter_address: '203.0.113.9' } }, 'allow'],
        [{ ...mayRead(), context: { task: { workflow: 'mail Bob', purpose: 'p' } } }, 'step_up'],
        [{ subject: erin, action: open('r'), resource: { type: 'file', id: '9' } }, 'allow'],
        [{ subject: erin, action: open('w'), resource: { type: 'file', id: '9' } }, 'deny'],
      ] as const) {
        const { context } = await pep.decide(question);
        const { version } = await asOf(deps.db);
        const event =
          (await eventInLog(deps, { org: client.organization }, context.id)) ?? assert.fail('it is in the log');
        assert.equal((event.leaf.decided_on as { decision: string }).decision, decision);
        const request = requestOf(event, {
          agentName: () => undefined,
          seen: (address, zone) => seenPlace(deps, address, zone),
        });
        const set = await policySetOf(deps, version, client.organization);
        assert.equal(engine.evaluate(set, request ?? assert.fail('it can be asked again')).decision, decision);
        assert.doesNotMatch(
          JSON.stringify(event.leaf),
          /erin|203\.0\.113|mail Bob|"open"/,
          'nobody is in the leaf in the clear',
        );
      }
    });

    test('a batch is one line for each decision', async () => {
      const { body } = await pep.ask('evaluations', {
        subject: agent(),
        action: access,
        evaluations: [{ resource: operation() }, { resource: operation('https://nowhere.example#x') }, {}],
      });
      const ids = body.evaluations.map(({ context }: { context: { id?: string } }) => context.id);
      assert.deepEqual(await Promise.all(ids.slice(0, 2).map(async (id: string) => (await eventOf(id)).outcome)), [
        'allowed',
        'refused',
      ]);
      assert.equal(ids[2], undefined, 'nothing was decided about what nobody could read');
    });

    test('what a search holds stands in no log in the clear, and its token nowhere', async () => {
      const access_token = await tokenOf();
      await pep.find('action', { subject: agent(), resource: operation(), context: { access_token } });
      const { items } = await server.admin<{ items: object[] }>('GET', '/events?type=access.searched&limit=1');
      const text = JSON.stringify(items);
      assert.match(text, /"search":"action"/);
      assert.ok(!text.includes(access_token));
    });
  });
}
