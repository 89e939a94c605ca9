/** What an instance rests on bounds it, and its tokens, for as long as it lives: what enrolled it, its parent, its template. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { linkTag } from '@bailiwick/protocol';
import { makeRequest } from '../testing/certificate-request.ts';
import { makeAuthority, makeCertificate } from '../testing/certificates.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient, newSigner } from '../testing/instance-client.ts';
import { tlsRequest } from '../testing/tls-request.ts';
import { tokenClient } from '../testing/token-client.ts';

const minute = 60_000;

for (const database of databases) {
  describe(`the bounds of instances, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
    });
    after(() => server.close());

    const world = async (instances: object = {}) => {
      const client = await tokenClient(server, { agent: { instances } });
      return { client, at: instanceClient(server, client) };
    };
    const inMs = (ms: number) => new Date(server.clock.now() + ms).toISOString();
    const livesFor = (body: { expires_at: string }) => Date.parse(body.expires_at) - server.clock.now();

    test('renewing leads no further than the certificate that was shown to enrol', async () => {
      const { client, at } = await world();
      const authority = await makeAuthority('CN=hosts');
      await server.admin('POST', '/credentials', {
        agent: client.clientId,
        kind: 'certificate_subject',
        subject: { field: 'san_dns', value: 'host.example', ca: authority.pem },
      });
      const until = server.clock.now() + 10 * minute;
      const certificate = await makeCertificate({ issuer: authority, names: [['dns', 'host.example']], until });
      const url = `${server.mtlsUrl}/instances`;
      const signer = await newSigner();
      const { status, json, text } = await tlsRequest(url, {
        certificate,
        form: JSON.stringify({ client_id: client.clientId }),
        headers: { 'content-type': 'application/json', dpop: await at.proofBy(signer, 'POST', url) },
      });
      assert.equal(status, 201, text);
      assert.equal(livesFor(json), 10 * minute);
      const held = { id: json.instance, signer };
      server.clock.advance(minute);
      const renewed = await at.call(held, 'POST', '/renew', {});
      assert.equal(livesFor(renewed.body), 9 * minute);
      const child = await at.child({ ...held, answer: json });
      assert.equal(livesFor(child.body), 9 * minute, 'nor does a child of it');
      server.clock.advance(9 * minute);
      assert.equal((await at.call(held, 'POST', '/renew', {})).status, 401);
    });

    test('a token of an instance ends with the credential that enrolled it', async () => {
      const { client, at } = await world();
      const instance = await at.instance();
      await server.admin('PATCH', `/credentials/${client.credential}`, { expires_at: inMs(3 * minute) });
      const { status, body } = await at.tokenOf(instance);
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(body.expires_in, 180);
    });

    test('a token that a certificate name has got for an instance links what enrolled it', async () => {
      const { client, at } = await world({ dns_names: ['desk.example.com'] });
      const { pem, key } = await makeRequest({ names: [['dns', 'desk.example.com']] });
      const { body } = await at.enrol({ dpop: null, token: null, body: { ...(await at.assertion()), csr: pem } });
      const named = await server.admin<{ id: string }>('POST', '/credentials', {
        agent: client.clientId,
        kind: 'certificate_subject',
        subject: { field: 'san_dns', value: 'desk.example.com' },
      });
      const { json, text } = await tlsRequest(`${server.mtlsUrl}/oauth2/token`, {
        certificate: { chain: body.x509_svid.certificate_chain, key },
        form: { grant_type: 'client_credentials', client_id: client.clientId },
      });
      assert.ok(json.access_token, text);
      const { links } = JSON.parse(Buffer.from(json.access_token.split('.')[1], 'base64url').toString());
      assert.ok(links.includes(linkTag(named.id)), 'by tls_client_auth');
      assert.ok(links.includes(linkTag(client.credential)), 'and what enrolled the instance');
    });

    test('renewing takes nothing away that tokens and children rest on', async () => {
      const { at } = await world();
      const parent = await at.instance();
      const before = Date.parse(String(parent.answer.expires_at));
      const child = await at.child(parent);
      assert.equal(child.status, 201);
      const renewed = await at.call(parent, 'POST', '/renew', { lifetime_seconds: 10 });
      assert.equal(Date.parse(renewed.body.expires_at), before);
      assert.ok(Date.parse(child.body.expires_at) <= Date.parse(renewed.body.expires_at));
    });

    test('a child that its template would not allow any more is not renewed', async () => {
      const { client, at } = await world({ depth: 1 });
      const parent = await at.instance();
      const child = await at.child(parent);
      const held = { id: child.id, signer: child.signer };
      assert.equal((await at.call(held, 'POST', '/renew', {})).status, 200);
      await server.admin('PATCH', `/agents/${client.clientId}`, { instances: { depth: 0 } });
      const refused = await at.call(held, 'POST', '/renew', {});
      assert.equal(refused.body.error, 'unauthorized_client');
      assert.equal((await at.call(parent, 'POST', '/renew', {})).status, 200, 'its parent is none');
    });

    test('an attribute is called as one likes, and is known only if somebody said it', async () => {
      const { client, at } = await world();
      const said = await at.enrolByKey({ body: { attributes: { constructor: 'a' } } });
      assert.deepEqual(said.body.attributes.constructor, { value: 'a', provenance: 'declared' });
      await server.admin('PATCH', `/agents/${client.clientId}`, {
        instances: { attributes: [{ name: 'constructor', provenance: 'declared' }] },
      });
      assert.equal((await at.enrolByKey()).body.error, 'unauthorized_client');
    });
  });
}
