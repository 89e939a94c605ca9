/** Transactions that services go on with in any way: what of a token stays, what only gets less, what only gets more, and what ends with what. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseCompact, signerFrom, type TransactionClaims } from '@bailiwick/protocol';
import fc from 'fast-check';
import { type ExchangeScene, exchanged, exchangeScene, exchangeType, type SharedApi } from '../testing/exchange.ts';
import { feedGuard } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type InstanceClient, instanceClient } from '../testing/instance-client.ts';
import type { TokenClient } from '../testing/token-client.ts';
import { replacing, type TransactionScene, transactionOf, transactionScene } from '../testing/transactions.ts';

const scopes = ['book', 'pay', 'read'];
const mostTokensInARow = 6;

type Said = Record<string, number>;
const anySaid = fc.option(fc.dictionary(fc.constantFrom('order', 'shelf'), fc.nat(1)), { nil: undefined });
const anyStep = fc.record({
  /** The newest, or any. */
  from: fc.oneof(fc.constant(-1), fc.nat()),
  who: fc.constantFrom('stock', 'stock', 'ledger', 'ledger', 'front'),
  /** All that the token has, without these; or all that there are. */
  scope: fc.oneof(
    { weight: 4, arbitrary: fc.subarray(scopes, { maxLength: 2 }).map((without) => ({ without })) },
    { weight: 1, arbitrary: fc.constant('all') },
  ),
  to: fc.constantFrom(undefined, undefined, undefined, 'stock', 'ledger', 'front'),
  details: anySaid,
  context: anySaid,
  seconds: fc.nat(20),
});
type Step = typeof anyStep extends fc.Arbitrary<infer Value> ? Value : never;

/** Who serves an API: the first at the edge, the others inside. */
interface Service {
  client: TokenClient;
  spiffeId: string;
  at: SharedApi;
}

/** What somebody asks for, going on with a token. */
interface Wish {
  scope: readonly string[];
  to: SharedApi | undefined;
  details: Said | undefined;
  context: Said | undefined;
}

/** A token of a transaction, and those that it came of: the nearest first. */
interface Node {
  token: string;
  claims: TransactionClaims;
  who: Service;
  above: readonly Node[];
}

for (const database of databases) {
  describe(`transactions as services go on with them, on ${database}`, () => {
    let server: TestServer;
    let scene: ExchangeScene;
    let of: TransactionScene;
    let services: Record<Step['who'], Service>;
    let guards: { at: SharedApi; guard: InstanceClient }[];

    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await exchangeScene(server);
      of = await transactionScene(server, scene);
      const teller = await scene.agent([], { grants: [exchangeType], resources: [] });
      await server.admin('PATCH', `/resources/${of.ledger.id}`, { served_by: [teller.clientId] });
      const service = async (client: TokenClient, at: SharedApi): Promise<Service> => {
        const { subject } = await server.admin<{ subject: string }>('GET', `/agents/${client.clientId}`);
        return { client, spiffeId: subject, at };
      };
      services = {
        front: await service(of.gateway, of.front),
        stock: await service(of.clerk, of.stock),
        ledger: await service(teller, of.ledger),
      };
      guards = [];
      for (const at of [of.stock, of.ledger]) {
        const { agent, jwk } = await feedGuard(server, at.id);
        guards.push({ at, guard: instanceClient(server, { ...of.caller, clientId: agent, signer: signerFrom(jwk) }) });
      }
    });
    after(() => server.close());

    const scopeOf = ({ claims }: Node) => claims.scope.split(' ');

    function wishOf({ scope, to, details, context }: Step, parent: Node): Wish {
      const left = scopeOf(parent).filter((each) => scope === 'all' || !scope.without.includes(each));
      return {
        scope: scope === 'all' ? scopes : left.length > 0 ? left : scopeOf(parent),
        to: to && services[to].at,
        details,
        context,
      };
    }

    const unsays = (before: object = {}, more: Said = {}) =>
      Object.entries(more).some(([name, value]) => Object.hasOwn(before, name) && before[name as never] !== value);

    /** Whether the rules let somebody go on so. */
    const isAllowed = ({ scope, to, details, context }: Wish, { at }: Service, parent: Node) =>
      parent.claims.resources.includes(at.id) &&
      (to === undefined || parent.claims.resources.includes(to.id)) &&
      scope.every((each) => scopeOf(parent).includes(each)) &&
      !unsays(parent.claims.tctx, details) &&
      !unsays(parent.claims.rctx, context) &&
      parent.above.length + 1 < mostTokensInARow;

    const formOf = (subject: string, { scope, to, details, context }: Wish, more?: Record<string, string>) =>
      transactionOf(subject, {
        ...more,
        scope: scope.join(' '),
        ...(to && { resource: to.identifier }),
        ...(details && { request_details: JSON.stringify(details) }),
        ...(context && { request_context: JSON.stringify(context) }),
      });

    function nodeOf(body: Record<string, unknown>, who: Service, above: readonly Node[]): Node {
      const token = String(body.access_token);
      return { token, claims: parseCompact(token).payload as unknown as TransactionClaims, who, above };
    }

    /** Whether it is the same transaction, and no more than was asked for. */
    function mustContinue({ claims, who }: Node, { scope, to, details, context }: Wish, { claims: was }: Node) {
      for (const name of ['iss', 'aud', 'txn', 'sub', 'sub_profile', 'act', 'client_id', 'org', 'mandate'] as const) {
        assert.deepEqual(claims[name], was[name], name);
      }
      assert.deepEqual(claims.scope.split(' ').toSorted(), scope.toSorted());
      assert.deepEqual(claims.resources.toSorted(), to ? [to.id] : was.resources.toSorted());
      assert.equal(claims.exp, was.exp, 'it ends when the first one does');
      assert.deepEqual([...(claims.req_wl_before ?? []), claims.req_wl], [...requesters(was), who.spiffeId]);
      assert.deepEqual(claims.tctx, was.tctx || details ? { ...was.tctx, ...details } : undefined);
      assert.deepEqual(claims.rctx, was.rctx || context ? { ...was.rctx, ...context } : undefined);
    }
    const requesters = ({ req_wl_before = [], req_wl }: TransactionClaims) => [...req_wl_before, req_wl];

    /** A transaction from outside to wherever these steps lead: a step that the rules refuse makes nothing. */
    async function grown(outer: string, steps: readonly Step[]): Promise<Node[]> {
      const { front } = services;
      const all = { scope: scopes, to: undefined, details: undefined, context: undefined };
      const { body } = await front.client.send(formOf(outer, all));
      const nodes: Node[] = [nodeOf(body, front, [])];
      for (const step of steps) {
        server.clock.advance(step.seconds * 1000);
        const parent = nodes.at(step.from < 0 ? step.from : step.from % nodes.length) as Node;
        const [who, wish] = [services[step.who], wishOf(step, parent)];
        const { status, body } = await who.client.send(formOf(parent.token, wish, replacing));
        assert.equal(status, isAllowed(wish, who, parent) ? 200 : 400, JSON.stringify(body));
        if (status !== 200) continue;
        const node = nodeOf(body, who, [parent, ...parent.above]);
        mustContinue(node, wish, parent);
        nodes.push(node);
      }
      return nodes;
    }

    /** Each service is told that it may go on by its own tokens alone, and by those alone that nothing has ended. */
    async function stand(nodes: readonly Node[], isOver: (node: Node) => boolean) {
      for (const node of nodes) {
        for (const { at, guard } of guards) {
          const { active } = await guard.introspect(node.token);
          assert.equal(active, node.claims.resources.includes(at.id) && !isOver(node));
        }
      }
    }

    /** What one way of ending is about. `ends`: which tokens it ends by itself; `back`: what takes it back, where that can be. */
    const ways: [
      way: string,
      (
        chosen: Node,
        outside: { mandate: string; jti: string },
      ) => { subject: string; kind?: string; effect?: string; ends: (each: Node) => boolean; back?: string },
    ][] = [
      ['the token from outside', (_, { jti }) => ({ subject: jti, kind: 'token', ends: () => true })],
      ['the mandate', (_, { mandate }) => ({ subject: mandate, effect: 'end', ends: () => true })],
      [
        'the agent outside',
        () => {
          const { clientId } = of.caller;
          return { subject: clientId, effect: 'suspend', ends: () => true, back: `/agents/${clientId}/resume` };
        },
      ],
      [
        'one of its tokens',
        (chosen) => ({ subject: chosen.claims.jti, kind: 'token', ends: (each) => each === chosen }),
      ],
      [
        'a service that asked for one',
        ({ who }) => {
          const { clientId } = who.client;
          return {
            ...{ subject: clientId, effect: 'suspend', back: `/agents/${clientId}/resume` },
            ends: (each) => each.who === who,
          };
        },
      ],
    ];
    for (const [way, endOf] of ways) {
      test(`${way} ends: exactly what came of it ends; whoever goes on has no more, unsays nothing and is named`, async () => {
        const property = fc.asyncProperty(
          fc.array(anyStep, { minLength: 8, maxLength: 12, size: 'max' }),
          fc.nat(),
          async (steps, choice) => {
            const mandate = await scene.give(of.caller, {
              resources: [{ resource: of.front.identifier, scope: scopes.join(' ') }],
            });
            const outer = await exchanged(of.caller, mandate);
            const nodes = await grown(outer.token, steps);
            await stand(nodes, () => false);
            const chosen = nodes[choice % nodes.length] as Node;
            const { ends, back, ...revocation } = endOf(chosen, { mandate, jti: outer.claims.jti });
            await server.admin('POST', '/revocations', { ...revocation, reason: 'a test' });
            const isOver = (node: Node) => [node, ...node.above].some(ends);
            await stand(nodes, isOver);
            if (back !== undefined) await server.admin('POST', back);
            await stand(nodes, isOver);
            for (const node of nodes) {
              const who = node.claims.resources.includes(of.stock.id) ? services.stock : services.ledger;
              const wish = { scope: scopeOf(node), to: undefined, details: undefined, context: undefined };
              const { status } = await who.client.send(formOf(node.token, wish, replacing));
              assert.equal(status, isOver(node) || !isAllowed(wish, who, node) ? 400 : 200);
            }
          },
        );
        await fc.assert(property, { numRuns: 3, endOnFailure: true });
      });
    }
  });
}
