/** The same road by `openid-client`, the way most Node.js applications would take it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as client from 'openid-client';
import type { Algorithm } from './craft.ts';
import { cryptoKey, cryptoKeyPair } from './web-crypto.ts';
import { openWorld, type World } from './world.ts';

describe('openid-client', () => {
  let world: World;
  before(async () => {
    world = await openWorld('sqlite');
  });
  after(() => world.close());

  for (const algorithm of ['oauth2', 'oidc'] as const) {
    test(`discovers the server by ${algorithm}`, async () => {
      const config = await configured(world, 'ES256', algorithm);
      const { issuer, token_endpoint } = config.serverMetadata();
      assert.deepEqual({ issuer, token_endpoint }, { issuer: world.issuer, token_endpoint: world.tokenEndpoint });
    });
  }

  for (const alg of ['ES256', 'EdDSA', 'PS256', 'RS256'] as const) {
    test(`gets, shows and gives up a bound token with an ${alg} key; the nonce is its own business`, async () => {
      const config = await configured(world, alg, 'oauth2');
      const DPoP = client.getDPoPHandle(config, await cryptoKeyPair(world.agents[alg].bindingKey));
      const asked = { resource: world.resources.tickets, scope: 'tickets:read' };
      const { access_token } = await client.clientCredentialsGrant(config, asked, { DPoP });

      const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri as string));
      const { payload, protectedHeader } = await jwtVerify<{ cnf: unknown }>(access_token, keys, {
        issuer: world.issuer,
        audience: world.resources.tickets,
        typ: 'at+jwt',
        currentDate: new Date(world.now() * 1000),
      });
      assert.equal(protectedHeader.alg, 'ES256');
      assert.deepEqual(payload.cnf, { jkt: world.agents[alg].bindingKey.kid });

      assert.equal((await client.tokenIntrospection(config, access_token)).active, true);
      await client.tokenRevocation(config, access_token);
      assert.deepEqual(await client.tokenIntrospection(config, access_token), { active: false });
    });
  }

  test('a token is signed as its resource says', async () => {
    const config = await configured(world, 'ES256', 'oauth2');
    const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri as string));
    for (const alg of ['EdDSA', 'PS256', 'RS256'] as const) {
      const DPoP = client.getDPoPHandle(config, await cryptoKeyPair(world.agents.ES256.bindingKey));
      const resource = world.resources[alg];
      const { access_token } = await client.clientCredentialsGrant(config, { resource }, { DPoP });
      const { protectedHeader } = await jwtVerify(access_token, keys, {
        issuer: world.issuer,
        audience: resource,
        currentDate: new Date(world.now() * 1000),
      });
      assert.equal(protectedHeader.alg, alg);
    }
  });
});

async function configured(world: World, alg: Algorithm, algorithm: 'oauth2' | 'oidc') {
  const { id, key } = world.agents[alg];
  const auth = client.PrivateKeyJwt({ key: await cryptoKey(key), kid: key.kid });
  const metadata = { [client.clockSkew]: world.clockSkew() };
  return client.discovery(new URL(world.issuer), id, metadata, auth, {
    algorithm,
    execute: [client.allowInsecureRequests],
  });
}
