/**
 * What a certificate proves, and for how long: names in certificates of this server's own authority, and tokens that end with
 * whatever proved their client.
 * @see RFC 8705 §2.1
 */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { makeRequest } from '../packages/server/src/testing/certificate-request.ts';
import { instanceClient } from '../packages/server/src/testing/instance-client.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';
import { makeSpiffeAuthority, makeSvid } from './federation.ts';
import {
  assertFailed,
  type MutualTls,
  makeCertificate,
  openMutualTls,
  payloadOf,
  type TestCertificate,
} from './mutual-tls.ts';
import { databases } from './world.ts';

const partner = 'partner.example';
const templates = { agent: { instances: { dns_names: ['*.desk.example.com'] } } };

for (const database of databases) {
  describe(`what certificates prove, on ${database}`, () => {
    let world: MutualTls;
    let partners: TestCertificate;
    before(async () => {
      world = await openMutualTls(database);
      partners = await makeSpiffeAuthority(partner);
      const { d: _, ...jwk } = createPrivateKey(partners.key).export({ format: 'jwk' }) as Record<string, unknown>;
      await world.server.admin('POST', '/trust-domains', {
        name: partner,
        bundle: { keys: [{ use: 'x509-svid', ...jwk, x5c: [partners.der.toString('base64')] }] },
      });
    });
    after(() => world.close());

    let count = 0;
    const newName = () => `n${++count}.desk.example.com`;

    /** An agent that is known by this name in certificates of this server's authority, and whose instances may have it. */
    const named = (value: string) =>
      world.agent({ kind: 'certificate_subject', subject: { field: 'san_dns', value } }, templates);

    /** The X.509-SVID of a new instance, with this name in it. */
    async function instanceOf(agent: TokenClient, name: string, lifetime_seconds = 3600) {
      const { pem, key } = await makeRequest({ names: [['dns', name]] });
      const { status, body } = await instanceClient(world.server, agent).enrol({
        dpop: null,
        body: { csr: pem, lifetime_seconds },
      });
      assert.equal(status, 201, JSON.stringify(body));
      const certificate = { chain: body.x509_svid.certificate_chain, key } as TestCertificate;
      return { certificate, id: body.instance as string };
    }

    /** By what the last token of the agent was asked for. */
    async function methodOf(agent: TokenClient): Promise<string | undefined> {
      const { items } = await world.server.admin<{ items: { decided_on: { client: { method: string } } }[] }>(
        'GET',
        `/events?agent=${agent.clientId}&type=token.issued`,
      );
      return items[0]?.decided_on.client.method;
    }

    test('a name in the X.509-SVID of an instance proves its agent by tls_client_auth', async () => {
      const name = newName();
      const agent = await named(name);
      const { certificate, id } = await instanceOf(agent, name);
      const { json, text } = await world.token(certificate, { client_id: agent.clientId });
      const claims = payloadOf(json.access_token);
      assert.deepEqual([claims.client_id, claims.instance], [agent.clientId, id], text);
      assert.equal(await methodOf(agent), 'tls_client_auth');
    });

    test('the very name in the X.509-SVID of another agent’s instance proves nothing', async () => {
      const name = newName();
      const agent = await named(name);
      const other = await tokenClient(world.server, templates);
      const { certificate } = await instanceOf(other, name);
      assertFailed(await world.token(certificate, { client_id: agent.clientId }));
      assert.equal(world.lastReason(), 'tls_client_auth: the certificate has another name');
      assert.equal((await world.token(certificate, { client_id: other.clientId })).status, 200);
      assert.equal(await methodOf(other), 'spiffe_x509');
    });

    test('an instance with another name in its X.509-SVID is known by its SPIFFE ID alone', async () => {
      const agent = await named(newName());
      const { certificate } = await instanceOf(agent, newName());
      assert.equal((await world.token(certificate, { client_id: agent.clientId })).status, 200);
      assert.equal(await methodOf(agent), 'spiffe_x509');
    });

    test('the name in a certificate of an authority that nobody registered proves nothing', async () => {
      const name = newName();
      const agent = await named(name);
      const bare = await makeCertificate({ issuer: world.authority, names: [['dns', name]] });
      assertFailed(await world.token(bare, { client_id: agent.clientId }));
      assert.equal(world.lastReason(), 'tls_client_auth: uri_names');
    });

    describe('a token ends with', () => {
      const at = (seconds: number) => world.clock.now() + seconds * 1000;
      const expires_at = (seconds: number) => new Date(at(seconds)).toISOString();
      /** Agent and certificate of each kind that has two ends; seconds, if the credential is to have one of its own. */
      const kinds: Record<string, (leaf: number, credential?: number) => Promise<[TestCertificate, string]>> = {
        async 'a certificate of a foreign authority'(leaf, credential) {
          const value = `ends-${++count}.example.com`;
          const subject = { field: 'san_dns', value, ca: world.authority.pem };
          const ends = credential === undefined ? {} : { expires_at: expires_at(credential) };
          const { clientId } = await world.agent({ kind: 'certificate_subject', subject, ...ends });
          return [
            await makeCertificate({ issuer: world.authority, names: [['dns', value]], until: at(leaf) }),
            clientId,
          ];
        },
        async 'a partner’s X.509-SVID'(leaf, credential) {
          const spiffe_id = `spiffe://${partner}/ends/${++count}`;
          const ends = credential === undefined ? {} : { expires_at: expires_at(credential) };
          const { clientId } = await world.agent({ kind: 'spiffe_id', spiffe_id, ...ends });
          return [await makeSvid(partners, spiffe_id, { until: at(leaf) }), clientId];
        },
        async 'a certificate that was registered itself'(leaf, credential) {
          const certificate = await makeCertificate({ subject: `CN=self ${++count}`, until: at(leaf) });
          const ends = credential === undefined ? {} : { expires_at: expires_at(credential) };
          const { clientId } = await world.agent({ kind: 'certificate', certificate: certificate.pem, ...ends });
          return [certificate, clientId];
        },
      };
      const rows: [string, number, number | undefined, string][] = [
        ['whose credential has no end', 120, undefined, 'certificate'],
        ['whose credential ends later', 120, 240, 'certificate'],
        ['whose credential ends sooner', 240, 120, 'credential'],
      ];
      for (const [kind, make] of Object.entries(kinds)) {
        for (const [sentence, leaf, credential, which] of rows) {
          if (kind === 'a certificate that was registered itself' && credential === 240) continue; // refused when registered
          test(`${kind} ${sentence}: with the ${which}`, async () => {
            const [certificate, client_id] = await make(leaf, credential);
            const { json, text } = await world.token(certificate, { client_id });
            assert.ok(json.expires_in > 110 && json.expires_in <= 120, `${text} ${world.lastReason()}`);
          });
        }
      }

      test('the instance that has the name, and its X.509-SVID', async () => {
        const name = newName();
        const agent = await named(name);
        const { certificate } = await instanceOf(agent, name, 120);
        const { json, text } = await world.token(certificate, { client_id: agent.clientId });
        assert.ok(json.expires_in > 110 && json.expires_in <= 120, text);
      });
    });
  });
}
