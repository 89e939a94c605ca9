/** Strangers with certificates and names of their own making: nobody becomes somebody else by them, and no server falls over. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { spiffeThumbprint } from '../packages/server/src/credentials/subject.ts';
import { der, tags } from '../packages/server/src/lib/der.ts';
import { pemBlocks, pemOf, readCertificate } from '../packages/server/src/lib/x509.ts';
import { verifyChain } from '../packages/server/src/lib/x509-verify.ts';
import { touchRegistry } from '../packages/server/src/liveness/liveness.ts';
import { adminClient, administrator } from '../packages/server/src/testing/admin-client.ts';
import { makeRequest } from '../packages/server/src/testing/certificate-request.ts';
import {
  basicConstraints,
  certifies,
  craft,
  craftAuthority,
  extension,
} from '../packages/server/src/testing/crafted-certificate.ts';
import { instanceClient } from '../packages/server/src/testing/instance-client.ts';
import type { TokenClient } from '../packages/server/src/testing/token-client.ts';
import { bundleOf, makeSpiffeAuthority, makeSvid } from './federation.ts';
import {
  assertFailed,
  type MutualTls,
  makeCertificate,
  openMutualTls,
  payloadOf,
  type TestCertificate,
} from './mutual-tls.ts';
import { databases } from './world.ts';

const name = 'desk.example.com';
const byName = { agent: { instances: { dns_names: [name], lifetime_seconds: 86400 } } };

for (const database of databases) {
  describe(`strangers with certificates, on ${database}:`, () => {
    let world: MutualTls;
    before(async () => {
      world = await openMutualTls(database, { dangerously_client_secrets_until: '2027-06-01' });
    });
    after(() => world.close());

    /** An instance with a certificate of ours for a DNS name. */
    async function named(client: TokenClient) {
      const { pem, signer, key } = await makeRequest({ names: [['dns', name]] });
      const instance = await instanceClient(world.server, client).instance({ signer: signer!, body: { csr: pem } });
      const { certificate_chain: chain } = instance.answer.x509_svid as { certificate_chain: string };
      return { instance, certificate: { chain, key } as TestCertificate };
    }

    async function ownRoots(): Promise<string> {
      const { keys } = (await (await fetch(`${world.server.issuer}/spiffe/bundle`)).json()) as {
        keys: { x5c?: [string] }[];
      };
      return keys.flatMap(({ x5c }) => (x5c ? [pemOf(Buffer.from(x5c[0], 'base64'))] : [])).join('');
    }

    /** A credential as it may have been registered before that was refused. */
    const registeredBefore = (id: string, sets: string, ...values: string[]) =>
      world.server.deps.db.transaction(async (tx) => {
        await tx.run(`update credentials set ${sets} where id = ?`, [...values, id]);
        await touchRegistry(tx);
      });

    /** The credential of the name, with this authority, for a new agent that has instances of that name. */
    async function victim(ca: string) {
      const subject = { field: 'san_dns', value: name };
      const other = pemOf(craftAuthority('other').der);
      const client = await world.agent({ kind: 'certificate_subject', subject: { ...subject, ca: other } }, byName);
      await registeredBefore(client.added, 'detail = ?', JSON.stringify({ ...subject, ca }));
      return client;
    }

    test('an instance of one agent is not another, though that believes our own root', async () => {
      const known = await victim(await ownRoots());
      const other = await named(await world.agent({ kind: 'enrolment_token' }, byName));
      assertFailed(await world.token(other.certificate, { client_id: known.clientId }));
      const own = await named(known);
      const reply = await world.token(own.certificate, { client_id: known.clientId });
      assert.equal(reply.status, 200, `${reply.text} ${world.lastReason()}`);
      assert.equal(payloadOf(reply.json.access_token).instance, own.instance.id);
      assert.equal((await instanceClient(world.server, known).call(own.instance, 'DELETE')).status, 204);
      assertFailed(await world.token(own.certificate, { client_id: known.clientId }));
    });

    test('nor though that believes an authority that vouches for ours', async () => {
      const other = await named(await world.agent({ kind: 'enrolment_token' }, byName));
      const [leaf, ours] = pemBlocks(other.certificate.chain, 'CERTIFICATE') as [Buffer, Buffer];
      const { spki, subject, subjectKeyIdentifier } = readCertificate(ours);
      const theirs = craftAuthority('theirs');
      const key = extension('2.5.29.14', der(tags.octetString, subjectKeyIdentifier as Buffer));
      const extensions = [basicConstraints(true), certifies, key];
      const cross = craft({ issuer: theirs, spki, subject, extensions });
      const known = await victim(pemOf(theirs.der));
      const certificate = { ...other.certificate, chain: pemOf(leaf) + pemOf(cross.der) };
      assertFailed(await world.token(certificate, { client_id: known.clientId }));
      const chain = [leaf, cross.der];
      assert.ok(verifyChain(chain, { anchors: [theirs.der], now: world.clock.now(), purpose: 'client' }), 'it holds');
    });

    test('who says which agent they are is not taken for the one with the longer name', async () => {
      const partner = await makeSpiffeAuthority('partner.example');
      const bundle = bundleOf([partner]);
      await world.server.admin('POST', '/trust-domains', { name: 'partner.example', bundle });
      const all = await world.agent({ kind: 'spiffe_id', spiffe_id: 'spiffe://partner.example/ns/*' });
      const one = await world.agent({ kind: 'spiffe_id', spiffe_id: 'spiffe://partner.example/ns/app' });
      const svid = await makeSvid(partner, 'spiffe://partner.example/ns/app');
      for (const { clientId } of [all, one]) {
        const reply = await world.token(svid, { client_id: clientId });
        assert.equal(reply.status, 200, `${reply.text} ${world.lastReason()}`);
        assert.equal(payloadOf(reply.json.access_token).client_id, clientId);
      }
      await world.server.admin('DELETE', `/credentials/${one.added}`);

      const operator = adminClient(world.server, world.server.operator);
      const { id: organization } = await operator.ok('POST', '/organizations', { name: 'other' });
      const scopes = ['agents:read', 'credentials:write', 'trust_domains:write'];
      const other = await administrator(world.server, operator, { organization, scopes });
      await other.ok('POST', '/trust-domains', {
        name: 'else.example',
        bundle: bundleOf([await makeSpiffeAuthority('else.example')]),
      });
      const spiffe_id = 'spiffe://else.example/ns/app';
      const { id } = await other.ok('POST', '/credentials', { agent: other.agent, kind: 'spiffe_id', spiffe_id });
      const longer = 'spiffe://partner.example/ns/batch/*';
      const detail = JSON.stringify({ spiffe_id: longer });
      await registeredBefore(id, 'thumbprint = ?, detail = ?', spiffeThumbprint(longer), detail);
      const batch = await makeSvid(partner, 'spiffe://partner.example/ns/batch/x');
      for (const client_id of [all.clientId, 'spiffe://partner.example/ns/batch/x']) {
        const reply = await world.token(batch, { client_id });
        assert.equal(reply.status, 200, `${reply.text} ${world.lastReason()}`);
        assert.equal(payloadOf(reply.json.access_token).client_id, all.clientId);
      }
    });

    test('what is shaped like no id is a stranger, by every method at every endpoint', async () => {
      const certificate = await makeCertificate({ names: [['dns', 'x.example']] });
      const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const now = Math.floor(world.clock.now() / 1000);
      const jwt = (header: object, claims: object) =>
        [
          b64(header),
          b64({ exp: now + 60, iat: now, jti: 'x', aud: world.server.issuer, ...claims }),
          b64('x'.repeat(60)),
        ].join('.');
      const kind = 'urn:ietf:params:oauth:client-assertion-type:jwt-';
      for (const id of ['\0', 'agt_\0', 'spiffe://a/\0', `agt_${'0'.repeat(25)}\0`, 'x'.repeat(2000), '__proto__']) {
        const bearer = jwt({ alg: 'ES256', kid: id }, { iss: id, sub: id });
        const ways: [string, Record<string, string>, Record<string, string>?][] = [
          ['certificate', { client_id: id }],
          ['client_secret_post', { client_id: id, client_secret: 'x' }],
          ['client_secret_basic', {}, { authorization: `Basic ${btoa(`${encodeURIComponent(id)}:x`)}` }],
          ['private_key_jwt', { client_assertion_type: `${kind}bearer`, client_assertion: bearer }],
          [
            'spiffe_jwt',
            { client_assertion_type: `${kind}spiffe`, client_assertion: jwt({ alg: 'ES256', kid: id }, { sub: id }) },
          ],
          [
            'spiffe_jwt with a client_id',
            {
              client_id: id,
              client_assertion_type: `${kind}spiffe`,
              client_assertion: jwt({ alg: 'ES256', kid: id }, { sub: 'spiffe://partner.example/x' }),
            },
          ],
        ];
        for (const [way, form, headers = {}] of ways) {
          for (const endpoint of ['token', 'introspect', 'revoke']) {
            const more: Record<string, string> =
              endpoint === 'token' ? { grant_type: 'client_credentials' } : { token: id };
            const reply = await world.post(`/oauth2/${endpoint}`, certificate, { ...form, ...more }, { headers });
            assert.equal(
              reply.status,
              401,
              `${way} at ${endpoint} with ${JSON.stringify(id.slice(0, 40))}: ${reply.text}`,
            );
            assert.equal(reply.json.error, 'invalid_client');
          }
          const init = {
            method: 'POST',
            headers: { 'content-type': 'application/json', ...headers },
            body: JSON.stringify(form),
          };
          const { status } = await fetch(`${world.server.issuer}/instances`, init);
          assert.ok(status === 401 || status === 400, `${way} at /instances: ${status}`);
        }
      }
    });
  });
}
