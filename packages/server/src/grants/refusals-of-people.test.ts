/** What was refused on the authority of a person is found as theirs, and nobody reads it once they are erased. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type ExchangeScene, exchanged, exchangeOf, exchangeScene } from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { writePolicy } from '../testing/pdp-client.ts';
import type { TokenClient } from '../testing/token-client.ts';

interface Logged {
  id: string;
  reason?: string;
  personal: { person?: string } | null;
}

for (const database of databases) {
  describe(`refused on the authority of people, on ${database}`, () => {
    let server: TestServer;
    let scene: ExchangeScene;
    let agent: TokenClient;
    before(async () => {
      server = await startServer({ database });
      scene = await exchangeScene(server);
      agent = await scene.agent();
    });
    after(() => server.close());

    const refusals = async (query = `person=${scene.person}`) =>
      (await server.admin<{ items: Logged[] }>('GET', `/events?type=token.refused&limit=200&${query}`)).items;
    const refused = async (mandate: string, more: Record<string, string> = {}) => {
      const { status, body } = await agent.send(exchangeOf(mandate, more));
      assert.ok([400, 403].includes(status), JSON.stringify(body));
    };

    test('whoever refused it: a link of the chain, what was counted, policy; a mandate that is paused', async () => {
      const mandate = await scene.give(agent, { limits: { uses: 1 } });
      await refused(mandate, { scope: 'read' });
      await refused(mandate, { resource: 'https://elsewhere.example' });
      await exchanged(agent, mandate);
      await refused(mandate);
      const other = await scene.give(agent);
      await writePolicy(server, '@id("shut") forbid (principal, action == Action::"token:exchange", resource);');
      await refused(other);
      await server.admin('POST', `/mandates/${other}/pause`, {});
      await refused(other);
      const found = await refusals();
      assert.equal(found.length, 5, found.map(({ reason }) => reason).join('\n'));
      for (const { personal } of found) assert.equal(personal?.person, scene.person);
    });

    test('a client that isn’t let in on a mandate says nothing of whose it is', async () => {
      const stranger = await scene.agent();
      const mandate = await scene.give(agent);
      const before = (await refusals()).length;
      assert.equal((await stranger.send(exchangeOf(mandate))).status, 400);
      assert.equal((await refusals()).length, before);
      assert.equal((await refusals(`agent=${stranger.clientId}`)).length, 1);
    });

    test('erased with the person, and nothing comes after', async () => {
      const mandate = await scene.give(agent);
      const before = await refusals();
      await server.admin('DELETE', `/people/${scene.person}`);
      await refused(mandate);
      assert.deepEqual(await refusals(), []);
      const all = await refusals(`agent=${agent.clientId}`);
      assert.equal(all.length, before.length + 1);
      assert.ok(!JSON.stringify(all).includes(scene.person));
    });
  });
}
