/**
 * Transaction tokens (draft-ietf-oauth-transaction-tokens): asked for by a client that we did not write and verified by `jose`; and all the way, an API
 * behind a guard that goes on inside of the trust domain by the SDK, with services behind guards of their own.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Agent, BailiwickError, createAgent, transactionOf } from '@bailiwick/agent';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import * as oauth from 'oauth4webapi';
import { type Caller, createGuard, type Guard, sendAnswer } from '../packages/guard/src/index.ts';
import { systemClock } from '../packages/server/src/lib/clock.ts';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { until } from '../packages/server/src/testing/until.ts';
import type { Client } from './craft.ts';
import { cryptoKey } from './web-crypto.ts';
import { databases, openWorld, type World } from './world.ts';

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessToken = 'urn:ietf:params:oauth:token-type:access_token';
const transactionToken = 'urn:ietf:params:oauth:token-type:txn_token';
const insecure = { [oauth.allowInsecureRequests]: true };

for (const database of databases) {
  describe(`transaction tokens by clients of others, server on ${database}`, () => {
    let world: World;
    let token: string;
    const caller = () => world.agents.ES256;
    const gateway = () => world.agents.EdDSA;
    const clerk = () => world.agents.PS256;

    before(async () => {
      world = await openWorld(database);
      const { admin } = world.operator;
      for (const { id } of [gateway(), clerk()]) {
        await admin('PATCH', `/agents/${id}`, { grants: ['client_credentials', exchange] });
      }
      const { tickets, open } = world.given;
      await admin('PATCH', `/resources/${tickets.id}`, {
        served_by: [gateway().id],
        token: { transactions: [open.id], dangerously_bearer: true },
      });
      await admin('PATCH', `/resources/${open.id}`, { served_by: [clerk().id] });
      token = (
        await ask(caller(), 'client_credentials', { resource: tickets.identifier, scope: 'tickets:read tickets:write' })
      ).access_token;
    });
    after(() => world.close());

    async function ask(agent: Client, grant: string, parameters: Record<string, string>) {
      const issuer = new URL(world.issuer);
      const as = await oauth.processDiscoveryResponse(
        issuer,
        await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
      );
      const client: oauth.Client = { client_id: agent.id, [oauth.clockSkew]: world.clockSkew() };
      const auth = oauth.PrivateKeyJwt({ key: await cryptoKey(agent.key), kid: agent.key.kid });
      const response = await oauth.genericTokenEndpointRequest(as, client, auth, grant, parameters, insecure);
      return oauth.processGenericTokenEndpointResponse(as, client, response, {
        recognizedTokenTypes: { n_a: () => {} },
      });
    }
    const transaction = (agent: Client, more: Record<string, string>) =>
      ask(agent, exchange, {
        requested_token_type: transactionToken,
        audience: 'localhost',
        scope: 'tickets:read',
        subject_token_type: accessToken,
        ...more,
      });
    const verified = (jwt: string) =>
      jwtVerify(jwt, createRemoteJWKSet(new URL(world.jwksUri)), {
        issuer: world.issuer,
        audience: 'localhost',
        typ: 'txntoken+jwt',
        requiredClaims: ['iat', 'exp', 'txn', 'sub', 'scope', 'req_wl'],
        currentDate: new Date(world.now() * 1000),
      });

    test('the answer and the token are as the draft has them', async () => {
      const answer = await transaction(gateway(), {
        subject_token: token,
        request_details: '{"ticket":"7"}',
        request_context: '{"req_ip":"192.0.2.7"}',
      });
      assert.deepEqual([answer.token_type, answer.issued_token_type], ['n_a', transactionToken]);
      assert.equal(answer.refresh_token, undefined);
      const { payload, protectedHeader } = await verified(answer.access_token);
      assert.ok(protectedHeader.kid);
      assert.ok((payload.exp as number) - (payload.iat as number) <= 300);
      assert.deepEqual([payload.tctx, payload.rctx], [{ ticket: '7' }, { req_ip: '192.0.2.7' }]);
      assert.match(String(payload.req_wl), /^spiffe:\/\/localhost\/default\/asks-with-eddsa$/);
      assert.match(String(payload.sub), /^spiffe:\/\/localhost\/default\/asks-with-es256$/);
      assert.ok(!JSON.stringify(payload).includes(token), 'the access token is not in it');
      assert.equal(decodeProtectedHeader(token).typ, 'at+jwt');
    });

    test('a replacement keeps the transaction', async () => {
      const first = await transaction(gateway(), { subject_token: token, request_details: '{"ticket":"7"}' });
      const second = await transaction(clerk(), {
        subject_token: first.access_token,
        subject_token_type: transactionToken,
        request_details: '{"clerk":1}',
      });
      const [{ payload: was }, { payload: is }] = [
        await verified(first.access_token),
        await verified(second.access_token),
      ];
      for (const claim of ['txn', 'sub', 'aud', 'exp']) assert.deepEqual(is[claim], was[claim], claim);
      assert.deepEqual(is.tctx, { ticket: '7', clerk: 1 });
      assert.deepEqual(is.req_wl_before, [was.req_wl]);
    });

    for (const [what, by, form, error] of [
      ['a wider scope than the access token’s', gateway, { scope: 'tickets:read tickets:delete' }, 'invalid_scope'],
      ['no scope', gateway, { scope: '' }, 'invalid_request'],
      ['another trust domain', gateway, { audience: 'elsewhere.example' }, 'invalid_target'],
      [
        'a refresh token',
        gateway,
        { subject_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
        'invalid_request',
      ],
      ['somebody who doesn’t serve what was called', clerk, {}, 'invalid_request'],
    ] as const) {
      test(`refused: ${what}`, async () => {
        await assert.rejects(transaction(by(), { subject_token: token, ...form }), { error });
      });
    }
  });

  describe(`inside of a trust domain, on ${database}`, () => {
    let server: TestServer;
    let caller: Agent;
    let owner: string;
    const closing: (() => Promise<void>)[] = [];
    const post = (path: string, body: object = {}) => server.admin<{ id: string; agent: string }>('POST', path, body);
    const patch = (path: string, body: object) => server.admin('PATCH', path, body);
    type Service = { base: string; id: string; guard: Guard; calls: (string | undefined)[] };
    const services = {} as Record<'desk' | 'stock' | 'ledger', Service>;

    /** A service behind its guard, inside or at the edge. */
    async function service(
      name: keyof typeof services,
      isInside: boolean,
      answer: (request: IncomingMessage, caller: Caller) => Promise<unknown>,
    ): Promise<void> {
      let guard: Guard | undefined;
      const calls: (string | undefined)[] = [];
      const listener = createServer(async (request, response) => {
        const decision = await (guard as Guard).check(request);
        if (!decision.allowed) return sendAnswer(response, decision);
        calls.push(request.headers.authorization);
        response.end(JSON.stringify((await answer(request, decision.caller)) ?? null));
      }).listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const base = `http://localhost:${(listener.address() as AddressInfo).port}`;
      const { id } = await post('/resources', {
        identifier: base,
        name,
        scopes: [{ name: 'order' }],
        operations: [{ name: `order at ${name}`, method: 'POST', path: '/orders', scope: ['order'] }],
      });
      const jwk = await generateJwk('ES256');
      const registered = await post('/guards', { name: `${name}-guard`, resource: id, owner, jwk: publicJwk(jwk) });
      guard = createGuard({
        issuer: server.issuer,
        resource: base,
        credential: { client_id: registered.agent, jwk },
        ...(isInside && { transactions: { trustDomain: 'localhost' } }),
        report: () => {},
      });
      await guard.ready();
      services[name] = { base, id, guard, calls };
      closing.push(async () => {
        await guard?.close();
        listener.closeAllConnections();
        listener.close();
      });
    }

    async function registered(name: string, more: object): Promise<Agent> {
      const key = await generateJwk('ES256');
      const { id } = await post('/agents', { name, kind: 'workload', owner, ...more });
      await post('/credentials', { agent: id, jwk: publicJwk(key) });
      return createAgent({ issuer: server.issuer, clientId: id, key });
    }
    const ordered = async (body = '{}') => {
      const response = await caller.fetch(`${services.desk.base}/orders`, { method: 'POST', body });
      return { status: response.status, body: (await response.json()) as Told };
    };
    interface Told {
      agent: string;
      transaction: Caller['transaction'];
      further?: Told & { error?: string };
    }

    before(async () => {
      server = await startServer({ database, clock: { ...systemClock, advance: () => {} } });
      owner = (await post('/teams', { name: 'shop' })).id;
      const serving = { grants: [exchange] };
      const [gateway, clerk] = [await registered('gateway', serving), await registered('clerk', serving)];
      const onward = async (response: Promise<Response>) => (await response).json();
      await service('desk', false, async (request, { agent }) => {
        const inside = await gateway.transaction(request, {
          scope: 'order',
          details: { item: 'tea' },
          context: { by: agent },
        });
        return onward(inside.fetch(`${services.stock.base}/orders`, { method: 'POST' }));
      });
      await service('stock', true, async (request, { agent, transaction }) => {
        const added = await clerk.transaction(request, { scope: 'order', details: { shelf: 'b' } });
        const asItCame = await onward(
          transactionOf(request).fetch(`${services.ledger.base}/orders`, { method: 'POST' }),
        );
        const further = await onward(added.fetch(`${services.ledger.base}/orders`, { method: 'POST' }));
        return { agent, transaction, further, asItCame };
      });
      await service('ledger', true, async (_, { agent, transaction }) => ({ agent, transaction }));
      const { desk, stock, ledger } = services;
      await patch(`/resources/${desk.id}`, {
        served_by: [gateway.clientId],
        token: { transactions: [stock.id, ledger.id] },
      });
      await patch(`/resources/${stock.id}`, { served_by: [clerk.clientId] });
      const role = await post('/roles', { name: 'orders', permissions: [{ resource: desk.id, scopes: ['order'] }] });
      caller = await registered('shopper', { resources: [{ resource: desk.id, default: true, scope: ['order'] }] });
      await server.admin('PUT', `/agents/${caller.clientId}/roles/${role.id}`);
    });
    after(async () => {
      for (const close of closing) await close();
      await server.close();
    });

    test('every service learns who called, what it is about and who said so; the access token stays at the edge', async () => {
      const { status, body } = await ordered();
      assert.equal(status, 200, JSON.stringify(body));
      const name = (of: string) => `spiffe://localhost/default/${of}`;
      const { transaction, agent, further } = body;
      assert.equal(agent, caller.clientId);
      assert.deepEqual(transaction?.tctx, { item: 'tea' });
      assert.deepEqual(transaction?.rctx, { by: caller.clientId });
      assert.deepEqual(transaction?.requestedBy, [name('gateway')]);
      assert.deepEqual(further?.transaction, {
        txn: transaction?.txn,
        tctx: { item: 'tea', shelf: 'b' },
        rctx: { by: caller.clientId },
        requestedBy: [name('gateway'), name('clerk')],
      });
      assert.deepEqual((body as { asItCame?: unknown }).asItCame, { agent, transaction });
      assert.match(String(services.desk.calls.at(-1)), /^DPoP /);
      for (const inside of [services.stock, services.ledger]) assert.equal(inside.calls.at(-1), undefined);
    });

    test('what it was used for is on record at every service, under one transaction', async () => {
      const { body } = await ordered();
      for (const { guard } of Object.values(services)) await guard.flush();
      interface Used {
        items: { resource: string; agent: string; decided_on: { txn?: string } }[];
      }
      const used = () => server.admin<Used>('GET', `/events?type=access.used&agent=${caller.clientId}&limit=100`);
      const { items } = await until(
        used,
        ({ items }) => items.filter(({ decided_on }) => decided_on.txn === body.transaction?.txn).length === 3,
      );
      const of = items
        .filter(({ decided_on }) => decided_on.txn === body.transaction?.txn)
        .map(({ resource }) => resource);
      assert.deepEqual(of.toSorted(), [services.stock.base, services.ledger.base, services.ledger.base].toSorted());
    });

    test('whoever is outside comes to no service inside, with whatever token', async () => {
      const { stock } = services;
      const key = await generateJwk('ES256');
      const { id } = await post('/agents', {
        name: 'climber',
        kind: 'workload',
        owner,
        resources: [{ resource: stock.id, default: true, scope: ['order'] }],
      });
      await post('/credentials', { agent: id, jwk: publicJwk(key) });
      const role = await post('/roles', { name: 'stock', permissions: [{ resource: stock.id, scopes: ['order'] }] });
      await server.admin('PUT', `/agents/${id}/roles/${role.id}`);
      const climber = createAgent({ issuer: server.issuer, clientId: id, key, resource: stock.base });
      const response = await climber.fetch(`${stock.base}/orders`, { method: 'POST' });
      assert.equal(response.status, 400);
      assert.match(await response.text(), /no access token: exchange it at the edge/);
      await assert.rejects(
        climber.transaction({ headers: { authorization: 'DPoP a.b.c' } }, { scope: 'order' }),
        (error) => error instanceof BailiwickError && error.code === 'unauthorized_client',
      );
    });

    test('it ends at every service at once with what it rests on', async () => {
      const { stock, ledger, desk } = services;
      const gateway = await registered('keeper', { grants: [exchange] });
      await patch(`/resources/${desk.id}`, {
        served_by: [
          ...(await server.admin<{ served_by: string[] }>('GET', `/resources/${desk.id}`)).served_by,
          gateway.clientId,
        ],
      });
      const value = (await caller.token({ resource: desk.base })).dangerouslyExposeToken();
      const inside = await gateway.transaction({ headers: { authorization: `DPoP ${value}` } }, { scope: 'order' });
      const call = ({ base }: Service) => inside.fetch(`${base}/orders`, { method: 'POST' });
      assert.equal((await call(ledger)).status, 200);
      const { acknowledgement } = await server.admin<{ acknowledgement: { complete: boolean } }>(
        'POST',
        '/revocations',
        {
          subject: caller.clientId,
          reason: 'a test',
          wait_seconds: 20,
        },
      );
      assert.equal(acknowledgement.complete, true);
      for (const each of [ledger, stock]) assert.equal((await call(each)).status, 401);
    });
  });
}
