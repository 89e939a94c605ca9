/**
 * RFC 9396 from one end to the other, by clients that we did not write: types registered at a resource, details asked for and granted,
 * and a guard of that resource that holds each request against them.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { createGuard, type Guard } from '../packages/guard/src/index.ts';
import { makeKey } from './craft.ts';
import { cryptoKey, cryptoKeyPair } from './web-crypto.ts';
import { openWorld, type World } from './world.ts';

const insecure = { [oauth.allowInsecureRequests]: true };

const transfer = { type: 'https://bank.example/transfer', account: '17' };
const resourceBody = {
  scopes: [{ name: 'transfers' }, { name: 'accounts:read' }],
  details_types: [
    {
      type: transfer.type,
      description: 'Move money from an account',
      schema: { type: 'object', properties: { account: { type: 'string' }, currency: { enum: ['EUR', 'USD'] } } },
    },
  ],
  operations: [
    { name: 'look', method: 'GET', path: '/accounts/{account}', scope: ['accounts:read'], sensitivity: 'low' },
    {
      name: 'move',
      method: 'POST',
      path: '/accounts/{account}/transfers',
      scope: ['transfers'],
      details: { type: transfer.type, account: '{account}' },
      sensitivity: 'medium',
    },
  ],
};

describe('authorization_details', () => {
  let world: World;
  let api: Server;
  let base: string;
  let guard: Guard;
  let as: oauth.AuthorizationServer;
  let party: { client: oauth.Client; auth: oauth.ClientAuth; dpop: oauth.DPoPHandle };

  before(async () => {
    world = await openWorld('sqlite');
    const { admin } = world.operator;
    api = createServer((request, response) =>
      guard.node((_, answer, caller) => answer.end(JSON.stringify({ operation: caller.operation })))(request, response),
    ).listen(0, '127.0.0.1');
    await once(api, 'listening');
    base = `http://localhost:${(api.address() as AddressInfo).port}/api`;
    const resource = await world.registry.resource({ identifier: base, scopes: [] });
    await admin('PATCH', `/resources/${resource.id}`, resourceBody);
    await world.registry.widen(world.client, resource, ['transfers', 'accounts:read']);
    const { roles } = await admin<{ roles: { id: string; name: string }[] }>('GET', `/agents/${world.client.id}`);
    const role = roles.find(({ name }) => name === `on-${resource.id.slice(-8)}`);
    const permissions = [{ resource: resource.id, scopes: ['transfers', 'accounts:read'], details: [{ ...transfer }] }];
    await admin('PATCH', `/roles/${role?.id}`, { permissions });
    const key = makeKey('ES256');
    const id = await world.registry.guard('bank-guard', resource, key.jwk);
    const jwk = { ...key.jwk, ...key.privateKey.export({ format: 'jwk' }) } as never;
    guard = createGuard({
      issuer: world.issuer,
      resource: base,
      credential: { client_id: id, jwk },
      introspection: { cacheSeconds: 0 },
      now: () => world.now() * 1000,
    });
    const issuer = new URL(world.issuer);
    as = await oauth.processDiscoveryResponse(
      issuer,
      await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
    );
    const client = { client_id: world.client.id, [oauth.clockSkew]: world.clockSkew() };
    party = {
      client,
      auth: oauth.PrivateKeyJwt({ key: await cryptoKey(world.client.key), kid: world.client.key.kid }),
      dpop: oauth.DPoP(client, await cryptoKeyPair(world.client.bindingKey)),
    };
  });
  after(async () => {
    guard.close();
    api.closeAllConnections();
    api.close();
    await world.close();
  });

  async function granted(parameters: Record<string, string>) {
    const ask = async () =>
      oauth.processClientCredentialsResponse(
        as,
        party.client,
        await oauth.clientCredentialsGrantRequest(
          as,
          party.client,
          party.auth,
          { resource: base, ...parameters },
          { DPoP: party.dpop, ...insecure },
        ),
      );
    return ask().catch((error: unknown) => {
      if (oauth.isDPoPNonceError(error)) return ask();
      throw error;
    });
  }

  /** The status with which the guarded API answers. */
  async function status(token: string, method: string, path: string): Promise<number> {
    const call = () =>
      oauth.protectedResourceRequest(token, method, new URL(`${base}${path}`), new Headers(), undefined, {
        DPoP: party.dpop,
        ...insecure,
      });
    try {
      return (await call()).status;
    } catch (error) {
      if (error instanceof oauth.WWWAuthenticateChallengeError) return error.status;
      throw error;
    }
  }

  const details = (...all: object[]) => ({ authorization_details: JSON.stringify(all) });

  test('a resource publishes its types, and the server only the one that all have', async () => {
    assert.deepEqual(as.authorization_details_types_supported, ['operation']);
    const found = await oauth.processResourceDiscoveryResponse(
      new URL(base),
      await oauth.resourceDiscoveryRequest(new URL(base), insecure),
    );
    assert.deepEqual(found.authorization_details_types_supported, ['operation', transfer.type]);
  });

  test('what is asked for stands in the answer, the token and introspection, by oauth4webapi', async () => {
    const answer = await granted({ ...details({ ...transfer, currency: 'EUR' }), scope: 'transfers' });
    assert.deepEqual(answer.authorization_details, [{ ...transfer, currency: 'EUR' }]);
    const told = await oauth.processIntrospectionResponse(
      as,
      party.client,
      await oauth.introspectionRequest(as, party.client, party.auth, answer.access_token, insecure),
    );
    assert.deepEqual(told.authorization_details, answer.authorization_details);
  });

  test('the same by openid-client', async () => {
    const { id, key, bindingKey } = world.client;
    const auth = openid.PrivateKeyJwt({ key: await cryptoKey(key), kid: key.kid });
    const config = await openid.discovery(new URL(world.issuer), id, { [openid.clockSkew]: world.clockSkew() }, auth, {
      algorithm: 'oauth2',
      execute: [openid.allowInsecureRequests],
    });
    const DPoP = openid.getDPoPHandle(config, await cryptoKeyPair(bindingKey));
    const answer = await openid.clientCredentialsGrant(config, { resource: base, ...details(transfer) }, { DPoP });
    assert.deepEqual(answer.authorization_details, [transfer]);
    const told = await openid.tokenIntrospection(config, answer.access_token);
    assert.deepEqual(told.authorization_details, [transfer]);
    await assert.rejects(
      openid.clientCredentialsGrant(config, { resource: base, ...details({ ...transfer, account: '18' }) }, { DPoP }),
      { error: 'invalid_authorization_details' },
    );
  });

  test('invalid_authorization_details is what oauth4webapi hears', async () => {
    await assert.rejects(granted(details({ type: 'payment' })), (error) => {
      assert.ok(error instanceof oauth.ResponseBodyError);
      assert.equal(error.error, 'invalid_authorization_details');
      assert.equal(error.status, 400);
      return true;
    });
  });

  test('the guard lets through what scope and detail cover, and nothing else', async () => {
    const scoped = await granted({ scope: 'transfers' });
    assert.equal(await status(scoped.access_token, 'POST', '/accounts/17/transfers'), 403, 'a scope without a detail');
    const detailed = await granted(details(transfer));
    assert.equal(
      await status(detailed.access_token, 'POST', '/accounts/17/transfers'),
      403,
      'a detail without a scope',
    );
    const both = await granted({ scope: 'transfers', ...details(transfer) });
    assert.equal(await status(both.access_token, 'POST', '/accounts/17/transfers'), 200);
    assert.equal(await status(both.access_token, 'POST', '/accounts/18/transfers'), 403);
    assert.equal(await status(both.access_token, 'GET', '/accounts/17'), 403, 'another operation');
    const narrower = await granted({ scope: 'transfers', ...details({ ...transfer, currency: 'EUR' }) });
    assert.equal(
      await status(narrower.access_token, 'POST', '/accounts/17/transfers'),
      403,
      'bounded by what the request does not show',
    );
  });

  test('the guard lets through an operation that a detail names, with the parameters that it names', async () => {
    const named = { type: 'operation', actions: ['move', 'look'], parameters: { account: ['17'] } };
    const { access_token } = await granted(details(named));
    assert.equal(await status(access_token, 'POST', '/accounts/17/transfers'), 200);
    assert.equal(await status(access_token, 'GET', '/accounts/17'), 200);
    assert.equal(await status(access_token, 'GET', '/accounts/18'), 403);
    await assert.rejects(granted(details({ type: 'operation', actions: ['move'] })), {
      error: 'invalid_authorization_details',
    });
  });
});
