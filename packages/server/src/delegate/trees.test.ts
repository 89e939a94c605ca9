/** Trees of mandates with a token of each: who stands in them, and what ends with what. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { actorsOf, generateJwk, parseCompact, publicJwk } from '@bailiwick/protocol';
import fc from 'fast-check';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { type Delegate, type Delegates, delegates } from '../testing/delegates.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import {
  anySteps,
  exchange,
  grown,
  isOver,
  type Node,
  somebody,
  stopOf,
  waysToStop,
} from '../testing/mandate-trees.ts';

for (const database of databases) {
  describe(`trees of mandates, on ${database}`, () => {
    let server: TestServer;
    let scene: Delegates;
    let guard: AdminClient;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await delegates(server, 4);
      const jwk = await generateJwk('ES256');
      const { agent } = await server.admin<{ agent: string }>('POST', '/guards', {
        name: 'guard',
        resource: scene.api.id,
        owner: scene.person,
        jwk: publicJwk(jwk),
      });
      guard = adminClient(server, { client_id: agent, jwk });
    });
    after(() => server.close());

    async function tokenOf(node: Node): Promise<string> {
      const { status, body } = await exchange(node);
      assert.equal(status, 200, JSON.stringify(body));
      const { sub, sub_profile, client_id, mandate, act, scope } = parseCompact(body.access_token).payload;
      assert.deepEqual([sub, sub_profile, client_id, mandate], [scene.person, 'user', node.who.agent.id, node.id]);
      assert.equal(scope, node.scope);
      const chain = [node, ...node.above].map(({ who, copy }) => (copy ?? who).spiffeId);
      assert.deepEqual(
        actorsOf(act).map((each) => each.sub),
        chain,
      );
      return body.access_token;
    }

    for (const way of waysToStop) {
      test(`one is stopped, ${way}: that stops exactly what came of it; nothing is wider, and the person is always named`, async () => {
        const property = fc.asyncProperty(anySteps(8, 14), fc.nat(), async (steps, choice) => {
          server.clock.advance(600_000); // nobody holds a token any more
          const people = await Promise.all(scene.agents.map((agent) => somebody(server, agent)));
          const root = await scene.give(people[0]?.agent as Delegate);
          const nodes = await grown(root, people, steps, scene.api.identifier);
          const tokens = new Map<Node, string>();
          for (const node of nodes) tokens.set(node, await tokenOf(node));
          const { subject, effect, stops, back } = stopOf(nodes[choice % nodes.length] as Node, way);
          await server.admin('POST', '/revocations', { subject, effect, reason: 'a test' });
          for (const [node, token] of tokens) {
            assert.equal((await guard.introspect(token)).active, !isOver(node, stops));
            assert.equal((await exchange(node)).status === 200, !isOver(node, stops));
          }
          if (back === undefined) return;
          await server.admin('POST', back);
          for (const [node, token] of tokens) {
            assert.equal((await guard.introspect(token)).active, !isOver(node, stops), 'no token comes back');
            // running copies of an agent that was suspended are gone, and so is what came of them
            const gone =
              way === 'its agent suspended' && [node, ...node.above].some((each) => each.copy && stops(each));
            const isGoneItself = node.copy && stops(node);
            if (gone) assert.equal((await exchange(node)).status, isGoneItself ? 401 : 400);
            else await tokenOf(node);
          }
        });
        await fc.assert(property, { numRuns: 2, endOnFailure: true });
      });
    }
  });
}
