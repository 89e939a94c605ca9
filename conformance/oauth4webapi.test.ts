/** The server as `oauth4webapi` sees it: a client that checks everything a client may check, and that we did not write. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import type { Algorithm, Client } from './craft.ts';
import { cryptoKey, cryptoKeyPair } from './web-crypto.ts';
import { databases, openWorld, type World } from './world.ts';

const insecure = { [oauth.allowInsecureRequests]: true };
const algorithms: Algorithm[] = ['ES256', 'EdDSA', 'PS256', 'RS256'];

for (const database of databases) {
  describe(`oauth4webapi, server on ${database}`, () => {
    let world: World;
    let as: oauth.AuthorizationServer;
    before(async () => {
      world = await openWorld(database);
      as = await discover(world, 'oauth2');
    });
    after(() => world.close());

    test('finds the metadata as RFC 8414 has it', async () => {
      const found = await discover(world, 'oauth2');
      assert.equal(found.issuer, world.issuer);
      assert.equal(found.token_endpoint, world.tokenEndpoint);
      assert.deepEqual(found.grant_types_supported, [
        'client_credentials',
        'urn:ietf:params:oauth:grant-type:token-exchange',
      ]);
      assert.ok(found.token_endpoint_auth_methods_supported?.includes('private_key_jwt'));
      for (const alg of algorithms)
        assert.ok(found.token_endpoint_auth_signing_alg_values_supported?.includes(alg), alg);
      assert.ok(found.dpop_signing_alg_values_supported?.includes('ES256'));
    });

    test('finds the same metadata as OpenID Connect discovery has it', async () => {
      assert.deepEqual(await discover(world, 'oidc'), await discover(world, 'oauth2'));
    });

    for (const alg of algorithms) {
      test(`gets a bound token with an ${alg} key, after being sent for a nonce`, async () => {
        const agent = world.agents[alg];
        const { client, auth, dpop } = await partyOf(world, agent);
        const { answer, nonceAsked } = await clientCredentials(as, client, auth, dpop, {
          resource: world.resources.tickets,
          scope: 'tickets:read',
        });
        assert.ok(nonceAsked, 'the first request has no nonce yet');
        assert.equal(answer.token_type, 'dpop');
        assert.equal(answer.scope, 'tickets:read');
        assert.equal(answer.expires_in, 600);
        const claims = await guarded(as, world, answer.access_token, dpop);
        assert.equal(claims.client_id, agent.id);
        assert.deepEqual(claims.cnf, { jkt: await dpop.calculateThumbprint() });
      });
    }

    test('gets a second token with the nonce that the first answer brought', async () => {
      const { client, auth, dpop } = await partyOf(world, world.agents.ES256);
      await clientCredentials(as, client, auth, dpop, { resource: world.resources.tickets });
      const again = await clientCredentials(as, client, auth, dpop, { resource: world.resources.tickets });
      assert.equal(again.nonceAsked, false);
    });

    test('gets a bearer token for a resource that dangerously asks for it', async () => {
      const { client, auth } = await partyOf(world, world.agents.ES256);
      const { answer } = await clientCredentials(as, client, auth, undefined, { resource: world.resources.open });
      assert.equal(answer.token_type, 'bearer');
      const request = new Request(`${world.resources.open}/tickets`, {
        headers: { Authorization: `Bearer ${answer.access_token}` },
      });
      const options = { ...insecure, [oauth.clockSkew]: world.clockSkew() };
      const claims = await oauth.validateJwtAccessToken(as, request, world.resources.open, options);
      assert.equal(claims.cnf, undefined);
    });

    test('cannot use a token with the key of someone else', async () => {
      const { client, auth, dpop } = await partyOf(world, world.agents.ES256);
      const { answer } = await clientCredentials(as, client, auth, dpop, { resource: world.resources.tickets });
      const thief = oauth.DPoP(client, await cryptoKeyPair(world.agents.EdDSA.bindingKey));
      await assert.rejects(guarded(as, world, answer.access_token, thief), /confirmation mismatch/);
    });

    test('is told the error of RFC 6749 when it asks for too much', async () => {
      const { client, auth, dpop } = await partyOf(world, world.agents.ES256);
      const asked = { resource: world.resources.tickets, scope: 'tickets:delete' };
      await assert.rejects(clientCredentials(as, client, auth, dpop, asked), (error) => {
        assert.ok(error instanceof oauth.ResponseBodyError);
        assert.equal(error.error, 'invalid_scope');
        return true;
      });
    });

    test('introspects its own token', async () => {
      const { client, auth, dpop } = await partyOf(world, world.agents.ES256);
      const { answer } = await clientCredentials(as, client, auth, dpop, { resource: world.resources.tickets });
      const told = await introspect(as, client, auth, answer.access_token);
      assert.equal(told.active, true);
      assert.equal(told.client_id, client.client_id);
      assert.equal(told.token_type, 'DPoP');
      assert.deepEqual(told.cnf, { jkt: await dpop.calculateThumbprint() });
      const claims = await guarded(as, world, answer.access_token, dpop);
      for (const [name, value] of Object.entries(claims)) assert.deepEqual(told[name], value, name);
    });

    test('learns nothing about the token of another agent', async () => {
      const owner = await partyOf(world, world.agents.ES256);
      const { answer } = await clientCredentials(as, owner.client, owner.auth, owner.dpop, {
        resource: world.resources.tickets,
      });
      const { client, auth } = await partyOf(world, world.agents.EdDSA);
      assert.deepEqual(await introspect(as, client, auth, answer.access_token), { active: false });
    });

    test('learns nothing about something that is no token', async () => {
      const { client, auth } = await partyOf(world, world.agents.ES256);
      for (const token of ['x', 'a.b.c', 'eyJhbGciOiJub25lIn0.e30.', ' ', '\0']) {
        assert.deepEqual(await introspect(as, client, auth, token), { active: false });
      }
    });

    test('revokes its token, which is inactive from then on', async () => {
      const { client, auth, dpop } = await partyOf(world, world.agents.ES256);
      const { answer } = await clientCredentials(as, client, auth, dpop, { resource: world.resources.tickets });
      await revoke(as, client, auth, answer.access_token);
      assert.deepEqual(await introspect(as, client, auth, answer.access_token), { active: false });
    });

    test('revokes one token and keeps the other', async () => {
      const { client, auth, dpop } = await partyOf(world, world.agents.ES256);
      const asked = { resource: world.resources.tickets };
      const first = await clientCredentials(as, client, auth, dpop, asked);
      const second = await clientCredentials(as, client, auth, dpop, asked);
      await revoke(as, client, auth, first.answer.access_token);
      assert.equal((await introspect(as, client, auth, second.answer.access_token)).active, true);
    });

    test('is told that it revoked what is no token, and revokes nothing of others', async () => {
      const { client, auth, dpop } = await partyOf(world, world.agents.ES256);
      await revoke(as, client, auth, 'no-token');
      const { answer } = await clientCredentials(as, client, auth, dpop, { resource: world.resources.tickets });
      const other = await partyOf(world, world.agents.EdDSA);
      await revoke(as, other.client, other.auth, answer.access_token).catch(() => {});
      assert.equal((await introspect(as, client, auth, answer.access_token)).active, true);
    });
  });
}

async function discover(world: World, algorithm: 'oauth2' | 'oidc'): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(world.issuer);
  const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure });
  return oauth.processDiscoveryResponse(issuer, response);
}

async function partyOf(world: World, agent: Client) {
  const client: oauth.Client = { client_id: agent.id, [oauth.clockSkew]: world.clockSkew() };
  return {
    client,
    auth: oauth.PrivateKeyJwt({ key: await cryptoKey(agent.key), kid: agent.key.kid }),
    dpop: oauth.DPoP(client, await cryptoKeyPair(agent.bindingKey)),
  };
}

/** Asks for a token, and once more when the server answers with a nonce, as RFC 9449 §8 wants it. */
async function clientCredentials(
  as: oauth.AuthorizationServer,
  client: oauth.Client,
  auth: oauth.ClientAuth,
  DPoP: oauth.DPoPHandle | undefined,
  parameters: Record<string, string>,
) {
  const ask = async () => {
    const response = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, { DPoP, ...insecure });
    return oauth.processClientCredentialsResponse(as, client, response);
  };
  try {
    return { answer: await ask(), nonceAsked: false };
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return { answer: await ask(), nonceAsked: true };
  }
}

/** Calls the resource, and lets the library verify the call as a resource server would. */
async function guarded(as: oauth.AuthorizationServer, world: World, token: string, DPoP: oauth.DPoPHandle) {
  const url = new URL(`${world.resources.tickets}/tickets/1?verbose=1`);
  let seen: Request | undefined;
  const customFetch = async (to: string, { method, headers }: { method: string; headers: Record<string, string> }) => {
    seen = new Request(to, { method, headers });
    return new Response();
  };
  await oauth.protectedResourceRequest(token, 'GET', url, new Headers(), undefined, {
    DPoP,
    ...insecure,
    [oauth.customFetch]: customFetch,
  });
  return oauth.validateJwtAccessToken(as, seen as Request, world.resources.tickets, {
    requireDPoP: true,
    ...insecure,
    [oauth.clockSkew]: world.clockSkew(),
  });
}

async function introspect(as: oauth.AuthorizationServer, client: oauth.Client, auth: oauth.ClientAuth, token: string) {
  const response = await oauth.introspectionRequest(as, client, auth, token, insecure);
  return oauth.processIntrospectionResponse(as, client, response);
}

async function revoke(as: oauth.AuthorizationServer, client: oauth.Client, auth: oauth.ClientAuth, token: string) {
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token, insecure));
}
