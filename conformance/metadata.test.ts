/** What the server says of itself, for an issuer at the root and for one with a path. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { makeRequest } from './craft.ts';
import { send } from './send.ts';
import { openWorld, type World } from './world.ts';

const insecure = { [oauth.allowInsecureRequests]: true };

for (const path of ['', '/tenants/one']) {
  describe(`an issuer ${path === '' ? 'without a path' : `at ${path}`}`, () => {
    let world: World;
    before(async () => {
      world = await openWorld('sqlite', { path });
    });
    after(() => world.close());

    test('is found at every well-known path, and says the same at each', async () => {
      const { origin } = new URL(world.issuer);
      const documents = await Promise.all(
        [
          `${origin}/.well-known/oauth-authorization-server${path}`,
          `${origin}/.well-known/openid-configuration${path}`,
          `${origin}${path}/.well-known/openid-configuration`,
        ].map((url) => json(url)),
      );
      for (const document of documents) {
        assert.equal(document.issuer, world.issuer);
        assert.deepEqual(document, documents[0]);
      }
    });

    test('is found by oauth4webapi and openid-client, by both kinds of discovery', async () => {
      const issuer = new URL(world.issuer);
      for (const algorithm of ['oauth2', 'oidc'] as const) {
        const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure });
        assert.equal((await oauth.processDiscoveryResponse(issuer, response)).token_endpoint, world.tokenEndpoint);
        const config = await client.discovery(issuer, 'x', undefined, client.None(), {
          algorithm,
          execute: [client.allowInsecureRequests],
        });
        assert.equal(config.serverMetadata().issuer, world.issuer);
      }
    });

    test('says what can be exchanged for what, and of which kinds those are who act', async () => {
      const { actor_profile_token_exchange: exchange, entity_profiles_supported: kinds } = await json(
        `${world.issuer}/.well-known/openid-configuration`,
      );
      const type = (name: string) => `urn:ietf:params:oauth:token-type:${name}`;
      assert.deepEqual(exchange, {
        subject_token_types_supported: [
          'urn:bailiwick:params:oauth:token-type:mandate',
          ...['access_token', 'jwt', 'id_token', 'txn_token'].map(type),
        ],
        actor_token_types_supported: ['access_token', 'jwt'].map(type),
        requested_token_types_supported: ['access_token', 'txn_token'].map(type),
      });
      const actors = ['ai_agent', 'service', 'device'];
      assert.deepEqual(kinds, { subject: ['user', ...actors], actor: actors });
    });

    test('says where its decision point is, by AuthZEN before its path and behind it', async () => {
      const { origin } = new URL(world.issuer);
      const wellKnown = '/.well-known/authzen-configuration';
      for (const url of [origin + wellKnown + path, origin + path + wellKnown]) {
        const metadata = await json(url);
        assert.equal(
          metadata.policy_decision_point,
          world.issuer,
          'that into which the well-known string was inserted',
        );
        const endpoints = Object.entries(metadata).filter(([name]) => name.endsWith('_endpoint'));
        assert.equal(endpoints.length, 5);
        for (const [name, endpoint] of endpoints) {
          assert.equal((await fetch(String(endpoint), { method: 'POST' })).status, 401, `${name} is there`);
        }
      }
    });

    test('issues tokens that name exactly this issuer', async () => {
      const scene = await world.scene();
      const reply = await send(scene.tokenEndpoint, makeRequest(scene));
      const token = String(reply.json?.access_token).split('.')[1] ?? '';
      assert.equal(JSON.parse(Buffer.from(token, 'base64url').toString()).iss, world.issuer);
    });

    test('names only endpoints that are there, and all that are', async () => {
      const metadata = await json(`${world.issuer}/.well-known/openid-configuration`);
      const endpoints = Object.entries(metadata).filter(([name]) => name.endsWith('_endpoint'));
      assert.deepEqual(endpoints.map(([name]) => name).sort(), [
        'bailiwick_feed_endpoint',
        'global_token_revocation_endpoint',
        'introspection_endpoint',
        'revocation_endpoint',
        'token_endpoint',
      ]);
      // where a token is shown, nobody looks at what was sent before
      const byToken = ['bailiwick_feed_endpoint', 'global_token_revocation_endpoint'];
      for (const [name, url] of endpoints) {
        assert.ok(String(url).startsWith(`${world.issuer}/`), name);
        const expected = byToken.includes(name) ? 401 : 400;
        assert.equal((await fetch(String(url), { method: 'POST' })).status, expected, `${name} answers a POST`);
      }
      assert.equal((await fetch(String(metadata.jwks_uri))).status, 200);
    });

    test('can be read by pages in browsers, and kept for a while', async () => {
      for (const url of [`${world.issuer}/.well-known/openid-configuration`, world.jwksUri]) {
        const { headers } = await fetch(url);
        assert.equal(headers.get('access-control-allow-origin'), '*');
        assert.match(headers.get('cache-control') ?? '', /max-age=\d+/);
      }
      assert.match((await fetch(world.jwksUri)).headers.get('content-type') ?? '', /^application\/(jwk-set\+)?json/);
    });

    test('lists every algorithm and method by its registered name', async () => {
      const metadata = await json(`${world.issuer}/.well-known/openid-configuration`);
      const algorithms = ['ES256', 'EdDSA', 'PS256', 'RS256'];
      const methods = [
        'private_key_jwt',
        'self_signed_tls_client_auth',
        'spiffe_jwt',
        'spiffe_x509',
        'tls_client_auth',
      ];
      for (const [name, value] of Object.entries(metadata)) {
        if (name === 'introspection_signing_alg_values_supported') assert.deepEqual(value, ['ES256']);
        else if (name.endsWith('_alg_values_supported'))
          assert.deepEqual([...(value as string[])].sort(), algorithms.sort(), name);
        if (name === 'global_token_revocation_endpoint_auth_methods_supported') assert.deepEqual(value, ['DPoP']);
        else if (name.endsWith('_auth_methods_supported'))
          assert.deepEqual([...(value as string[])].sort(), methods, name);
      }
    });

    test('publishes the metadata of its own admin API, which names it as the issuer', async () => {
      const metadata = await json(`${new URL(world.issuer).origin}/.well-known/oauth-protected-resource${path}/admin`);
      assert.equal(metadata.resource, `${world.issuer}/admin`);
      assert.deepEqual(metadata.authorization_servers, [world.issuer]);
      assert.deepEqual(metadata.bearer_methods_supported, ['header']);
      assert.equal(metadata.dpop_bound_access_tokens_required, true);
      const response = await oauth.resourceDiscoveryRequest(new URL(`${world.issuer}/admin`), insecure);
      const found = await oauth.processResourceDiscoveryResponse(new URL(`${world.issuer}/admin`), response);
      assert.deepEqual(found.authorization_servers, [world.issuer]);
    });

    test('tells a stranger at the admin API where its metadata is', async () => {
      const { status, headers } = await fetch(`${world.issuer}/admin/v1/agents`);
      assert.equal(status, 401);
      const place = /resource_metadata="([^"]+)"/.exec(headers.get('www-authenticate') ?? '')?.[1];
      assert.equal((await json(String(place))).resource, `${world.issuer}/admin`);
    });
  });
}

async function json(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  assert.match(response.headers.get('content-type') ?? '', /^application\/json\b/);
  return (await response.json()) as Record<string, unknown>;
}
