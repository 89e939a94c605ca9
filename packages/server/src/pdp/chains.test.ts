/** What the decision point sees of a token on which somebody acts for somebody: the same as when it was asked for. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { agentsAmong } from '../decide/registered.ts';
import { asOf } from '../liveness/liveness.ts';
import { type Delegate, type Delegates, delegates } from '../testing/delegates.ts';
import { exchanged } from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { guardClient, type PdpClient, writePolicy } from '../testing/pdp-client.ts';

interface Logged {
  id: string;
  type: string;
  decided_on: { policy_input?: Record<string, unknown> };
  personal: { person?: string; details?: unknown } | null;
}

for (const database of databases) {
  describe(`chains at the decision point, on ${database}`, () => {
    let server: TestServer;
    let scene: Delegates;
    let guard: PdpClient;
    let first: Delegate;
    let second: Delegate;
    let third: Delegate;

    before(async () => {
      server = await startServer({ database });
      scene = await delegates(server, 3);
      guard = await guardClient(server, scene.api.id);
      [first, second, third] = scene.agents as [Delegate, Delegate, Delegate];
    });
    after(() => server.close());

    const ask = (agent: Delegate, token: string) =>
      guard.decide({
        subject: { type: 'agent', id: agent.id },
        action: { name: 'access' },
        resource: { type: 'api', id: scene.api.identifier },
        context: { access_token: token },
      });
    const eventsOf = async (query: string) =>
      (await server.admin<{ items: Logged[] }>('GET', `/events?limit=200&${query}`)).items;
    const shut = async (text: string, work: () => Promise<void>) => {
      const id = await writePolicy(server, text);
      try {
        await work();
      } finally {
        await server.admin('POST', `/policies/${id}/remove`, { reason: 'a test' });
      }
    };
    /** A person's mandate, passed on twice, and a token of each. */
    async function chain() {
      const root = await scene.give(first);
      const middle = await first.pass(root.id, { agent: second.id, passing: { depth: 1 } });
      const leaf = await second.pass(middle.id, { agent: third.id });
      const read = { scope: 'read' };
      return {
        leaf,
        tokens: {
          root: (await exchanged(first.client, root.id, read)).token,
          middle: (await exchanged(second.client, middle.id, read)).token,
          leaf: (await exchanged(third.client, leaf.id, read)).token,
        },
      };
    }

    test('who acted before, for whom, on which mandate and how deep: policies see it at every sensitive request', async () => {
      const { leaf, tokens } = await chain();
      const all = async () => [
        (await ask(first, tokens.root)).decision,
        (await ask(second, tokens.middle)).decision,
        (await ask(third, tokens.leaf)).decision,
      ];
      assert.deepEqual(await all(), [true, true, true]);
      const forbidden = (when: string) =>
        `@id("shut") forbid (principal, action == Action::"resource:access", resource) when { ${when} };`;
      for (const [when, expected] of [
        [`context has chain && context.chain.contains("${first.id}")`, [true, false, false]],
        [`context has chain && context.chain.contains("${second.id}")`, [true, true, false]],
        [`context has chain && context.chain.contains("${third.id}")`, [true, true, true]],
        [`context has subject && context.subject == "${scene.person}"`, [false, false, false]],
        [`context has mandate && context.mandate == "${leaf.id}"`, [true, true, false]],
        ['context.chain_depth > 1', [true, false, false]],
      ] as const) {
        await shut(forbidden(when), async () => assert.deepEqual(await all(), expected, when));
      }
    });

    test('an agent of its own has no chain', async () => {
      const { status, body } = await first.client.send({ scope: 'book' });
      assert.equal(status, 200, JSON.stringify(body));
      const text =
        '@id("shut") forbid (principal, action == Action::"resource:access", resource) when { context has chain };';
      await shut(text, async () => {
        assert.equal((await ask(first, String(body.access_token))).decision, true);
        assert.equal(
          (await ask(first, (await chain()).tokens.root)).decision,
          false,
          'on a mandate it has one, be it empty',
        );
      });
    });

    test('whom another issuer names is no agent of ours, whatever it is called', async () => {
      const { deps, issuer } = server;
      const {
        organization: org,
        subject,
        name,
      } = await server.admin<{ organization: string; subject: string; name: string }>('GET', `/agents/${first.id}`);
      const { version } = await asOf(deps.db);
      const among = (iss?: string) =>
        agentsAmong(deps, version, org, [
          { sub: subject, iss },
          { sub: first.id, iss },
          { sub: name, iss }, // no token calls an agent so: a person may be called as one is named
        ]);
      assert.deepEqual(await among(issuer), [first.id, first.id]);
      for (const other of ['https://narrow.example', undefined]) assert.deepEqual(await among(other), []);
    });

    test('on record as when the token was asked for; the person only under their own key', async () => {
      const { tokens } = await chain();
      const { context } = await ask(third, tokens.leaf);
      const event = (await eventsOf('type=access.evaluated')).find(({ id }) => id === context.id) as Logged;
      const [issued] = await eventsOf(`type=token.issued&agent=${third.id}`);
      for (const member of ['chain', 'chain_depth', 'mandate']) {
        assert.ok(event.decided_on.policy_input?.[member] !== undefined, member);
        assert.deepEqual(event.decided_on.policy_input?.[member], issued?.decided_on.policy_input?.[member], member);
      }
      assert.equal(event.personal?.person, scene.person);
      const { personal: _, ...open } = event;
      assert.ok(!JSON.stringify(open).includes(scene.person));
      const ofPerson = await eventsOf(`person=${scene.person}&type=access.evaluated`);
      assert.ok(ofPerson.some(({ id }) => id === context.id));

      await server.admin('DELETE', `/people/${scene.person}`);
      const after = (await eventsOf('type=access.evaluated')).find(({ id }) => id === context.id) as Logged;
      assert.ok(!JSON.stringify(after).includes(scene.person), 'erased with them');
    });
  });
}
