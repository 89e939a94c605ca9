/** What instances are given: certificates that openssl accepts, JWT-SVIDs that jose accepts, keys shown by a csr or a certificate. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { thumbprint } from '@bailiwick/protocol';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { makeRequest } from '../testing/certificate-request.ts';
import { makeAuthority, makeCertificate } from '../testing/certificates.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type InstanceClient, instanceClient, newSigner } from '../testing/instance-client.ts';
import { systemTool } from '../testing/system-tool.ts';
import { tlsRequest } from '../testing/tls-request.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const openssl = systemTool('openssl');

const claimsIn = (token: unknown) =>
  JSON.parse(Buffer.from(String(token).split('.')[1] as string, 'base64url').toString()) as Record<string, unknown>;

for (const database of databases) {
  describe(`documents of instances, on ${database}`, () => {
    let server: TestServer;
    let client: TokenClient;
    let at: InstanceClient;
    let folder: string;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      client = await tokenClient(server, {
        agent: { instances: { dns_names: ['desk.example.com', '*.pods.example.com'], lifetime_seconds: 3600 } },
      });
      at = instanceClient(server, client);
      folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-svid-'));
    });
    after(async () => {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const leafOf = (body: { x509_svid: { certificate_chain: string } }) =>
      new X509Certificate(body.x509_svid.certificate_chain);

    test('an X.509-SVID says who it is, ends with it, and openssl accepts its chain', {
      skip: 'skip' in openssl && openssl.skip,
    }, async () => {
      const signer = await newSigner();
      const { status, body } = await at.enrol({ signer });
      assert.equal(status, 201, JSON.stringify(body));
      const leaf = leafOf(body);
      assert.equal(leaf.subjectAltName, `URI:${body.spiffe_id}`);
      assert.equal(thumbprint(leaf.publicKey.export({ format: 'jwk' }) as never), thumbprint(signer.publicJwk));
      assert.equal(leaf.ca, false);
      assert.equal(new Date(leaf.validTo).toISOString(), body.expires_at);
      assert.equal(body.x509_svid.expires_at, body.expires_at);
      const file = (name: string, text: string) => {
        writeFileSync(path.join(folder, name), text);
        return path.join(folder, name);
      };
      const blocks = body.x509_svid.certificate_chain.match(
        /-----BEGIN[\s\S]+?-----END CERTIFICATE-----\n/g,
      ) as string[];
      const roots = await (await fetch(`${server.issuer}/spiffe/ca.pem`)).text();
      const verify = (root: string) => {
        const args = [
          'verify',
          '-x509_strict',
          '-attime',
          String(Math.floor(server.clock.now() / 1000)),
          '-purpose',
          'sslclient',
        ];
        const files = [
          '-CAfile',
          root,
          '-untrusted',
          file('chain.pem', blocks.slice(1).join('')),
          file('leaf.pem', blocks[0] as string),
        ];
        return execFileSync((openssl as { path: string }).path, [...args, ...files], {
          encoding: 'utf8',
          stdio: 'pipe',
        });
      };
      assert.match(verify(file('roots.pem', roots)), /leaf\.pem: OK/);
      const stranger = await makeCertificate({
        subject: 'CN=stranger',
        ca: true,
        usages: ['keyCertSign'],
        purposes: [],
      });
      assert.throws(() => verify(file('others.pem', stranger.pem)));
    });

    test('JWT-SVIDs are for one audience each, five minutes long, and verified by the bundle that comes along', async () => {
      const audiences = ['https://tickets.example', 'spiffe://partner.example/api'];
      const { body } = await at.enrolByKey({ body: { jwt_svid_audiences: audiences, x509_svid: false } });
      assert.equal(body.x509_svid, undefined);
      assert.deepEqual(
        body.jwt_svids.map(({ audience }: { audience: string }) => audience),
        audiences,
      );
      const own = body.trust_bundle.keys.filter((key: { use: string }) => key.use === 'jwt-svid');
      // SPIFFE's own word for the use of a key is none that jose knows
      const keys = createLocalJWKSet({ keys: own.map((key: object) => ({ ...key, use: 'sig' })) });
      for (const { audience, token, expires_at } of body.jwt_svids) {
        const { payload } = await jwtVerify(token, keys, {
          audience,
          subject: body.spiffe_id,
          currentDate: new Date(server.clock.now()),
        });
        assert.equal(payload.exp, Math.floor(server.clock.now() / 1000) + 300);
        assert.equal(new Date((payload.exp as number) * 1000).toISOString(), expires_at);
      }
      const short = await at.enrolByKey({ body: { jwt_svid_audiences: audiences, lifetime_seconds: 60 } });
      for (const { expires_at } of short.body.jwt_svids)
        assert.equal(expires_at, short.body.expires_at, 'not after its end');
    });

    test('the bundle is the one that everybody fetches', async () => {
      const { body } = await at.enrolByKey();
      assert.deepEqual(body.trust_bundle, await (await fetch(`${server.issuer}/spiffe/bundle`)).json());
    });

    for (const alg of ['ES256', 'EdDSA', 'RS256'] as const) {
      test(`a csr by ${alg} shows the key and asks for names; a token is bound to the certificate`, async () => {
        const names = [
          ['dns', 'desk.example.com'],
          ['dns', 'a.pods.example.com'],
        ] as ['dns', string][];
        const { pem, signer } = await makeRequest({ alg, subject: `CN=${await nameOf()}`, names });
        const { status, body } = await at.enrol({ dpop: null, body: { csr: pem, token: {} } });
        assert.equal(status, 201, JSON.stringify(body));
        const leaf = leafOf(body);
        assert.equal(leaf.subjectAltName, `URI:${body.spiffe_id}, DNS:desk.example.com, DNS:a.pods.example.com`);
        assert.equal(
          thumbprint(leaf.publicKey.export({ format: 'jwk' }) as never),
          thumbprint(signer?.publicJwk as never),
        );
        assert.equal(body.token.token_type, 'Bearer');
        assert.deepEqual(claimsIn(body.token.access_token).cnf, { 'x5t#S256': body.x509_svid['x5t#S256'] });
        const renewed = await at.call({ id: body.instance, signer: signer as never }, 'POST', '/renew', {});
        assert.equal(renewed.status, 200, JSON.stringify(renewed.body));
        assert.equal(leafOf(renewed.body).subjectAltName, `URI:${body.spiffe_id}`, 'names stand in a csr or nowhere');
      });
    }

    test('a renewal brings a new key by csr, with its own SPIFFE ID in it; the old key is done', async () => {
      const instance = await at.instance();
      const id = instance.answer.spiffe_id as string;
      const { pem, signer } = await makeRequest({ names: [['url', id]] });
      const { status, body } = await at.call(instance, 'POST', '/renew', { csr: pem });
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(leafOf(body).subjectAltName, `URI:${id}`);
      const now = { id: instance.id, signer: signer as never };
      assert.equal((await at.call(now, 'GET')).status, 200);
      assert.equal((await at.tokenOf(now)).status, 200);
      assert.equal((await at.tokenOf(instance)).status, 401);
      assert.equal((await at.call(instance, 'GET')).status, 401);
      // biome-ignore lint/suspicious/noExplicitAny: an event, looked at from outside
      const { items } = await server.admin<{ items: any[] }>(
        'GET',
        `/events?target=${instance.id}&type=instance.renewed`,
      );
      assert.equal(items[0].decided_on.key_before, thumbprint(instance.signer.publicJwk));
    });

    test('a child is given documents of its own', async () => {
      const parent = await at.instance();
      const { pem } = await makeRequest();
      const { status, body } = await at.child(parent, {
        proof: undefined,
        csr: pem,
        jwt_svid_audiences: ['https://a.example'],
      });
      assert.equal(status, 201, JSON.stringify(body));
      assert.equal(leafOf(body).subjectAltName, `URI:${body.spiffe_id}`);
      assert.match(body.spiffe_id, new RegExp(`/${body.instance}$`));
      assert.equal(claimsIn(body.jwt_svids[0].token).sub, body.spiffe_id);
    });

    test('an agent enrols by a client certificate, on the listener for mutual TLS', async () => {
      const certificate = await makeCertificate({ subject: 'CN=machine' });
      const { id } = await server.admin<{ id: string }>('POST', '/credentials', {
        agent: client.clientId,
        kind: 'certificate',
        certificate: certificate.pem,
      });
      const url = `${server.mtlsUrl}/instances`;
      const signer = await newSigner();
      const enrol = async (by: typeof certificate, body: object = { client_id: client.clientId }) =>
        tlsRequest(url, {
          certificate: by,
          form: JSON.stringify(body),
          headers: { 'content-type': 'application/json', dpop: await at.proofBy(signer, 'POST', url) },
        });
      const stranger = await enrol(await makeCertificate({ subject: 'CN=machine' }));
      assert.equal(stranger.status, 401, stranger.text);
      assert.equal((await enrol(certificate, {})).status, 401, 'a certificate alone does not say whose it is');
      const { status, json } = await enrol(certificate);
      assert.equal(status, 201, JSON.stringify(json));
      // biome-ignore lint/suspicious/noExplicitAny: an event, looked at from outside
      const { items } = await server.admin<{ items: any[] }>('GET', `/events?target=${json.instance}`);
      assert.equal(items[0].decided_on.client.credential, id);
      assert.equal(items[0].decided_on.client.method, 'self_signed_tls_client_auth');
      const renew = `${url}/${json.instance}/renew`;
      const headers = { 'content-type': 'application/json', dpop: await at.proofBy(signer, 'POST', renew) };
      assert.equal((await tlsRequest(renew, { form: '{}', headers })).status, 200, 'proofs name either listener');
    });

    test('what an authority vouches for is attested, and a template can demand it', async () => {
      const authority = await makeAuthority('CN=machines');
      const machine = (name: string) => makeCertificate({ issuer: authority, names: [['dns', name]] });
      const demand = (values: string[]) =>
        server.admin('PATCH', `/agents/${client.clientId}`, {
          instances: { attributes: [{ name: 'san_dns', provenance: 'attested', values }] },
        });
      await server.admin('POST', '/credentials', {
        agent: client.clientId,
        kind: 'certificate_subject',
        subject: { field: 'san_dns', value: 'm1.machines.example', ca: authority.pem },
      });
      const url = `${server.mtlsUrl}/instances`;
      const enrol = async (attributes: object = {}) => {
        const signer = await newSigner();
        return tlsRequest(url, {
          certificate: await machine('m1.machines.example'),
          form: JSON.stringify({ client_id: client.clientId, attributes }),
          headers: { 'content-type': 'application/json', dpop: await at.proofBy(signer, 'POST', url) },
        });
      };
      await demand(['m1.machines.example']);
      try {
        const { status, json, text } = await enrol();
        assert.equal(status, 201, text);
        assert.deepEqual(json.attributes.san_dns, { value: 'm1.machines.example', provenance: 'attested' });
        const contradicting = await enrol({ san_dns: 'm2.machines.example' });
        assert.equal(contradicting.status, 400, 'what it says of itself is not what its authority says');
        const said = await at.enrol({ body: { attributes: { san_dns: 'm1.machines.example' } } });
        assert.equal(said.body.error, 'unauthorized_client', 'saying so is not enough');
        await demand(['m9.machines.example']);
        assert.equal((await enrol()).json.error, 'unauthorized_client');
      } finally {
        await server.admin('PATCH', `/agents/${client.clientId}`, { instances: null });
      }
    });

    const nameOf = async () => (await server.admin<{ name: string }>('GET', `/agents/${client.clientId}`)).name;
  });
}
