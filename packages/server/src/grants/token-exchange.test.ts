/** Acting for somebody: what an exchanged token says, what bounds it, what ends it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { linkTag } from '@bailiwick/protocol';
import { endMandate, pauseMandate } from '../mandates/standing.ts';
import { findMandate } from '../mandates/store.ts';
import { type ExchangeScene, exchanged, exchangeOf, exchangeScene } from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import type { TokenClient } from '../testing/token-client.ts';

interface Listed {
  items: {
    type: string;
    reason?: string;
    decided_on: Record<string, unknown> & { error?: string; asked?: { mandate?: string } };
    personal: Record<string, unknown>;
  }[];
}

for (const database of databases) {
  describe(`token exchange, on ${database}`, () => {
    let server: TestServer;
    let scene: ExchangeScene;
    let agent: TokenClient;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await exchangeScene(server);
      agent = await scene.agent();
    });
    after(() => server.close());

    const spiffe = async (client: TokenClient) =>
      (await server.admin<{ subject: string }>('GET', `/agents/${client.clientId}`)).subject;
    const introspected = (client: TokenClient, token: string) => instanceClient(server, client).introspect(token);
    const refused = async (client: Pick<TokenClient, 'send'>, form: Record<string, string>, error: string) => {
      const { status, body } = await client.send(form);
      assert.deepEqual([status, body.error], [400, error], JSON.stringify(body));
      return String(body.error_description);
    };
    /** As whoever may stop it does. */
    const stop = (id: string, how: typeof endMandate) =>
      server.deps.db.transaction(async (tx) => {
        const mandate = await findMandate(tx, id);
        assert.ok(mandate);
        return how(tx, mandate, { reason: 'a test', by: agent.clientId, now: server.clock.now() });
      });
    const mandateOf = (id: string) =>
      server.admin<{ ledger: { counter: string; spent: number }[] }>('GET', `/mandates/${id}`);

    describe('on a mandate', () => {
      test('the token names the person and the actor, and links all that it rests on', async () => {
        const mandate = await scene.give(agent);
        const { claims, body, token } = await exchanged(agent, mandate, { scope: 'book' });
        assert.equal(body.issued_token_type, 'urn:ietf:params:oauth:token-type:access_token');
        assert.equal(body.token_type, 'DPoP');
        assert.equal(body.narrowed, undefined);
        const { sub, sub_profile, client_id, act, scope, aud } = claims;
        assert.deepEqual(
          { sub, sub_profile, client_id, act, scope, aud, mandate: claims.mandate },
          {
            sub: scene.person,
            sub_profile: 'user',
            client_id: agent.clientId,
            act: { sub: await spiffe(agent), iss: server.issuer, sub_profile: 'ai_agent' },
            scope: 'book',
            aud: scene.api.identifier,
            mandate,
          },
        );
        for (const id of [mandate, scene.person, scene.api.id]) assert.ok(claims.links.includes(linkTag(id)), id);
        const seen = await introspected(agent, token);
        assert.deepEqual([seen.active, seen.act, seen.mandate], [true, act, mandate]);
      });

      test('on record with mandate and chain, and with the person only where it can be erased', async () => {
        const mandate = await scene.give(agent);
        const { claims } = await exchanged(agent, mandate);
        const { items } = await server.admin<Listed>('GET', `/events?jti=${claims.jti}`);
        const [event] = items.filter(({ type }) => type === 'token.issued');
        assert.equal(event?.decided_on.mandate, mandate);
        assert.deepEqual(event?.decided_on.chain, [await spiffe(agent)]);
        assert.equal(event?.personal.person, scene.person);
        const { personal: _, ...open } = event ?? {};
        const { links, ...decidedOn } = (open as { decided_on: Record<string, unknown> }).decided_on;
        assert.ok(!JSON.stringify({ ...open, decided_on: decidedOn }).includes(scene.person));
        const found = await server.admin<Listed>('GET', `/events?person=${scene.person}&type=token.issued`);
        assert.ok(found.items.length > 0);
      });

      test('what is not named is all that is allowed, and what was left out is told', async () => {
        const narrow = await scene.anotherApi();
        const reader = await scene.agent([narrow]);
        await server.admin('PATCH', `/roles/${narrow.role}`, {
          permissions: [{ resource: narrow.id, scopes: ['book', 'read'] }],
        });
        const resources = [{ resource: narrow.identifier, scope: 'book pay' }];
        const mandate = await scene.give(reader, { resources, expires_in: 60 });
        const { claims, body } = await exchanged(reader, mandate);
        assert.equal(claims.scope, 'book');
        assert.equal(body.expires_in, 60);
        assert.deepEqual(body.narrowed, [
          { what: 'scope', value: 'pay', by: 'roles' },
          { what: 'lifetime', by: `mandate ${mandate}` },
        ]);
      });

      test('what is named and beyond is refused in the name of the link that doesn’t allow it', async () => {
        const mandate = await scene.give(agent, {
          resources: [
            {
              resource: scene.api.identifier,
              scope: 'book',
              authorization_details: [{ type: 'payment', amount: 50, currency: 'EUR' }],
            },
          ],
        });
        const scope = await refused(agent, exchangeOf(mandate, { scope: 'book read' }), 'invalid_scope');
        assert.match(scope, new RegExp(`mandate ${mandate} does not allow read`));
        const pay = (amount: number) => JSON.stringify([{ type: 'payment', amount, currency: 'EUR' }]);
        const details = exchangeOf(mandate, { authorization_details: pay(51) });
        assert.match(await refused(agent, details, 'invalid_authorization_details'), new RegExp(mandate));
        const good = await exchanged(agent, mandate, { authorization_details: pay(50) });
        assert.deepEqual(good.claims.authorization_details, [{ type: 'payment', amount: 50, currency: 'EUR' }]);
        assert.equal(good.claims.scope, '');
        const whole = await exchanged(agent, mandate);
        assert.equal(whole.claims.scope, 'book');
        assert.deepEqual(whole.claims.authorization_details, [{ type: 'payment', amount: 50, currency: 'EUR' }]);
      });

      test('a bound that leaves something open is no detail of a token', async () => {
        const mandate = await scene.give(agent, {
          resources: [
            {
              resource: scene.api.identifier,
              scope: 'book',
              authorization_details: [{ type: 'payment', amount: 50 }],
            },
          ],
        });
        const { claims, body } = await exchanged(agent, mandate);
        assert.equal(claims.authorization_details, undefined);
        assert.deepEqual(body.narrowed, [{ what: 'authorization_details', value: 'payment', by: 'request' }]);
      });

      test('its place bounds the token, and nobody gets one for where they aren’t', async () => {
        const mandate = await scene.give(agent, { context: { ip: ['127.0.0.0/8', '::1'] } });
        const { claims, body } = await exchanged(agent, mandate);
        assert.deepEqual(claims.ctx, { ip: ['127.0.0.0/8', '::1'] });
        assert.deepEqual(body.narrowed, [{ what: 'context', by: `mandate ${mandate}` }]);
        const elsewhere = await scene.give(agent, { context: { ip: ['10.0.0.0/8'] } });
        await refused(agent, exchangeOf(elsewhere), 'access_denied');
      });

      test('a mandate for a task takes that task', async () => {
        const orchestrator = await orchestratorClient(server);
        const mandate = await scene.give(agent, { task: { workflow: 'travel' } });
        assert.match(await refused(agent, exchangeOf(mandate), 'invalid_grant'), /is for a task/);
        const other = await orchestrator.open(agent.clientId, { workflow: 'billing' });
        await refused(agent, exchangeOf(mandate, { task: other.id }), 'invalid_grant');
        await refused(agent, exchangeOf(mandate, { declared_workflow: 'travel' }), 'invalid_grant');
        const task = await orchestrator.open(agent.clientId, { workflow: 'travel' });
        assert.equal((await exchanged(agent, mandate, { task: task.id })).claims.task?.id, task.id);
      });

      test('counters are spent with the token, and with nothing else', async () => {
        const mandate = await scene.give(agent, {
          resources: [
            {
              resource: scene.api.identifier,
              scope: 'book',
              authorization_details: [{ type: 'payment', amount: 500 }],
            },
          ],
          limits: {
            uses: 3,
            amounts: [{ type: 'payment', amount: '/amount', unit: { at: '/currency', is: 'EUR' }, total: 100.5 }],
          },
        });
        const pay = (amount: unknown, currency = 'EUR') =>
          exchangeOf(mandate, { authorization_details: JSON.stringify([{ type: 'payment', amount, currency }]) });
        const spent = async () => (await mandateOf(mandate)).ledger.map((each) => each.spent);
        assert.equal((await agent.send(pay(60.25))).status, 200);
        assert.deepEqual(await spent(), [60.25, 1]);
        assert.match(await refused(agent, pay(40.26), 'invalid_grant'), /less left of limits\.amounts\[0\]/);
        assert.match(await refused(agent, pay(1, 'USD'), 'invalid_authorization_details'), /unit/);
        await refused(agent, pay(-1), 'invalid_authorization_details');
        await refused(agent, pay(0.000_000_1), 'invalid_authorization_details');
        assert.deepEqual(await spent(), [60.25, 1]);
        assert.equal((await agent.send(pay(40.25))).status, 200);
        assert.equal((await agent.send(exchangeOf(mandate, { scope: 'book' }))).status, 200);
        assert.match(await refused(agent, exchangeOf(mandate, { scope: 'book' }), 'invalid_grant'), /no use left/);
        assert.deepEqual(await spent(), [100.5, 3]);
        const { items } = await server.admin<Listed>(
          'GET',
          `/events?agent=${agent.clientId}&type=token.refused&limit=1`,
        );
        assert.equal(items[0]?.decided_on.error, 'invalid_grant');
        assert.equal(items[0]?.decided_on.asked?.mandate, mandate);
      });

      const ends: [what: string, end: (mandate: string, client: TokenClient) => Promise<unknown>][] = [
        ['the mandate paused', (id) => stop(id, pauseMandate)],
        ['the mandate ended', (id) => stop(id, endMandate)],
        ['its agent suspended', (_, { clientId }) => server.admin('POST', `/agents/${clientId}/suspend`, {})],
      ];
      for (const [what, end] of ends) {
        test(`${what} ends its tokens, and gives no more`, async () => {
          const other = await scene.agent();
          const mandate = await scene.give(other);
          const kept = await exchanged(agent, await scene.give(agent));
          const { token } = await exchanged(other, mandate);
          await end(mandate, other);
          const { body } = await other.send(exchangeOf(mandate));
          assert.ok(['invalid_request', 'unauthorized_client', 'invalid_client'].includes(String(body.error)));
          assert.equal((await introspected(agent, kept.token)).active, true);
          if (what.startsWith('the mandate')) assert.equal((await introspected(other, token)).active, false);
        });
      }
    });
  });
}
