/** Transaction tokens: what they say, what ends them and who hears of it, and how they are replaced. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { linkTag, signerFrom } from '@bailiwick/protocol';
import { feedHead } from '../liveness/feed-store.ts';
import { endMandate } from '../mandates/standing.ts';
import { findMandate } from '../mandates/store.ts';
import { type ExchangeScene, exchanged, exchangeScene } from '../testing/exchange.ts';
import { feedGuard } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import type { TokenClient } from '../testing/token-client.ts';
import { begun, replacing, type TransactionScene, transactionOf, transactionScene } from '../testing/transactions.ts';

interface Listed {
  items: { type: string; agent: string; decided_on: Record<string, unknown>; personal: Record<string, unknown> }[];
}

for (const database of databases) {
  describe(`transaction tokens, on ${database}`, () => {
    let server: TestServer;
    let scene: ExchangeScene;
    let of: TransactionScene;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await exchangeScene(server);
      of = await transactionScene(server, scene);
    });
    after(() => server.close());

    const spiffe = async (client: TokenClient) =>
      (await server.admin<{ subject: string }>('GET', `/agents/${client.clientId}`)).subject;
    const introspected = (client: TokenClient, token: string) => instanceClient(server, client).introspect(token);
    const revoke = async (client: TokenClient, token: string) => {
      const body = new URLSearchParams({ ...(await instanceClient(server, client).assertion()), token });
      const response = await fetch(`${server.issuer}/oauth2/revoke`, { method: 'POST', body });
      return [response.status, ((await response.json()) as { error?: string }).error];
    };
    const heads = (at: TransactionScene) =>
      Promise.all([at.front, at.stock, at.ledger].map(({ id }) => feedHead(server.deps.db, id)));

    test('whose it is and who acts stays as it was; who requests it is no actor', async () => {
      const { claims: was } = await exchanged(of.caller, of.mandate, { scope: 'book pay' });
      const details = { order: 7, parts: [{ sku: 'a' }] };
      const { token, header, claims, body } = await begun(of.gateway, of.token, {
        request_details: JSON.stringify(details),
        request_context: '{"req_ip":"192.0.2.7"}',
      });
      assert.deepEqual([header.typ, header.alg], ['txntoken+jwt', 'ES256']);
      assert.deepEqual(body, {
        access_token: token,
        token_type: 'N_A',
        expires_in: 300,
        scope: 'book',
        issued_token_type: 'urn:ietf:params:oauth:token-type:txn_token',
      });
      const { iat, exp, jti, links, rev: _, ...said } = claims;
      assert.deepEqual(said, {
        iss: server.issuer,
        aud: 'localhost',
        sub: scene.person,
        sub_profile: 'user',
        client_id: of.caller.clientId,
        org: was.org,
        txn: jti,
        scope: 'book',
        req_wl: await spiffe(of.gateway),
        tctx: details,
        rctx: { req_ip: '192.0.2.7' },
        act: was.act,
        mandate: of.mandate,
        resources: [of.stock.id, of.ledger.id],
      });
      assert.equal(exp - iat, 300);
      for (const id of [scene.person, of.gateway.clientId, of.gateway.credential, of.front.id, of.mandate]) {
        assert.ok(links.includes(linkTag(id)), id);
      }
      assert.ok(!token.includes(String(of.token.split('.')[2])), 'the token that it came of is not in it');
    });

    test('of an agent that acts for itself nobody else stands in it', async () => {
      const own = String((await of.caller.send({ resource: of.front.identifier, scope: 'book' })).body.access_token);
      const { claims } = await begun(of.gateway, own);
      const { sub, sub_profile, act, client_id } = claims;
      assert.deepEqual(
        [sub, sub_profile, act, client_id],
        [await spiffe(of.caller), 'ai_agent', undefined, of.caller.clientId],
      );
      assert.ok(!('tctx' in claims) && !('rctx' in claims));
    });

    test('an instance of the serving agent requests it by its own name, and an instance that acts stays', async () => {
      const [outer, inner] = [instanceClient(server, of.caller), instanceClient(server, of.gateway)];
      const [acting, serving] = [await outer.instance(), await inner.instance()];
      const own = await outer.tokenOf(acting, { resource: of.front.identifier, scope: 'book' });
      const { status, body } = await inner.tokenOf(serving, transactionOf(own.body.access_token));
      assert.equal(status, 200, JSON.stringify(body));
      const claims = JSON.parse(Buffer.from(String(body.access_token).split('.')[1] as string, 'base64url').toString());
      assert.deepEqual([claims.instance, claims.req_wl], [acting.id, `${await spiffe(of.gateway)}/${serving.id}`]);
      assert.ok(claims.links.includes(linkTag(serving.id)));
    });

    test('it never outlives five minutes, nor the token that it came of', async () => {
      const short = await scene.give(of.caller, {
        resources: [{ resource: of.front.identifier, scope: 'book' }],
        expires_in: 100,
      });
      const { token, claims: was } = await exchanged(of.caller, short);
      server.clock.advance(40_000);
      const { claims, body } = await begun(of.gateway, token);
      assert.deepEqual([claims.exp, body.expires_in], [was.exp, 60]);
    });

    test('`resource` names fewer of the services; one that isn’t active is left out', async () => {
      const world = await transactionScene(server, scene);
      const { claims } = await begun(world.gateway, world.token, { resource: world.ledger.identifier });
      assert.deepEqual(claims.resources, [world.ledger.id]);
      await server.admin('POST', `/resources/${world.stock.id}/retire`, { reason: 'a test' });
      assert.deepEqual((await begun(world.gateway, world.token)).claims.resources, [world.ledger.id]);
    });

    test('what the access token was granted in detail is told by our own word, and grants nothing', async () => {
      const granted = [{ type: 'payment', amount: 50, currency: 'EUR' }];
      const given = await scene.give(of.caller, {
        resources: [{ resource: of.front.identifier, scope: 'book', authorization_details: granted }],
      });
      const { token } = await exchanged(of.caller, given);
      const { claims } = await begun(of.gateway, token, { request_details: '{"order":7}' });
      assert.deepEqual(claims.tctx, { authorization_details: granted, order: 7 });
      assert.ok(!('authorization_details' in claims));
    });

    test('where it was called from stays outside, and at which hours goes on', async () => {
      const windows = [{ days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], from: '00:00', to: '24:00' }];
      const hours = [{ tz: 'UTC', windows }];
      const given = await scene.give(of.caller, {
        resources: [{ resource: of.front.identifier, scope: 'book' }],
        context: { ip: ['127.0.0.0/8', '::1'], hours },
      });
      const { token, claims: was } = await exchanged(of.caller, given);
      assert.ok(was.ctx?.ip && was.ctx.hours);
      const { claims } = await begun(of.gateway, token);
      assert.deepEqual(claims.ctx, { hours: was.ctx.hours });
    });

    test('policy may say no, to whoever serves, and hears on whose authority', async () => {
      const { id } = await server.admin<{ id: string }>('POST', '/policies', {
        name: 'inside',
        mode: 'enforce',
        reason: 'a test',
        text: `@id("not-inside") @reason("not inside") @public
          forbid (principal == Agent::"${(await spiffe(of.gateway)).split('/').at(-1)}", action == Action::"token:exchange", resource == Api::"${of.front.identifier}")
          when { context has subject && context.subject == "${scene.person}" && context has chain && context.chain.contains("${of.caller.clientId}") };`,
      });
      const { status, body } = await of.gateway.send(transactionOf(of.token));
      assert.deepEqual([status, body.error], [400, 'access_denied'], JSON.stringify(body));
      assert.match(String(body.error_description), /not inside/);
      await server.admin('POST', `/policies/${id}/remove`, { reason: 'the test is over' });
    });

    test('the log says who requested it and who acts, and nothing of what it is about', async () => {
      const { claims } = await begun(of.gateway, of.token, { request_details: '{"patient":"Ada"}' });
      const { items } = await server.admin<Listed>('GET', `/events?jti=${claims.jti}`);
      const [event] = items.filter(({ type }) => type === 'token.issued');
      assert.equal(event?.agent, of.gateway.clientId);
      assert.deepEqual(event.decided_on.transaction, {
        agent: of.caller.clientId,
        requested_by: [claims.req_wl],
        resources: [of.stock.id, of.ledger.id],
        txn: claims.txn,
      });
      assert.deepEqual(event.decided_on.chain, [await spiffe(of.caller)]);
      assert.equal(event.personal.person, scene.person);
      assert.ok(!JSON.stringify(event).includes('Ada'));
    });

    describe('ends', () => {
      type End = (at: TransactionScene) => Promise<unknown>;
      const ends: [what: string, end: End, isRefused?: boolean][] = [
        ['the token that it came of', ({ caller, token }) => revoke(caller, token)],
        [
          'the mandate',
          ({ mandate: id, caller }) =>
            server.deps.db.transaction(async (tx) => {
              const mandate = await findMandate(tx, id);
              assert.ok(mandate);
              return endMandate(tx, mandate, { reason: 'a test', by: caller.clientId, now: server.clock.now() });
            }),
        ],
        ['the agent that acts', ({ caller }) => server.admin('POST', `/agents/${caller.clientId}/suspend`, {})],
        [
          'that the requester serves what was called',
          ({ front }) => server.admin('PATCH', `/resources/${front.id}`, { served_by: [] }),
        ],
        [
          'that transactions may come there',
          ({ front, stock }) =>
            server.admin('PATCH', `/resources/${front.id}`, { token: { transactions: [stock.id] } }),
        ],
        [
          'the credential that requested it',
          ({ gateway }) => server.admin('DELETE', `/credentials/${gateway.credential}`),
        ],
        [
          'the agent that requested it',
          ({ gateway }) => server.admin('POST', `/agents/${gateway.clientId}/suspend`, {}),
        ],
        [
          'a role of the agent that acts',
          ({ caller, front }) => server.admin('DELETE', `/agents/${caller.clientId}/roles/${front.role}`),
        ],
      ];
      for (const [what, end] of ends) {
        test(`with ${what}, and every service that takes it hears of it`, async () => {
          const world = await transactionScene(server, scene);
          const guard = await introspecting(world.stock.id);
          const { token } = await begun(world.gateway, world.token);
          const replaced = await begun(world.clerk, token, replacing);
          assert.equal(await guard(token), true);
          assert.equal(await guard(replaced.token), true);
          const [, stock, ledger] = await heads(world);
          await end(world);
          assert.equal(await guard(token), false);
          assert.equal(await guard(replaced.token), false);
          const [, stockNow, ledgerNow] = await heads(world);
          assert.ok(Number(stockNow) > Number(stock) && Number(ledgerNow) > Number(ledger));
        });
      }

      test('by whoever requested it, and by nobody else; what replaced it ends with it', async () => {
        const world = await transactionScene(server, scene);
        const { token } = await begun(world.gateway, world.token);
        const replaced = await begun(world.clerk, token, replacing);
        const other = await begun(world.gateway, world.token);
        assert.deepEqual(await revoke(world.caller, token), [400, 'invalid_grant']);
        assert.deepEqual(await revoke(world.clerk, token), [400, 'invalid_grant']);
        assert.deepEqual(await revoke(world.gateway, replaced.token), [400, 'invalid_grant']);
        const [, stock, ledger] = await heads(world);
        assert.deepEqual(await revoke(world.gateway, token), [200, undefined]);
        const [, stockNow, ledgerNow] = await heads(world);
        assert.ok(
          Number(stockNow) > Number(stock) && Number(ledgerNow) > Number(ledger),
          'all that take it hear of it',
        );
        assert.equal((await introspected(world.gateway, token)).active, false);
        assert.equal((await introspected(world.clerk, replaced.token)).active, false);
        assert.equal((await introspected(world.gateway, other.token)).active, true);
        // nothing came of the other one: what was noted with it alone says who hears of its end
        assert.deepEqual(await revoke(world.gateway, other.token), [200, undefined]);
        const [, stockThen, ledgerThen] = await heads(world);
        assert.ok(Number(stockThen) > Number(stockNow) && Number(ledgerThen) > Number(ledgerNow));
      });

      test('by its id, as any token', async () => {
        const { claims, token } = await begun(of.gateway, of.token);
        await server.admin('POST', '/revocations', { kind: 'token', subject: claims.jti, reason: 'a test' });
        assert.equal((await introspected(of.gateway, token)).active, false);
      });

      test('at a service alone with the tokens of that service', async () => {
        const world = await transactionScene(server, scene);
        const [atStock, atLedger] = [await introspecting(world.stock.id), await introspecting(world.ledger.id)];
        const { token } = await begun(world.gateway, world.token);
        const [, , ledger] = await heads(world);
        await server.admin('PATCH', `/resources/${world.stock.id}`, { served_by: [] });
        assert.deepEqual([await atStock(token), await atLedger(token)], [false, true]);
        assert.equal((await heads(world))[2], ledger);
      });
    });

    /** Asks as a guard of this resource. */
    const introspecting = async (resource: string) => {
      const { sdk: _, jwk, agent } = await feedGuard(server, resource);
      const guard = instanceClient(server, { ...of.caller, clientId: agent, signer: signerFrom(jwk) });
      return async (token: string) => (await guard.introspect(token)).active as boolean;
    };

    test('it is told of to whoever requested it and to guards of what takes it, and to nobody else', async () => {
      const { token, claims } = await begun(of.gateway, of.token);
      const seen = await introspected(of.gateway, token);
      assert.deepEqual([seen.active, seen.token_type, seen.txn], [true, 'N_A', claims.txn]);
      assert.equal((await introspected(of.caller, token)).active, false);
      assert.equal((await introspected(of.clerk, token)).active, false);
      assert.equal(await (await introspecting(of.stock.id))(token), true);
      assert.equal(await (await introspecting(of.front.id))(token), false);
      assert.equal(await (await introspecting(of.stock.id))(of.token), false);
    });

    describe('replaced', () => {
      test('keeps the transaction, whose it is and who acts, and all that was said; the requester is added', async () => {
        const first = await begun(of.gateway, of.token, {
          scope: 'book pay',
          request_details: '{"order":7}',
          request_context: '{"req_ip":"192.0.2.7"}',
        });
        server.clock.advance(10_000);
        const { claims } = await begun(of.clerk, first.token, {
          ...replacing,
          scope: 'book',
          resource: of.ledger.identifier,
          request_details: '{"reserved":3,"order":7}',
          request_context: '{"shelf":"b"}',
        });
        const { sub, sub_profile, client_id, act, aud, txn, mandate, org, exp } = first.claims;
        for (const [name, value] of Object.entries({ sub, sub_profile, client_id, act, aud, txn, mandate, org, exp })) {
          assert.deepEqual(claims[name as keyof typeof claims], value, name);
        }
        assert.notEqual(claims.jti, first.claims.jti);
        assert.deepEqual(claims.tctx, { order: 7, reserved: 3 });
        assert.deepEqual(claims.rctx, { req_ip: '192.0.2.7', shelf: 'b' });
        assert.deepEqual([claims.scope, claims.resources], ['book', [of.ledger.id]]);
        assert.deepEqual([claims.req_wl_before, claims.req_wl], [[await spiffe(of.gateway)], await spiffe(of.clerk)]);
        assert.ok(claims.links.includes(linkTag(first.claims.jti)));
      });

      test('as often as a transaction needs it, and not without end', async () => {
        let { token } = await begun(of.gateway, of.token);
        for (let i = 0; i < 5; i++) token = (await begun(of.clerk, token, replacing)).token;
        const { status, body } = await of.clerk.send(transactionOf(token, replacing));
        assert.deepEqual([status, body.error], [400, 'invalid_request']);
        assert.match(String(body.error_description), /too often/);
      });
    });
  });
}
