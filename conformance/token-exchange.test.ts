/** Token exchange (RFC 8693) as two clients that we did not write ask for it: on a mandate, and on a token of another. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import type { Client } from './craft.ts';
import { cryptoKey, cryptoKeyPair } from './web-crypto.ts';
import { databases, openWorld, type World } from './world.ts';

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessToken = 'urn:ietf:params:oauth:token-type:access_token';
const mandateType = 'urn:bailiwick:params:oauth:token-type:mandate';
const insecure = { [oauth.allowInsecureRequests]: true };

interface Told {
  sub: string;
  client_id: string;
  scope: string;
  act: { sub: string; iss: string; act?: { sub: string } };
}
const toldBy = (token: string) => JSON.parse(Buffer.from(String(token.split('.')[1]), 'base64url').toString()) as Told;

for (const database of databases) {
  describe(`token exchange by clients of others, server on ${database}`, () => {
    let world: World;
    let person: string;
    let mandate: string;
    const assistant = () => world.agents.ES256;
    const service = () => world.agents.EdDSA;

    before(async () => {
      world = await openWorld(database);
      const { admin } = world.operator;
      for (const { id } of [assistant(), service()]) {
        await admin('PATCH', `/agents/${id}`, { grants: ['client_credentials', exchange] });
      }
      person = (await admin<{ id: string }>('POST', '/people', { name: 'Ada' })).id;
      mandate = (
        await admin<{ id: string }>('POST', '/mandates', {
          person,
          agent: assistant().id,
          resources: [{ resource: world.resources.tickets, scope: 'tickets:read tickets:write' }],
          passing: { depth: 1 },
          expires_in: 3600,
        })
      ).id;
      await admin('PATCH', `/resources/${world.given.tickets.id}`, { served_by: [service().id] });
    });
    after(() => world.close());

    /** By `oauth4webapi`, which is sent for a nonce first. */
    async function byOauth4webapi(agent: Client, parameters: Record<string, string>) {
      const issuer = new URL(world.issuer);
      const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
      const as = await oauth.processDiscoveryResponse(issuer, found);
      const client: oauth.Client = { client_id: agent.id, [oauth.clockSkew]: world.clockSkew() };
      const auth = oauth.PrivateKeyJwt({ key: await cryptoKey(agent.key), kid: agent.key.kid });
      const DPoP = oauth.DPoP(client, await cryptoKeyPair(agent.bindingKey));
      const ask = async () => {
        const options = { DPoP, ...insecure };
        const response = await oauth.genericTokenEndpointRequest(as, client, auth, exchange, parameters, options);
        return oauth.processGenericTokenEndpointResponse(as, client, response);
      };
      try {
        return await ask();
      } catch (error) {
        if (!oauth.isDPoPNonceError(error)) throw error;
        return ask();
      }
    }

    /** By `openid-client`, which asks again by itself. */
    async function byOpenidClient(agent: Client, parameters: Record<string, string>) {
      const auth = openid.PrivateKeyJwt({ key: await cryptoKey(agent.key), kid: agent.key.kid });
      const metadata = { [openid.clockSkew]: world.clockSkew() };
      const config = await openid.discovery(new URL(world.issuer), agent.id, metadata, auth, {
        algorithm: 'oauth2',
        execute: [openid.allowInsecureRequests],
      });
      const DPoP = openid.getDPoPHandle(config, await cryptoKeyPair(agent.bindingKey));
      return openid.genericGrantRequest(config, exchange, parameters, { DPoP });
    }

    for (const [name, ask] of [
      ['oauth4webapi', byOauth4webapi],
      ['openid-client', byOpenidClient],
    ] as const) {
      test(`${name}: an agent acts on a mandate, and the API that it calls goes on for the person`, async () => {
        const first = await ask(assistant(), {
          subject_token: mandate,
          subject_token_type: mandateType,
          resource: world.resources.tickets,
          scope: 'tickets:read',
        });
        assert.deepEqual([first.issued_token_type, first.token_type], [accessToken, 'dpop']);
        const told = toldBy(first.access_token);
        assert.deepEqual([told.sub, told.client_id, told.scope], [person, assistant().id, 'tickets:read']);

        const second = await ask(service(), {
          subject_token: first.access_token,
          subject_token_type: accessToken,
          requested_token_type: accessToken,
          audience: world.resources.tickets,
        });
        assert.equal(second.issued_token_type, accessToken);
        const { sub, client_id, act } = toldBy(second.access_token);
        assert.deepEqual([sub, client_id], [person, service().id]);
        assert.deepEqual([act.iss, act.act?.sub], [world.issuer, told.act.sub]);
      });

      test(`${name}: hears the error of RFC 8693 for a subject token that isn’t its own, and for another target`, async () => {
        const refused = (error: unknown) => (error as { error?: string }).error;
        const notIts = { subject_token: mandate, subject_token_type: mandateType };
        await assert.rejects(ask(service(), notIts), (error) => refused(error) === 'invalid_request');
        const elsewhere = { ...notIts, resource: world.resources.open };
        await assert.rejects(ask(assistant(), elsewhere), (error) => refused(error) === 'invalid_target');
      });
    }
  });
}
