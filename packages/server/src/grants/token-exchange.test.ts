/** Acting for somebody: what an exchanged token says, what bounds it, what ends it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AccessTokenClaims, linkTag, parseCompact } from '@bailiwick/protocol';
import { feedHead } from '../liveness/feed-store.ts';
import { endMandate, pauseMandate } from '../mandates/standing.ts';
import { findMandate } from '../mandates/store.ts';
import { accessTokenType, type ExchangeScene, exchanged, exchangeOf, exchangeScene } from '../testing/exchange.ts';
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
        assert.ok(!JSON.stringify(open).includes(scene.person));
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

      test('policy hears on whose authority, by which mandate and after whom; what it limits is told', async () => {
        const api = await scene.anotherApi();
        const [first, second] = [await scene.agent([api]), await scene.agent([api])];
        await server.admin('PATCH', `/resources/${api.id}`, { served_by: [second.clientId] });
        const resources = [{ resource: api.identifier, scope: 'book pay' }];
        const mandate = await scene.give(first, { resources, passing: { depth: 1 } });
        const here = `action == Action::"token:exchange", resource == Api::"${api.identifier}"`;
        const { id } = await server.admin<{ id: string }>('POST', '/policies', {
          name: 'exchanges',
          mode: 'enforce',
          reason: 'a test',
          text: `
            @id("short") @limit_lifetime("60")
            permit (principal, ${here})
            when { context has mandate && context.mandate == "${mandate}" && context has subject && context.subject == "${scene.person}" };
            @id("not-after") @reason("not after that one") @public
            forbid (principal, ${here})
            when { context has chain && context.chain.contains("${first.clientId}") && context.chain_depth == 2 && context.scope.contains("pay") };`,
        });
        const { body, token } = await exchanged(first, mandate);
        assert.deepEqual([body.expires_in, body.narrowed], [60, [{ what: 'lifetime', by: 'policy' }]]);
        assert.match(await refused(second, exchangeOf(token), 'access_denied'), /not after that one/);
        assert.equal((await exchanged(second, token, { scope: 'book' })).claims.scope, 'book');
        await server.admin('POST', `/policies/${id}/remove`, { reason: 'the test is over' });
      });

      test('an actor_token says which instance it is that acts', async () => {
        const at = instanceClient(server, agent);
        const instance = await at.instance();
        const own = await at.tokenOf(instance, { resource: scene.api.identifier });
        const htu = `${server.issuer}/oauth2/token`;
        const nonce = server.deps.nonces.current(server.clock.now());
        const response = await fetch(htu, {
          method: 'POST',
          headers: { dpop: await at.proofBy(instance.signer, 'POST', htu, { nonce }) },
          body: new URLSearchParams({
            ...(await at.assertion()),
            ...exchangeOf(await scene.give(agent), {
              actor_token: own.body.access_token,
              actor_token_type: accessTokenType,
            }),
          }),
        });
        const body = (await response.json()) as Record<string, unknown>;
        assert.equal(response.status, 200, JSON.stringify(body));
        const claims = parseCompact(String(body.access_token)).payload as unknown as AccessTokenClaims;
        assert.deepEqual([claims.instance, claims.act?.sub], [instance.id, `${await spiffe(agent)}/${instance.id}`]);
      });

      test('a mandate for an instance works for that and those below it', async () => {
        const parent = await scene.agent([scene.api], { instances: { depth: 1 } });
        const at = instanceClient(server, parent);
        const [instance, other] = [await at.instance(), await at.instance()];
        const child = await at.child(instance);
        const form = exchangeOf(await scene.give(parent, { instance: instance.id }));
        assert.equal((await at.tokenOf(instance, form)).status, 200);
        assert.equal((await at.tokenOf(child, form)).status, 200);
        assert.equal((await at.tokenOf(other, form)).body.error, 'invalid_request');
        assert.equal((await parent.send(form)).body.error, 'invalid_request');
      });
    });

    describe('of an access token', () => {
      /** An API that `server` serves, a caller's token on a mandate for it, and a second API below it. */
      const world = async (mandate: Record<string, unknown> = { passing: { depth: 4 } }) => {
        const [front, back] = [await scene.anotherApi(), await scene.anotherApi()];
        const caller = await scene.agent([front, back]);
        const service = await scene.agent([front, back]);
        await server.admin('PATCH', `/resources/${front.id}`, { served_by: [service.clientId] });
        const given = await scene.give(caller, {
          resources: [
            { resource: front.identifier, scope: 'book pay' },
            { resource: back.identifier, scope: 'book' },
          ],
          ...mandate,
        });
        const token = (await exchanged(caller, given, { resource: front.identifier })).token;
        return { front, back, caller, service, given, token };
      };

      test('who serves the resource goes on for whoever called, in front of the chain', async () => {
        const { back, caller, service, given, token } = await world();
        const { claims, body } = await exchanged(service, token, { audience: back.identifier });
        assert.deepEqual([claims.sub, claims.sub_profile, claims.mandate], [scene.person, 'user', given]);
        assert.deepEqual(claims.act, {
          sub: await spiffe(service),
          iss: server.issuer,
          sub_profile: 'ai_agent',
          act: { sub: await spiffe(caller), iss: server.issuer, sub_profile: 'ai_agent' },
        });
        assert.deepEqual([claims.aud, claims.scope], [back.identifier, 'book']);
        assert.deepEqual(body.narrowed, [{ what: 'scope', value: 'pay', by: `mandate ${given}` }]);
        const { items } = await server.admin<Listed>('GET', `/events?jti=${claims.jti}`);
        const shown = JSON.parse(Buffer.from(String(token.split('.')[1]), 'base64url').toString()) as { jti: string };
        assert.equal(items[0]?.decided_on.subject_token, shown.jti);
      });

      test('a resource is served by agents of its organization', async () => {
        const { front } = await world();
        const org = await server.admin<{ id: string }>('POST', '/organizations', { name: `org-${front.id.slice(-8)}` });
        const team = await server.admin<{ id: string }>('POST', `/teams?organization=${org.id}`, { name: 'team' });
        const elsewhere = { name: 'elsewhere', kind: 'workload', owner: team.id };
        const { id } = await server.admin<{ id: string }>('POST', `/agents?organization=${org.id}`, elsewhere);
        for (const served_by of [[id], ['agt_01hzzzzzzzzzzzzzzzzzzzzzzz'], ['x']]) {
          await assert.rejects(
            server.admin('PATCH', `/resources/${front.id}`, { served_by }),
            /4(00|22) .*served_by\[0\]/,
          );
        }
      });

      test('only a scope that the caller’s token has', async () => {
        const { front, caller, service, given } = await world();
        const narrow = await exchanged(caller, given, { resource: front.identifier, scope: 'book' });
        const form = exchangeOf(narrow.token, { resource: front.identifier, scope: 'pay' });
        assert.match(await refused(service, form, 'invalid_scope'), /subject_token does not allow pay/);
      });

      const ends: [what: string, end: (of: Awaited<ReturnType<typeof world>>) => Promise<unknown>][] = [
        [
          'the token that it came from',
          async ({ caller, token }) => {
            const assertion = await instanceClient(server, caller).assertion();
            const body = new URLSearchParams({ ...assertion, token });
            const { status } = await fetch(`${server.issuer}/oauth2/revoke`, { method: 'POST', body });
            assert.equal(status, 200);
          },
        ],
        ['the mandate', ({ given }) => stop(given, endMandate)],
        ['the agent that called', ({ caller }) => server.admin('POST', `/agents/${caller.clientId}/suspend`, {})],
        [
          'that it serves the resource',
          ({ front }) => server.admin('PATCH', `/resources/${front.id}`, { served_by: [] }),
        ],
        [
          'a role of the agent that called',
          ({ caller, front }) => server.admin('DELETE', `/agents/${caller.clientId}/roles/${front.role}`),
        ],
      ];
      for (const [what, end] of ends) {
        test(`it ends with ${what}, and the API that it is for hears of it`, async () => {
          const of = await world();
          const { token } = await exchanged(of.service, of.token, { resource: of.back.identifier, scope: 'book' });
          assert.equal((await introspected(of.service, token)).active, true);
          const before = await feedHead(server.deps.db, of.back.id);
          await end(of);
          assert.equal((await introspected(of.service, token)).active, false);
          assert.ok((await feedHead(server.deps.db, of.back.id)) > before);
          await refused(of.service, exchangeOf(of.token, { resource: of.back.identifier }), 'invalid_request');
        });
      }

      test('a mandate says how often, and to whom, it may come', async () => {
        const { back, service, token } = await world({ passing: { depth: 0 } });
        const form = (subject: string) => exchangeOf(subject, { resource: back.identifier, scope: 'book' });
        assert.match(await refused(service, form(token), 'invalid_request'), /passed on 0 times/);
        const others = await world({ passing: { depth: 3, to: [agent.clientId] } });
        const other = exchangeOf(others.token, { resource: others.back.identifier, scope: 'book' });
        assert.match(await refused(others.service, other, 'invalid_request'), /not be passed on to this agent/);
      });

      test('its own client gets a narrower one with its key, and the chain stays', async () => {
        const { back, front, caller, token } = await world({ passing: { depth: 0 } });
        const { claims } = await exchanged(caller, token, { scope: 'book' });
        assert.deepEqual([claims.scope, claims.act?.sub, claims.act?.act], ['book', await spiffe(caller), undefined]);
        await refused(caller, exchangeOf(token, { resource: back.identifier, scope: 'pay' }), 'invalid_scope');
        const own = await caller.send({ resource: front.identifier, scope: 'book pay' });
        const narrower = await exchanged(caller, String(own.body.access_token), { scope: 'pay' });
        assert.deepEqual([narrower.claims.act, narrower.claims.sub], [undefined, await spiffe(caller)]);
      });

      test('a token that names who may act is exchanged by that agent, and by nobody else but its own client', async () => {
        const { front, back, caller, service } = await world();
        const named = await scene.agent([front, back]);
        const asked = { resource: front.identifier, scope: 'book', may_act: named.clientId };
        const own = String((await caller.send(asked)).body.access_token);
        const claimed = JSON.parse(Buffer.from(String(own.split('.')[1]), 'base64url').toString()) as {
          may_act: object;
        };
        assert.deepEqual(claimed.may_act, { sub: await spiffe(named), iss: server.issuer });
        const { claims } = await exchanged(named, own);
        assert.deepEqual([claims.sub, claims.sub_profile], [await spiffe(caller), 'ai_agent']);
        assert.deepEqual(claims.act, { sub: await spiffe(named), iss: server.issuer, sub_profile: 'ai_agent' });
        assert.equal(claims.may_act, undefined);
        await refused(service, exchangeOf(own), 'invalid_request');
        assert.equal((await caller.send(exchangeOf(own))).status, 200);
        await refused(
          caller,
          { ...asked, may_act: 'agt_01hzzzzzzzzzzzzzzzzzzzzzzz', grant_type: 'client_credentials' },
          'invalid_request',
        );
      });

      test('nobody does in the name of an agent what that couldn’t do itself', async () => {
        const { front, back, service } = await world();
        const caller = await scene.agent([front]);
        const own = String((await caller.send({ scope: 'book' })).body.access_token);
        const form = exchangeOf(own, { resource: back.identifier, scope: 'book' });
        assert.match(await refused(service, form, 'invalid_scope'), /the subject itself/);
        assert.equal((await service.send(exchangeOf(own, { resource: front.identifier }))).status, 200);
      });

      test('a chain has five actors at most, and nobody twice', async () => {
        const { front, caller, given, service } = await world();
        const agents = await Promise.all(Array.from({ length: 5 }, () => scene.agent([front])));
        const served = [service, caller, ...agents].map(({ clientId }) => clientId);
        await server.admin('PATCH', `/resources/${front.id}`, { served_by: served });
        let { token } = await exchanged(caller, given, { resource: front.identifier, scope: 'book' });
        for (const each of agents.slice(0, 4)) token = (await exchanged(each, token)).token;
        assert.match(
          await refused(agents[4] as TokenClient, exchangeOf(token), 'invalid_request'),
          /5 actors|passed on/,
        );
        const twice = (
          await exchanged(
            agents[0] as TokenClient,
            (
              await exchanged(caller, given, { resource: front.identifier })
            ).token,
          )
        ).token;
        assert.match(await refused(caller, exchangeOf(twice), 'invalid_request'), /twice/);
      });

      test('it carries the task of whoever called, and no other', async () => {
        const { front, caller, service, given } = await world();
        const orchestrator = await orchestratorClient(server);
        const task = await orchestrator.open(caller.clientId);
        const { token } = await exchanged(caller, given, { resource: front.identifier, task: task.id });
        assert.equal((await exchanged(service, token)).claims.task?.id, task.id);
        const other = await orchestrator.open(service.clientId);
        await refused(service, exchangeOf(token, { task: other.id }), 'invalid_grant');
      });

      test('a child instance, by its own key, gets a part of its parent’s', async () => {
        const { front } = await world();
        const parent = await scene.agent([front], { instances: { depth: 1 } });
        const instances = instanceClient(server, parent);
        const of = await instances.instance();
        const own = await instances.tokenOf(of, { resource: front.identifier, scope: 'book pay' });
        const child = await instances.child(of, { allowed: [{ resource: front.identifier, scope: 'book' }] });
        assert.equal(child.status, 201, JSON.stringify(child.body));
        const { status, body } = await instances.tokenOf(child, exchangeOf(String(own.body.access_token)));
        assert.equal(status, 200, JSON.stringify(body));
        assert.deepEqual([body.scope, body.narrowed], ['book', [{ what: 'scope', value: 'pay', by: 'instance' }]]);
        const stranger = await instances.instance();
        const refusal = await instances.tokenOf(stranger, exchangeOf(String(own.body.access_token)));
        assert.equal(refusal.body.error, 'invalid_request');
      });
    });
  });
}
