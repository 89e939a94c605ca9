/**
 * Instances as programs that we did not write see them: proofs by jose, certificate requests and chains by openssl, tokens by
 * oauth4webapi with the key of an instance.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose';
import * as oauth from 'oauth4webapi';
import { systemTool } from '../packages/server/src/testing/system-tool.ts';
import { databases, openWorld, type World } from './world.ts';

const openssl = systemTool('openssl');
const skip = 'skip' in openssl && openssl.skip;
const insecure = { [oauth.allowInsecureRequests]: true };

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

for (const database of databases) {
  describe(`instances, server on ${database}`, () => {
    let world: World;
    let folder: string;
    before(async () => {
      world = await openWorld(database, { path: '/tenants/one' });
      folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-instances-'));
    });
    after(async () => {
      await world.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const url = () => `${world.issuer}/instances`;

    const token = async (more: object = {}) =>
      (
        await world.operator.admin<{ secret: string }>('POST', '/credentials', {
          agent: world.client.id,
          kind: 'enrolment_token',
          ...more,
        })
      ).secret;

    async function proof(
      { privateKey, publicKey }: Keys,
      htu: string,
      more: object = {},
      htm = 'POST',
    ): Promise<string> {
      const claims = { htm, htu, jti: randomUUID(), iat: world.now(), ...more };
      const header = { alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(publicKey) };
      return new SignJWT(claims).setProtectedHeader(header).sign(privateKey);
    }

    const ath = (secret: string) => createHash('sha256').update(secret).digest('base64url');

    async function post(to: string, body: object, headers: Record<string, string>) {
      const response = await fetch(to, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      // biome-ignore lint/suspicious/noExplicitAny: an answer, looked at from outside
      return { status: response.status, body: (await response.json()) as any };
    }

    async function enrolled(body: object = {}) {
      const keys = await generateKeyPair('ES256', { extractable: true });
      const secret = await token();
      const dpop = await proof(keys, url(), { ath: ath(secret) });
      const answer = await post(url(), body, { authorization: `Bearer ${secret}`, dpop });
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
      return { keys, secret, dpop, ...answer.body };
    }

    function run(...args: string[]): string {
      return execFileSync((openssl as { path: string }).path, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
    }

    /** A key and a request for it, by openssl. */
    function request(...more: string[]): { csr: string; thumbprint: () => Promise<string> } {
      run(
        'req',
        '-new',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-keyout',
        'key.pem',
        '-out',
        'csr.pem',
        ...more,
      );
      const key = createPublicKey(readFileSync(path.join(folder, 'key.pem')));
      return {
        csr: readFileSync(path.join(folder, 'csr.pem'), 'utf8'),
        thumbprint: async () => calculateJwkThumbprint((await exportJWK(key)) as never),
      };
    }

    test('a proof by jose and an enrolment token enrol one, below an issuer with a path', async () => {
      const { instance, client_id, spiffe_id, x509_svid } = await enrolled();
      assert.equal(client_id, world.client.id);
      assert.ok(spiffe_id.endsWith(`/${instance}`));
      assert.ok(x509_svid.certificate_chain.startsWith('-----BEGIN CERTIFICATE-----'));
    });

    test('oauth4webapi gets a bound token with the key of an instance, and the instance is in it', async () => {
      const { keys, instance, spiffe_id } = await enrolled();
      const as = await oauth.processDiscoveryResponse(
        new URL(world.issuer),
        await oauth.discoveryRequest(new URL(world.issuer), { ...insecure, algorithm: 'oauth2' }),
      );
      const kid = await calculateJwkThumbprint((await exportJWK(keys.publicKey)) as never);
      const client = { client_id: world.client.id, [oauth.clockSkew]: world.clockSkew() };
      const dpop = oauth.DPoP(client, keys as Parameters<typeof oauth.DPoP>[1]);
      const auth = oauth.PrivateKeyJwt({ key: keys.privateKey as CryptoKey, kid });
      const ask = () =>
        oauth.clientCredentialsGrantRequest(
          as,
          client,
          auth,
          { resource: world.resources.tickets },
          { ...insecure, DPoP: dpop },
        );
      let response = await ask();
      const answer = await oauth.processClientCredentialsResponse(as, client, response).catch(async (error) => {
        if (!oauth.isDPoPNonceError(error)) throw error;
        response = await ask();
        return oauth.processClientCredentialsResponse(as, client, response);
      });
      const headers = {
        Authorization: `DPoP ${answer.access_token}`,
        dpop: await proof(keys, world.resources.tickets, { ath: ath(answer.access_token) }, 'GET'),
      };
      const claims = await oauth.validateJwtAccessToken(
        as,
        new Request(world.resources.tickets, { headers }),
        world.resources.tickets,
        {
          ...insecure,
          [oauth.clockSkew]: world.clockSkew(),
        },
      );
      assert.equal(claims.sub, spiffe_id);
      assert.equal(claims.instance, instance);
      assert.equal(claims.client_id, world.client.id);
    });

    test('a certificate request by openssl is taken, and openssl verifies what it gets', { skip }, async () => {
      const { csr, thumbprint } = request('-subj', '/');
      const secret = await token();
      const { status, body } = await post(url(), { csr, token: {} }, { authorization: `Bearer ${secret}` });
      assert.equal(status, 201, JSON.stringify(body));
      const [leaf, ...chain] = body.x509_svid.certificate_chain.match(
        /-----BEGIN[\s\S]+?-----END CERTIFICATE-----\n?/g,
      );
      writeFileSync(path.join(folder, 'leaf.pem'), leaf);
      writeFileSync(path.join(folder, 'chain.pem'), chain.join('\n'));
      writeFileSync(path.join(folder, 'roots.pem'), await (await fetch(`${world.issuer}/spiffe/ca.pem`)).text());
      const at = ['-x509_strict', '-attime', String(world.now()), '-purpose', 'sslclient'];
      assert.match(
        run('verify', ...at, '-CAfile', 'roots.pem', '-untrusted', 'chain.pem', 'leaf.pem'),
        /leaf\.pem: OK/,
      );
      assert.ok(run('x509', '-in', 'leaf.pem', '-noout', '-ext', 'subjectAltName').includes(`URI:${body.spiffe_id}`));
      const certified = createPublicKey(run('x509', '-in', 'leaf.pem', '-noout', '-pubkey'));
      assert.equal(await calculateJwkThumbprint((await exportJWK(certified)) as never), await thumbprint());
      assert.equal(
        run('x509', '-in', 'leaf.pem', '-noout', '-fingerprint', '-sha256')
          .split('=')[1]
          ?.replaceAll(/[:\s]/g, '')
          .toLowerCase(),
        Buffer.from(body.x509_svid['x5t#S256'], 'base64url').toString('hex'),
      );
    });

    const foreign: [sentence: string, ...args: string[]][] = [
      ['a request for another subject', '-subj', '/CN=root'],
      ['a request for a DNS name', '-subj', '/', '-addext', 'subjectAltName=DNS:www.example.com'],
      [
        'a request for the SPIFFE ID of another',
        '-subj',
        '/',
        '-addext',
        'subjectAltName=URI:spiffe://localhost/default/operator',
      ],
      ['a request to be an authority', '-subj', '/', '-addext', 'basicConstraints=critical,CA:TRUE'],
      ['a request with usages of its own', '-subj', '/', '-addext', 'extendedKeyUsage=codeSigning'],
    ];
    for (const [sentence, ...args] of foreign) {
      test(`refuses ${sentence}`, { skip }, async () => {
        const { csr } = request(...args);
        const { status, body } = await post(url(), { csr }, { authorization: `Bearer ${await token()}` });
        assert.deepEqual([status, body.error], [400, 'unauthorized_client'], JSON.stringify(body));
      });
    }

    test('refuses a request whose signature is not by its key', { skip }, async () => {
      const { csr } = request('-subj', '/');
      const der = Buffer.from(csr.replace(/-----[^-]+-----|\s/g, ''), 'base64');
      der[der.length - 1] = (der[der.length - 1] as number) ^ 1;
      const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
      const { status, body } = await post(url(), { csr: forged }, { authorization: `Bearer ${await token()}` });
      assert.deepEqual([status, body.error], [400, 'invalid_request']);
    });

    const proofs: [sentence: string, claims: (secret: string) => object][] = [
      ['a proof for another URL', (secret) => ({ ath: ath(secret), htu: `${world.issuer}/oauth2/token` })],
      ['a proof for another method', (secret) => ({ ath: ath(secret), htm: 'GET' })],
      ['a proof that is old', (secret) => ({ ath: ath(secret), iat: world.now() - 3600 })],
      ['a proof from the future', (secret) => ({ ath: ath(secret), iat: world.now() + 3600 })],
      ['a proof without ath', () => ({})],
      ['a proof for another enrolment token', () => ({ ath: ath('bwe_another') })],
    ];
    for (const [sentence, claims] of proofs) {
      test(`refuses ${sentence}, and the token stays good`, async () => {
        const keys = await generateKeyPair('ES256', { extractable: true });
        const secret = await token();
        const headers = { authorization: `Bearer ${secret}` };
        const refused = await post(url(), {}, { ...headers, dpop: await proof(keys, url(), claims(secret)) });
        assert.deepEqual(
          [refused.status, refused.body.error],
          [400, 'invalid_dpop_proof'],
          JSON.stringify(refused.body),
        );
        const good = await post(url(), {}, { ...headers, dpop: await proof(keys, url(), { ath: ath(secret) }) });
        assert.equal(good.status, 201, JSON.stringify(good.body));
      });
    }

    test('an enrolment token works once, and from its addresses alone', async () => {
      const { secret } = await enrolled();
      const keys = await generateKeyPair('ES256', { extractable: true });
      const again = await post(
        url(),
        {},
        { authorization: `Bearer ${secret}`, dpop: await proof(keys, url(), { ath: ath(secret) }) },
      );
      assert.deepEqual([again.status, again.body.error], [401, 'invalid_client']);
      const far = await token({ addresses: ['192.0.2.0/24'] });
      const refused = await post(
        url(),
        {},
        { authorization: `Bearer ${far}`, dpop: await proof(keys, url(), { ath: ath(far) }) },
      );
      assert.deepEqual([refused.status, refused.body.error], [400, 'unauthorized_client']);
    });

    test('renews by its key alone, once for each proof', async () => {
      const { keys, instance } = await enrolled();
      const to = `${url()}/${instance}/renew`;
      const dpop = await proof(keys, to);
      assert.equal((await post(to, {}, { dpop })).status, 200);
      assert.equal((await post(to, {}, { dpop })).body.error, 'invalid_dpop_proof');
      const stranger = await generateKeyPair('ES256', { extractable: true });
      assert.equal((await post(to, {}, { dpop: await proof(stranger, to) })).body.error, 'invalid_client');
    });
  });
}
