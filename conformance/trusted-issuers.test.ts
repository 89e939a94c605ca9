/**
 * People sign in at a provider that we did not write (`oidc-provider`), with a client that we did not write (`openid-client`), which then exchanges the
 * ID token here and calls a guarded API with what it got.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import * as openid from 'openid-client';
import { createGuard, type Guard } from '../packages/guard/src/index.ts';
import { type PrivateJwk, publicJwk } from '../packages/protocol/src/index.ts';
import { systemClock } from '../packages/server/src/lib/clock.ts';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { testWeb } from '../packages/server/src/testing/signal-receiver.ts';
import { makeKey } from './craft.ts';
import { clientId, type SignIn, signIn } from './sign-in.ts';
import { cryptoKey, cryptoKeyPair } from './web-crypto.ts';
import { databases } from './world.ts';

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const idTokenType = 'urn:ietf:params:oauth:token-type:id_token';
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

interface Told {
  person: string;
  agent: string;
  scope: string[];
}

for (const database of databases) {
  describe(`trusted issuers, server on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    let provider: SignIn;
    let server: TestServer;
    let api: Server;
    let guard: Guard;
    let base: string;
    let person: string;
    let issuer: string;
    let agent: string;
    const key = makeKey('ES256');
    const bindingKey = makeKey('ES256');

    before(async () => {
      web = await testWeb();
      provider = await signIn({ cert: web.cert, key: web.key, ca: readFileSync(web.caFile, 'utf8') });
      server = await startServer({
        database,
        clock: { ...systemClock, advance: () => {} },
        config: { outbound: { ca_file: web.caFile } },
      });
      const post = (to: string, body: object) => server.admin<{ id: string; agent: string }>('POST', to, body);
      api = createServer((request, response) =>
        guard.node((_, answer, { person, agent, scope }) =>
          answer.setHeader('content-type', 'application/json').end(JSON.stringify({ person, agent, scope })),
        )(request, response),
      ).listen(0, '127.0.0.1');
      await once(api, 'listening');
      base = `http://localhost:${(api.address() as AddressInfo).port}`;
      const scopes = ['trips:read', 'trips:book'];
      const { id: resource } = await post('/resources', {
        identifier: base,
        name: 'trips',
        scopes: scopes.map((name) => ({ name })),
        operations: [{ name: 'look', method: 'GET', path: '/trips', scope: ['trips:read'] }],
      });
      const owner = (await post('/teams', { name: 'travel' })).id;
      const role = (await post('/roles', { name: 'travel', permissions: [{ resource, scopes }] })).id;
      const registered = { name: 'assistant', kind: 'ai_agent', owner, grants: [exchange], resources: [{ resource }] };
      agent = (await post('/agents', registered)).id;
      await server.admin('PUT', `/agents/${agent}/roles/${role}`);
      await post('/credentials', { agent, kind: 'public_key', jwk: key.jwk });
      const identities = [{ issuer: provider.issuer, subject: 'ada' }];
      person = (await post('/people', { name: 'Ada Lovelace', identities })).id;
      issuer = (
        await post('/trusted-issuers', {
          issuer: provider.issuer,
          accepts: ['id_token'],
          audiences: [clientId],
          rules: [
            {
              name: 'staff',
              claims: { hd: { exact: 'example.com' }, groups: { glob: 'org/*/travellers' } },
              agents: [agent],
              resources: [{ resource: base, scope: 'trips:read' }],
            },
          ],
        })
      ).id;
      const guardKey = makeKey('ES256');
      const jwk = { ...guardKey.jwk, ...guardKey.privateKey.export({ format: 'jwk' }) } as PrivateJwk;
      const registeredGuard = await post('/guards', { name: 'guard', resource, owner, jwk: publicJwk(jwk) });
      const credential = { client_id: registeredGuard.agent, jwk };
      guard = createGuard({ issuer: server.issuer, resource: base, credential });
      await guard.ready();
    });
    after(async () => {
      await guard?.close();
      api?.closeAllConnections();
      api?.close();
      await server?.close();
      provider?.close();
      web?.remove();
    });

    async function ours() {
      const auth = openid.PrivateKeyJwt({ key: await cryptoKey(key), kid: key.kid });
      const config = await openid.discovery(new URL(server.issuer), agent, undefined, auth, {
        algorithm: 'oauth2',
        execute: [openid.allowInsecureRequests],
      });
      return { config, DPoP: openid.getDPoPHandle(config, await cryptoKeyPair(bindingKey)) };
    }

    async function exchanged(subject_token: string, subject_token_type = idTokenType) {
      const { config, DPoP } = await ours();
      return openid.genericGrantRequest(
        config,
        exchange,
        { subject_token, subject_token_type, resource: base },
        { DPoP },
      );
    }

    async function look(token: string): Promise<Told> {
      const { config, DPoP } = await ours();
      const answer = await openid.fetchProtectedResource(
        config,
        token,
        new URL(`${base}/trips`),
        'GET',
        undefined,
        undefined,
        { DPoP },
      );
      return (await answer.json()) as Told;
    }

    const isInvalid = (error: unknown) => (error as { error?: string }).error === 'invalid_request';

    test('an ID token that a person signed in for is exchanged, and the API knows for whom', async () => {
      const given = await exchanged(await provider.idToken('ada'));
      assert.deepEqual([given.issued_token_type, given.token_type], [accessTokenType, 'dpop']);
      assert.deepEqual(await look(given.access_token), { person, agent, scope: ['trips:read'] });
    });

    test('whoever was never linked is nobody here, and an ID token is no access token', async () => {
      await assert.rejects(exchanged(await provider.idToken('mallory')), isInvalid);
      await assert.rejects(exchanged(await provider.idToken('ada'), accessTokenType), isInvalid);
    });

    test('the provider’s keys rotate: what the new one signs is taken, and what the old one signed no more', async () => {
      const before = await provider.idToken('ada');
      provider.rotate();
      await server.admin('POST', `/trusted-issuers/${issuer}/refresh`);
      assert.equal((await look((await exchanged(await provider.idToken('ada'))).access_token)).person, person);
      await assert.rejects(exchanged(before), isInvalid);
    });

    test('what came of it ends with the trust in the issuer, at once', async () => {
      const { access_token } = await exchanged(await provider.idToken('ada'));
      assert.equal((await look(access_token)).person, person);
      const order = { subject: issuer, reason: 'a test', wait_seconds: 20 };
      const { acknowledgement } = await server.admin<{ acknowledgement: { complete: boolean } }>(
        'POST',
        '/revocations',
        order,
      );
      assert.equal(acknowledgement.complete, true);
      await assert.rejects(look(access_token), (error) => error instanceof openid.WWWAuthenticateChallengeError);
      await assert.rejects(exchanged(await provider.idToken('ada')), isInvalid);
    });
  });
}
