/**
 * The API for orchestrators, found, called and signed for by clients that we did not write: `oauth4webapi` opens and ends tasks and gets
 * tokens of them, `jose` signs one. The issuer has a path.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { SignJWT } from 'jose';
import * as oauth from 'oauth4webapi';
import { type Key, makeKey } from './craft.ts';
import { cryptoKey, cryptoKeyPair } from './web-crypto.ts';
import { databases, openWorld, type World } from './world.ts';

const insecure = { [oauth.allowInsecureRequests]: true };

interface Party {
  client: oauth.Client;
  auth: oauth.ClientAuth;
  dpop: oauth.DPoPHandle;
}

for (const database of databases) {
  describe(`tasks, by clients that we did not write, server on ${database}`, () => {
    let world: World;
    let as: oauth.AuthorizationServer;
    let planner: Party;
    let worker: Party;
    let plannerKey: Key;

    before(async () => {
      world = await openWorld(database, { path: '/tenants/one' });
      const { admin } = world.operator;
      const { items } = await admin<{ items: { id: string; name: string }[] }>('GET', '/roles?limit=200');
      plannerKey = makeKey('ES256');
      const id = await world.registry.agent({
        name: 'planner',
        jwk: plannerKey.jwk,
        resources: [{ resource: { id: world.issuer, identifier: world.issuer }, default: false, scope: [] }],
        roles: [items.find(({ name }) => name === 'orchestrator')?.id as string],
        grants: ['client_credentials'],
      });
      const issuer = new URL(world.issuer);
      const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
      as = await oauth.processDiscoveryResponse(issuer, found);
      planner = await party(id, plannerKey, makeKey('ES256'));
      worker = await party(world.client.id, world.client.key, world.client.bindingKey);
    });
    after(() => world.close());

    async function party(client_id: string, key: Key, binding: Key): Promise<Party> {
      const client = { client_id, [oauth.clockSkew]: world.clockSkew() };
      const auth = oauth.PrivateKeyJwt({ key: await cryptoKey(key), kid: key.kid });
      return { client, auth, dpop: oauth.DPoP(client, await cryptoKeyPair(binding)) };
    }

    async function tokenOf({ client, auth, dpop }: Party, parameters: Record<string, string>) {
      const ask = async () =>
        oauth.processClientCredentialsResponse(
          as,
          client,
          await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, { DPoP: dpop, ...insecure }),
        );
      return ask().catch((error) => (oauth.isDPoPNonceError(error) ? ask() : Promise.reject(error)));
    }

    async function call(method: string, path: string, body?: object): Promise<Response> {
      const { access_token } = await tokenOf(planner, { resource: world.issuer, scope: 'tasks:open' });
      const headers = new Headers(body && { 'content-type': 'application/json' });
      const url = new URL(world.issuer + path);
      return oauth.protectedResourceRequest(access_token, method, url, headers, body && JSON.stringify(body), {
        DPoP: planner.dpop,
        ...insecure,
      });
    }

    const isActive = async ({ client, auth }: Party, token: string) =>
      oauth.processIntrospectionResponse(
        as,
        client,
        await oauth.introspectionRequest(as, client, auth, token, insecure),
      );

    test('the API for agents says where its tokens come from', async () => {
      const resource = new URL(world.issuer);
      const response = await oauth.resourceDiscoveryRequest(resource, insecure);
      const metadata = await oauth.processResourceDiscoveryResponse(resource, response);
      assert.deepEqual(metadata.authorization_servers, [world.issuer]);
      assert.ok(metadata.scopes_supported?.includes('tasks:open'));
      assert.equal(metadata.dpop_bound_access_tokens_required, true);
      assert.ok((as.protected_resources as string[]).includes(world.issuer));
    });

    test('a task is opened, named by a token and by its introspection, and its end is the token’s', async () => {
      const opened = await call('POST', '/tasks', {
        agent: world.client.id,
        workflow: 'triage',
        step: 'sort',
        resources: [{ resource: world.resources.tickets, scope: 'tickets:read' }],
        lifetime_seconds: 120,
      });
      assert.equal(opened.status, 201);
      const { id } = (await opened.json()) as { id: string };
      assert.equal(opened.headers.get('location'), `${world.issuer}/tasks/${id}`);
      const token = await tokenOf(worker, { resource: world.resources.tickets, task: id });
      assert.equal(token.scope, 'tickets:read');
      assert.ok((token.expires_in as number) <= 120);
      const told = await isActive(worker, token.access_token);
      assert.deepEqual([told.active, told.task], [true, { id, workflow: 'triage', step: 'sort' }]);
      await assert.rejects(
        tokenOf(worker, { resource: world.resources.tickets, task: id, scope: 'tickets:write' }),
        (error) => error instanceof oauth.ResponseBodyError && error.error === 'invalid_scope',
      );
      assert.equal((await call('DELETE', `/tasks/${id}`)).status, 204);
      assert.equal((await isActive(worker, token.access_token)).active, false);
    });

    const signed = (changes: { typ?: string; kid?: string; sub?: string; jti?: string; key?: Key } = {}) =>
      new SignJWT({ task: { workflow: 'triage', ends_at: new Date((world.now() + 3600) * 1000).toISOString() } })
        .setProtectedHeader({ alg: 'ES256', typ: changes.typ ?? 'task+jwt', kid: changes.kid ?? plannerKey.kid })
        .setIssuer(planner.client.client_id)
        .setSubject(changes.sub ?? world.client.id)
        .setAudience(world.issuer)
        .setJti(changes.jti ?? randomUUID())
        .setIssuedAt(world.now())
        .setExpirationTime(world.now() + 300)
        .sign((changes.key ?? plannerKey).privateKey);

    test('a task that jose signed is one task, and a second time the same', async () => {
      const task = await signed();
      const ids = [];
      for (let time = 0; time < 2; time++) {
        const token = await tokenOf(worker, { resource: world.resources.tickets, task });
        ids.push(((await isActive(worker, token.access_token)).task as { id: string }).id);
      }
      assert.equal(ids[0], ids[1]);
      assert.equal((await call('GET', `/tasks/${ids[0]}`)).status, 200);
    });

    test('a signed task of another type, for another agent or by another key is none', async () => {
      const spoiled = [
        { typ: 'JWT' },
        { sub: planner.client.client_id },
        { key: makeKey('ES256') },
        { kid: 'https://keys.example/1' },
      ];
      for (const change of spoiled) {
        await assert.rejects(
          tokenOf(worker, { resource: world.resources.tickets, task: await signed(change) }),
          (error) =>
            error instanceof oauth.ResponseBodyError && ['invalid_grant', 'invalid_request'].includes(error.error),
          JSON.stringify(change),
        );
      }
    });

    test('a refusal is problem details, and a challenge leads to where tokens come from', async () => {
      const refused = await call('POST', '/tasks', { agent: world.client.id, workflow: 'Not One' });
      assert.equal(refused.status, 400);
      assert.match(refused.headers.get('content-type') ?? '', /^application\/problem\+json/);
      const { errors } = (await refused.json()) as { errors: { field: string }[] };
      assert.equal(errors[0]?.field, 'workflow');
      const anonymous = await fetch(`${world.issuer}/tasks`, { method: 'POST', body: '{}' });
      assert.equal(anonymous.status, 401);
      assert.match(anonymous.headers.get('www-authenticate') ?? '', /oauth-protected-resource\/tenants\/one/);
    });
  });
}
