/**
 * Any tree of mandates and exchanges, at real guards that follow the feed: once a revocation is acknowledged, every guard refuses exactly the
 * tokens that came of what was ended, and lets all others pass.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createDpopProof, generateJwk, publicJwk, type Signer } from '@bailiwick/protocol';
import fc from 'fast-check';
import { createGuard, type Guard } from '../packages/guard/src/index.ts';
import { systemClock } from '../packages/server/src/lib/clock.ts';
import { delegate, type ShownMandate } from '../packages/server/src/testing/delegates.ts';
import {
  type ExchangeScene,
  exchangeOf,
  exchangeScene,
  type SharedApi,
} from '../packages/server/src/testing/exchange.ts';
import { databases, startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import {
  anySteps,
  exchange,
  grown,
  isOver,
  keyOf,
  type Node,
  somebody,
  stopOf,
  waysToStop,
} from '../packages/server/src/testing/mandate-trees.ts';
import type { TokenClient } from '../packages/server/src/testing/token-client.ts';
import { stateOf, via } from './feed-world.ts';

/** A token at an API, and what it came of. */
interface Shown {
  token: string;
  at: SharedApi;
  signer: Signer;
  of: Node;
  /** Whether the API went on with what it was called with. */
  further: boolean;
}

const operations = [{ name: 'read', method: 'GET', path: '/read', scope: ['read'] }];
const random = () => crypto.randomUUID();

for (const database of databases) {
  describe(`trees of mandates at guards, on ${database}`, () => {
    let server: TestServer;
    let other: TestServer;
    let scene: ExchangeScene;
    let behind: SharedApi;
    let clients: TokenClient[];
    /** Serves the API that all others call, and goes on to the one behind. */
    let desk: TokenClient;
    const guards: { of: SharedApi; guard: Guard }[] = [];

    before(async () => {
      const clock = { ...systemClock, advance: () => {} };
      server = await startServer({ database, clock, config: { limits: { tokens_per_minute: 100_000 } } });
      other = database === 'postgres' ? await startServer({ joins: server, clock }) : server;
      scene = await exchangeScene(server);
      behind = await scene.anotherApi({ operations });
      await server.admin('PATCH', `/resources/${scene.api.id}`, { operations });
      const apis = [scene.api, behind];
      clients = [];
      for (let n = 0; n < 4; n++) clients.push(await scene.agent(apis));
      desk = await scene.agent(apis);
      await server.admin('PATCH', `/resources/${scene.api.id}`, { served_by: [desk.clientId] });
      for (const [of, address] of [
        [scene.api, server.address],
        [scene.api, other.address],
        [behind, other.address],
      ] as const) {
        guards.push({ of, guard: await guardOf(of, address) });
      }
      await Promise.all(guards.map(({ guard }) => guard.ready()));
    });
    after(async () => {
      for (const { guard } of guards) await guard.close();
      if (other !== server) await other?.close();
      await server?.close();
    });

    async function guardOf({ id, identifier }: SharedApi, address: string): Promise<Guard> {
      const jwk = await generateJwk('ES256');
      const { agent } = await server.admin<{ agent: string }>('POST', '/guards', {
        ...{ name: `guard-${random()}`, resource: id, owner: scene.person, jwk: publicJwk(jwk) },
      });
      return createGuard({
        issuer: server.issuer,
        resource: identifier,
        credential: { client_id: agent, jwk },
        fetch: via(server.issuer, address),
        dpop: { nonce: 'off' },
        report: () => {},
      });
    }

    /** What the guards of its API say to a token. */
    async function passes({ token, at, signer }: Shown): Promise<boolean[]> {
      const said: boolean[] = [];
      for (const { of, guard } of guards) {
        if (of !== at) continue;
        const proof = { htm: 'GET', htu: `${at.identifier}/read`, now: Date.now(), jti: random(), accessToken: token };
        const { allowed } = await guard.decide({
          method: 'GET',
          url: '/api/read',
          headers: { authorization: [`DPoP ${token}`], dpop: [await createDpopProof(signer, proof)] },
          remoteAddress: '127.0.0.1',
        });
        assert.equal(stateOf(guard), 'current', 'it says so by what it knows');
        said.push(allowed);
      }
      return said;
    }

    const give = () =>
      server.admin<ShownMandate>('POST', '/mandates', {
        person: scene.person,
        agent: clients[0]?.clientId,
        resources: [scene.api, behind].map(({ identifier }) => ({ resource: identifier, scope: 'book read' })),
        passing: { depth: 4 },
        expires_in: 3600,
      });

    /** A token of each, and what the desk gets for it: nothing where a mandate doesn't reach so far. */
    async function shownBy(nodes: readonly Node[]): Promise<Shown[]> {
      const all: Shown[] = [];
      for (const of of nodes) {
        const { status, body } = await exchange(of, { resource: scene.api.identifier, scope: 'read' });
        assert.equal(status, 200, JSON.stringify(body));
        const token: string = body.access_token;
        all.push({ token, at: scene.api, signer: keyOf(of).signer, of, further: false });
        const more = { resource: behind.identifier, scope: 'read' };
        const reply = await desk.send(exchangeOf(token, more));
        if (reply.status !== 200) continue;
        const { access_token: next } = reply.body;
        all.push({ token: String(next), at: behind, signer: desk.signer, of, further: true });
      }
      return all;
    }

    async function revoked(subject: string, effect: string) {
      const { acknowledgement } = await server.admin<{ acknowledgement: { complete: boolean } }>(
        'POST',
        '/revocations',
        {
          ...{ subject, effect, reason: 'a test', wait_seconds: 20 },
        },
      );
      assert.equal(acknowledgement.complete, true);
    }

    async function holds(all: readonly Shown[], isDead: (one: Shown) => boolean) {
      for (const one of all) for (const said of await passes(one)) assert.equal(said, !isDead(one));
    }

    for (const way of [...waysToStop, 'who went on suspended'] as const) {
      test(`one is stopped, ${way}: guards refuse exactly what came of it`, async () => {
        const property = fc.asyncProperty(anySteps(6, 10), fc.nat(), async (steps, choice) => {
          // anew, since they keep tokens of theirs, which end with what is stopped
          const people = await Promise.all(clients.map((client) => somebody(server, delegate(server, client))));
          const nodes = await grown(await give(), people, steps, scene.api.identifier);
          const all = await shownBy(nodes);
          assert.ok(
            all.some(({ further }) => further),
            'at the root at least the desk could go on',
          );
          await holds(all, () => false);
          if (way === 'who went on suspended') {
            await revoked(desk.clientId, 'suspend');
            await holds(all, ({ further }) => further);
            await server.admin('POST', `/agents/${desk.clientId}/resume`);
            return;
          }
          const { subject, effect, stops, back } = stopOf(nodes[choice % nodes.length] as Node, way);
          await revoked(subject, effect);
          await holds(all, ({ of }) => isOver(of, stops));
          if (back === undefined) return;
          await server.admin('POST', back);
          await holds(all, ({ of }) => isOver(of, stops));
        });
        await fc.assert(property, { numRuns: 2, endOnFailure: true });
      });
    }
  });
}
