/** Mutual TLS as other people’s clients do it: found in the metadata, with a fetch that shows a certificate. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { tlsRequest } from '../packages/server/src/testing/tls-request.ts';
import { type MutualTls, makeCertificate, openMutualTls, payloadOf, type TestCertificate } from './mutual-tls.ts';
import { databases } from './world.ts';

for (const database of databases) {
  describe(`mutual TLS with other clients on ${database}`, () => {
    let world: MutualTls;
    let certificate: TestCertificate;
    let clientId: string;
    let asked: string[];
    before(async () => {
      world = await openMutualTls(database);
      certificate = await makeCertificate({ issuer: world.authority, subject: 'CN=other' });
      const subject = { field: 'subject_dn', value: 'CN=other', ca: world.authority.pem };
      clientId = (await world.agent({ kind: 'certificate_subject', subject })).clientId;
    });
    after(() => world.close());

    /** Shows the certificate to whoever speaks TLS. */
    async function showing(url: string, options: { method: string; headers: Record<string, string>; body?: unknown }) {
      asked.push(url);
      if (!url.startsWith('https:')) return fetch(url, options as RequestInit);
      const { method, headers, body } = options;
      const form = body === undefined || body === null ? undefined : String(body);
      const reply = await tlsRequest(url, { method, headers, certificate, ...(form !== undefined && { form }) });
      return new Response(reply.text, { status: reply.status, headers: reply.headers as Record<string, string> });
    }

    test('oauth4webapi follows the aliases, and gets, shows and gives up a bound token', async () => {
      asked = [];
      const options = { [oauth.allowInsecureRequests]: true, [oauth.customFetch]: showing as never };
      const issuer = new URL(world.server.issuer);
      const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options });
      const as = await oauth.processDiscoveryResponse(issuer, found);
      assert.equal(as.tls_client_certificate_bound_access_tokens, true);
      const client = { client_id: clientId, use_mtls_endpoint_aliases: true };
      const auth = oauth.TlsClientAuth();
      const granted = await oauth.clientCredentialsGrantRequest(as, client, auth, {}, options);
      const { access_token, token_type } = await oauth.processClientCredentialsResponse(as, client, granted);
      assert.equal(token_type, 'bearer');
      assert.deepEqual(payloadOf(access_token).cnf, { 'x5t#S256': certificate.x5t });
      const shown = await oauth.introspectionRequest(as, client, auth, access_token, options);
      const standing = await oauth.processIntrospectionResponse(as, client, shown);
      assert.equal(standing.active, true);
      assert.deepEqual(standing.cnf, { 'x5t#S256': certificate.x5t });
      await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, access_token, options));
      assert.deepEqual(
        asked.slice(1).map((url) => url.replace(world.server.mtlsUrl, '')),
        ['/oauth2/token', '/oauth2/introspect', '/oauth2/revoke'],
      );
    });

    test('openid-client too', async () => {
      asked = [];
      const config = await openid.discovery(
        new URL(world.server.issuer),
        clientId,
        { use_mtls_endpoint_aliases: true },
        openid.TlsClientAuth(),
        { execute: [openid.allowInsecureRequests], [openid.customFetch]: showing as never },
      );
      config[openid.customFetch] = showing as never;
      const { access_token, expires_in } = await openid.clientCredentialsGrant(config, { scope: 'tickets:read' });
      assert.ok((expires_in ?? 0) > 0);
      assert.deepEqual(payloadOf(access_token).cnf, { 'x5t#S256': certificate.x5t });
      assert.equal((await openid.tokenIntrospection(config, access_token)).active, true);
      await openid.tokenRevocation(config, access_token);
      assert.equal((await openid.tokenIntrospection(config, access_token)).active, false);
      assert.ok(
        asked.slice(1).every((url) => url.startsWith(`${world.server.mtlsUrl}/`)),
        asked.join(),
      );
    });
  });
}
