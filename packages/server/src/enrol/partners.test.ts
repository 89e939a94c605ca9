/** Instances of agents that a partner's SPIFFE identity stands for: what they show is attested, and a JWT-SVID enrols once. */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { SignJWT } from 'jose';
import { makeAuthority, makeCertificate, type TestCertificate } from '../testing/certificates.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type InstanceClient, instanceClient, newSigner } from '../testing/instance-client.ts';
import { tlsRequest } from '../testing/tls-request.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { forgetSpent } from '../tokens/spend.ts';

const spiffeId = 'spiffe://partner.example/ns/app';
const client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
/** The order of P-256: with (r, s), (r, n - s) is a valid signature too. */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** The same JWT with its other signature. */
function respelled(jwt: string): string {
  const [header, payload, signature] = jwt.split('.') as [string, string, string];
  const bytes = Buffer.from(signature, 'base64url');
  const s = (order - BigInt(`0x${bytes.subarray(32).toString('hex')}`)).toString(16).padStart(64, '0');
  const other = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s, 'hex')]);
  return `${header}.${payload}.${other.toString('base64url')}`;
}

for (const database of databases) {
  describe(`instances of partners, on ${database}`, () => {
    let server: TestServer;
    let authority: TestCertificate;
    let client: TokenClient;
    let at: InstanceClient;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      authority = await makeAuthority('CN=partner', { names: [['url', 'spiffe://partner.example']] });
      const { d: _, ...jwk } = createPrivateKey(authority.key).export({ format: 'jwk' });
      await server.admin('POST', '/trust-domains', {
        name: 'partner.example',
        bundle: {
          keys: [
            { use: 'x509-svid', ...jwk, x5c: [authority.der.toString('base64')] },
            { use: 'jwt-svid', kid: 'one', ...publicKey.export({ format: 'jwk' }) },
          ],
        },
      });
      client = await tokenClient(server);
      at = instanceClient(server, client);
      await server.admin('POST', '/credentials', {
        agent: client.clientId,
        kind: 'spiffe_id',
        spiffe_id: 'spiffe://partner.example/ns/*',
      });
    });
    after(() => server.close());

    let serial = 0;
    /** A new JWT-SVID, as the partner makes them. */
    const jwtSvid = async () => {
      const exp = Math.floor(server.clock.now() / 1000) + 240;
      const claims = { sub: spiffeId, aud: [server.issuer], exp, serial: serial++ };
      const client_assertion = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', kid: 'one' })
        .sign(privateKey);
      return { client_assertion_type, client_assertion };
    };
    const attested = { value: spiffeId, provenance: 'attested' };

    test('a JWT-SVID attests the SPIFFE ID, and bounds what it enrols by its own end', async () => {
      const { status, body } = await at.enrol({ token: null, body: await jwtSvid() });
      assert.equal(status, 201, JSON.stringify(body));
      assert.deepEqual(body.attributes.spiffe_id, attested);
      assert.equal(Date.parse(body.expires_at), server.clock.now() + 240_000);
      const lying = { ...(await jwtSvid()), attributes: { spiffe_id: 'spiffe://partner.example/ns/other' } };
      assert.equal((await at.enrol({ token: null, body: lying })).status, 400);
    });

    test('an X.509-SVID attests it too', async () => {
      const certificate = await makeCertificate({ issuer: authority, names: [['url', spiffeId]] });
      const url = `${server.mtlsUrl}/instances`;
      const headers = {
        'content-type': 'application/json',
        dpop: await at.proofBy(await newSigner(), 'POST', url),
      };
      const form = JSON.stringify({ client_id: spiffeId });
      const { status, json, text } = await tlsRequest(url, { certificate, form, headers });
      assert.equal(status, 201, text);
      assert.deepEqual(json.attributes.spiffe_id, attested);
    });

    test('a JWT-SVID enrols one instance, however it is spelled, and gets tokens as before', async () => {
      const body = await jwtSvid();
      assert.equal((await at.enrol({ token: null, body })).status, 201);
      for (const client_assertion of [body.client_assertion, respelled(body.client_assertion)]) {
        const again = await at.enrol({ token: null, body: { ...body, client_assertion } });
        assert.deepEqual([again.status, again.body.error], [401, 'invalid_client']);
      }
      server.clock.advance(241_000); // within the skew it is still accepted: and still spent
      await forgetSpent(server.deps);
      assert.equal((await at.enrol({ token: null, body })).status, 401);
      const other = await jwtSvid();
      for (let n = 0; n < 2; n++) {
        const htu = `${server.issuer}/oauth2/token`;
        const nonce = server.deps.nonces.current(server.clock.now());
        const dpop = await at.proofBy(await newSigner(), 'POST', htu, { nonce });
        const form = new URLSearchParams({ grant_type: 'client_credentials', ...other });
        const response = await fetch(htu, { method: 'POST', headers: { dpop }, body: form });
        assert.equal(response.status, 200, await response.text());
      }
      assert.equal((await at.enrol({ token: null, body: other })).status, 201);
    });

    test('its other signature is one, or the test above says nothing', async () => {
      const body = await jwtSvid();
      const client_assertion = respelled(body.client_assertion);
      assert.equal((await at.enrol({ token: null, body: { ...body, client_assertion } })).status, 201);
    });

    test('a JWT-SVID that ten show with ten keys enrols exactly one', async () => {
      const body = await jwtSvid();
      const all = await Promise.all(Array.from({ length: 10 }, () => at.prepared({ token: null, body })));
      const statuses = (await Promise.all(all.map(({ send }) => send()))).map(({ status }) => status);
      assert.deepEqual(statuses.sort(), [201, ...Array(9).fill(401)]);
    });

    test('one that was refused is spent, and sent again it writes nothing', async () => {
      const body = { ...(await jwtSvid()), lifetime_seconds: 7200 };
      assert.equal((await at.enrol({ token: null, body })).status, 400);
      for (let n = 0; n < 3; n++) assert.equal((await at.enrol({ token: null, body })).status, 401);
      const { items } = await server.admin<{ items: { reason: string }[] }>(
        'GET',
        `/events?agent=${client.clientId}&type=instance.refused&limit=200`,
      );
      assert.equal(items.filter(({ reason }) => reason.startsWith('lifetime_seconds')).length, 1);
    });

    test('a trust domain that is removed ends what its identities enrolled', async () => {
      const signer = await newSigner();
      const { body } = await at.enrol({ signer, token: null, body: await jwtSvid() });
      const held = { id: body.instance, signer };
      const { items } = await server.admin<{ items: { id: string }[] }>('GET', '/trust-domains');
      await server.admin('POST', `/trust-domains/${items[0]?.id}/remove`);
      assert.equal((await at.call(held, 'POST', '/renew', {})).status, 401);
      assert.equal((await at.enrol({ token: null, body: await jwtSvid() })).status, 401);
    });
  });
}
