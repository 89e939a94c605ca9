/** Trees of mandates with a token of each: who stands in them, and what ends with what. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { actorsOf, generateJwk, parseCompact, publicJwk } from '@bailiwick/protocol';
import fc from 'fast-check';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { type Delegate, type Delegates, delegates } from '../testing/delegates.ts';
import { exchangeOf } from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import type { TestInstance } from '../testing/instance-client.ts';

/** An agent with two running copies of it: one, and a child of that. */
interface Somebody {
  agent: Delegate;
  spiffeId: string;
  copies: readonly (TestInstance & { spiffeId: string; above: readonly string[] })[];
}

/** Whom a mandate is for. */
interface Holder {
  who: Somebody;
  copy: Somebody['copies'][number] | undefined;
}

/** A mandate, and those above it. */
type Node = Holder & { id: string; scope: string; above: readonly Node[] };

const anyStep = fc.record({
  who: fc.nat(3),
  copy: fc.constantFrom(undefined, undefined, 0, 1),
  scope: fc.constantFrom(undefined, undefined, 'read', 'book read'),
  /** From the newest, or from any. */
  from: fc.oneof(fc.constant(-1), fc.nat()),
});
type Step = typeof anyStep extends fc.Arbitrary<infer Value> ? Value : never;

/** What is done to the one that a mandate is for, or to itself. */
const ways = ['ended', 'paused', 'its agent suspended', 'its running copy ended'] as const;

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

    async function somebody(agent: Delegate): Promise<Somebody> {
      const { subject } = await server.admin<{ subject: string }>('GET', `/agents/${agent.id}`);
      const one = await agent.instances.instance();
      const child = await agent.instances.child(one);
      assert.equal(child.status, 201, JSON.stringify(child.body));
      const copy = ({ id, signer }: { id: string; signer: TestInstance['signer'] }, above: string[]) => ({
        ...{ id, signer, above, answer: {} },
        spiffeId: `${subject}/${id}`,
      });
      return { agent, spiffeId: subject, copies: [copy(one, []), copy(child, [one.id])] };
    }

    /** A tree of the person's mandate for the first of them: a step that the rules refuse makes nothing. */
    async function grown(people: readonly Somebody[], steps: readonly Step[]): Promise<Node[]> {
      const [first] = people as [Somebody, ...Somebody[]];
      const root = await scene.give(first.agent);
      const nodes: Node[] = [{ id: root.id, who: first, copy: undefined, scope: 'book read', above: [] }];
      for (const { from, who, copy, scope } of steps) {
        const parent = nodes.at(from < 0 ? from : from % nodes.length) as Node;
        const to: Holder = {
          who: people[who] as Somebody,
          copy: copy === undefined ? undefined : people[who]?.copies[copy],
        };
        const named = to.copy ? { instance: to.copy.id } : { agent: to.who.agent.id };
        const body = {
          parent: parent.id,
          ...named,
          ...(scope && { resources: [{ resource: scene.api.identifier, scope }] }),
          passing: { depth: Math.max(0, 3 - parent.above.length) },
        };
        const reply = await parent.who.agent.call('POST', '/mandates', body, { by: keyOf(parent) });
        assert.ok([201, 422].includes(reply.status), reply.text);
        if (reply.status !== 201) continue;
        nodes.push({ id: reply.body.id, ...to, scope: scope ?? parent.scope, above: [parent, ...parent.above] });
      }
      return nodes;
    }

    const keyOf = ({ who, copy }: Holder) => copy ?? who.agent.client;

    const exchange = (node: Node) =>
      node.who.agent.instances.tokenOf({ id: '', signer: keyOf(node).signer }, exchangeOf(node.id));

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

    /** Stops something. Answers which mandates that stops by itself, and how to take it back, where that can be. */
    async function stopped({ id, who, copy }: Node, way: (typeof ways)[number]) {
      const reason = { reason: 'test' };
      if (way === 'ended' || way === 'paused') {
        await server.admin('POST', `/mandates/${id}/${way === 'ended' ? 'end' : 'pause'}`, reason);
        return { stops: (each: Node) => each.id === id, back: way === 'paused' ? `/mandates/${id}/resume` : undefined };
      }
      if (way === 'its agent suspended') {
        await server.admin('POST', `/agents/${who.agent.id}/suspend`, reason);
        return { stops: (each: Node) => each.who === who, back: `/agents/${who.agent.id}/resume` };
      }
      const ended = (copy ?? who.copies[0])?.id as string;
      await server.admin('DELETE', `/instances/${ended}`);
      return { stops: ({ copy }: Node) => copy?.id === ended || copy?.above.includes(ended) === true, back: undefined };
    }

    for (const way of ways) {
      test(`one is stopped, ${way}: that stops exactly what came of it; nothing is wider, and the person is always named`, async () => {
        const steps = fc.array(anyStep, { minLength: 8, maxLength: 14, size: 'max' });
        const property = fc.asyncProperty(steps, fc.nat(), async (steps, choice) => {
          server.clock.advance(600_000); // nobody holds a token any more
          const people = await Promise.all(scene.agents.map(somebody));
          const nodes = await grown(people, steps);
          const tokens = new Map<Node, string>();
          for (const node of nodes) tokens.set(node, await tokenOf(node));
          const { stops, back } = await stopped(nodes[choice % nodes.length] as Node, way);
          const isOver = (node: Node) => [node, ...node.above].some(stops);
          for (const [node, token] of tokens) {
            assert.equal((await guard.introspect(token)).active, !isOver(node));
            assert.equal((await exchange(node)).status === 200, !isOver(node));
          }
          if (back === undefined) return;
          await server.admin('POST', back);
          for (const [node, token] of tokens) {
            assert.equal((await guard.introspect(token)).active, !isOver(node), 'no token comes back');
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
