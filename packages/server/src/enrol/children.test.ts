/** Generated families of instances: a child is never wider or longer-lived than its parent, however they were asked for. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type InstanceClient, instanceClient, type TestInstance } from '../testing/instance-client.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const scopes = ['tickets:read', 'tickets:write'];

interface Step {
  /** Of whom it is a child: a number that is taken as one of those that are there. */
  of: number;
  /** What is asked for it; undefined: nothing is said. */
  allowed: string[] | undefined;
  lifetime: number | undefined;
  /** Seconds that pass before. */
  after: number;
  /** The parent renews just before, and the child just after. */
  renews: boolean;
}

const step = fc.record<Step>({
  of: fc.nat(20),
  allowed: fc.option(fc.subarray(scopes), { nil: undefined }),
  lifetime: fc.option(fc.integer({ min: 10, max: 3600 }), { nil: undefined }),
  after: fc.integer({ min: 0, max: 300 }),
  renews: fc.boolean(),
});

interface Node {
  instance: TestInstance;
  parent: Node | undefined;
  /** What the model says that it may. */
  may: string[];
  endsAt: number;
}

for (const database of databases) {
  describe(`families of instances, on ${database}`, () => {
    let server: TestServer;
    let client: TokenClient;
    let at: InstanceClient;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 1_000_000 } } });
      client = await tokenClient(server, { agent: { instances: { depth: 5, live_at_most: 100_000 } } });
      at = instanceClient(server, client);
    });
    after(() => server.close());

    test('a child is never wider or longer-lived than its parent', async () => {
      let refused = 0;
      let granted = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 7 }), async (steps) => {
          const root = await at.instance({ body: { lifetime_seconds: 3600 } });
          const nodes: Node[] = [
            { instance: root, parent: undefined, may: scopes, endsAt: Date.parse(root.answer.expires_at as string) },
          ];
          for (const each of steps) await grow(nodes, each);
          for (const node of nodes) {
            assertWithin(node);
            for (const scope of scopes) {
              const { status, body } = await at.tokenOf(node.instance, { scope });
              if (node.endsAt <= server.clock.now()) assert.equal(status, 401);
              else if (node.may.includes(scope)) {
                assert.equal(status, 200, JSON.stringify(body));
                assert.ok(server.clock.now() + body.expires_in * 1000 <= node.endsAt, 'no token outlives its instance');
                granted++;
              } else {
                assert.equal(body.error, 'invalid_scope');
                refused++;
              }
            }
          }
        }),
        { numRuns: 20 },
      );
      assert.ok(refused > 0 && granted > 0, 'something was refused and something granted, or this says nothing');
    });

    async function grow(nodes: Node[], { of, allowed, lifetime, after: seconds, renews }: Step): Promise<void> {
      server.clock.advance(seconds * 1000);
      const parent = nodes[of % nodes.length] as Node;
      if (renews) await renew(parent);
      const wanted =
        allowed && (allowed.length === 0 ? [] : [{ resource: client.identifier, scope: allowed.join(' ') }]);
      const reply = await at.child(parent.instance, {
        ...(wanted && { allowed: wanted }),
        ...(lifetime !== undefined && { lifetime_seconds: lifetime }),
      });
      const now = server.clock.now();
      if (chain(parent).some(({ endsAt }) => endsAt <= now)) return assert.equal(reply.status, 401);
      if (chain(parent).length > 5) return assert.equal(reply.body.error, 'unauthorized_client');
      if (allowed?.some((scope) => !parent.may.includes(scope))) return assert.equal(reply.body.error, 'invalid_scope');
      assert.equal(reply.status, 201, JSON.stringify(reply.body));
      const instance = { id: reply.id, signer: reply.signer, answer: reply.body };
      const child = { instance, parent, may: allowed ?? parent.may, endsAt: Date.parse(reply.body.expires_at) };
      nodes.push(child);
      assertWithin(child);
      if (renews) await renew(child);
    }

    async function renew(node: Node): Promise<void> {
      const { status, body } = await at.call(node.instance, 'POST', '/renew', {});
      if (status === 200) node.endsAt = Date.parse(body.expires_at);
      else
        assert.ok(
          chain(node).some(({ endsAt }) => endsAt <= server.clock.now()),
          JSON.stringify(body),
        );
    }
  });
}

const chain = (node: Node): Node[] => (node.parent ? [node, ...chain(node.parent)] : [node]);

function assertWithin({ parent, may, endsAt }: Node): void {
  if (!parent) return;
  assert.ok(endsAt <= parent.endsAt, 'it ends with its parent at the latest');
  assert.ok(may.every((scope) => parent.may.includes(scope)));
}
