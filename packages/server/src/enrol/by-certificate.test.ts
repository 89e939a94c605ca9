/** An instance looks at itself, renews and goes by the certificate of its connection, where TLS has proven the key. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { signerFrom } from '@bailiwick/protocol';
import { makeCertificate, type TestCertificate } from '../testing/certificates.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type InstanceClient, instanceClient, newSigner } from '../testing/instance-client.ts';
import { tlsRequest } from '../testing/tls-request.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`instances by the certificate of a connection, on ${database}`, () => {
    let server: TestServer;
    let client: TokenClient;
    let at: InstanceClient;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      client = await tokenClient(server, { agent: {} });
      at = instanceClient(server, client);
    });
    after(() => server.close());

    /** An instance, and its certificate: the one that it was given, with its key. */
    async function certified(): Promise<{ id: string; certificate: TestCertificate }> {
      const made = await makeCertificate({ subject: 'CN=whatever' });
      const signer = signerFrom(createPrivateKey(made.key));
      const { id, answer } = await at.instance({ signer });
      const { certificate_chain: pem } = answer.x509_svid as { certificate_chain: string };
      return { id, certificate: { ...made, pem, chain: pem } };
    }

    const json = { 'content-type': 'application/json' };
    const call = (
      id: string,
      method: string,
      below: string,
      certificate: TestCertificate | undefined,
      headers: Record<string, string> = {},
      body: object = {},
    ) =>
      tlsRequest(`${server.mtlsUrl}/instances/${id}${below}`, {
        method,
        ...(certificate && { certificate }),
        ...(method === 'POST' && { form: JSON.stringify(body) }),
        headers: { ...(method === 'POST' && json), ...headers },
      });

    test('it looks at itself, renews, and ends', async () => {
      const { id, certificate } = await certified();
      const seen = await call(id, 'GET', '', certificate);
      assert.deepEqual([seen.status, seen.json.instance], [200, id], seen.text);
      const renewed = await call(id, 'POST', '/renew', certificate);
      assert.equal(renewed.status, 200, renewed.text);
      assert.equal((await call(id, 'DELETE', '', certificate)).status, 204);
      const gone = await call(id, 'GET', '', certificate);
      assert.deepEqual([gone.status, gone.json.error], [401, 'invalid_client']);
      assert.match(String(gone.json.error_description), /has ended/);
      // biome-ignore lint/suspicious/noExplicitAny: an event, looked at from outside
      const { items } = await server.admin<{ items: any[] }>('GET', `/events?target=${id}`);
      assert.equal(items.filter(({ type }) => type === 'instance.ended').length, 1);
    });

    test('what counts is the key: any certificate of it will do', async () => {
      const own = await makeCertificate({ subject: 'CN=self-made' });
      const { id } = await at.instance({ signer: signerFrom(createPrivateKey(own.key)) });
      assert.equal((await call(id, 'GET', '', own)).status, 200);
    });

    test('everybody else hears the same', async () => {
      const { id, certificate } = await certified();
      const other = await certified();
      const stranger = await makeCertificate({ subject: 'CN=whatever' });
      const proof = await at.proofBy(await newSigner(), 'GET', `${server.mtlsUrl}/instances/${id}`);
      for (const [what, asking] of [
        ['no certificate', call(id, 'GET', '', undefined)],
        ['a certificate of another key', call(id, 'GET', '', stranger)],
        ['the certificate of another instance', call(id, 'GET', '', other.certificate)],
        ['another instance, renewing', call(id, 'POST', '/renew', other.certificate)],
        ['another instance, ending', call(id, 'DELETE', '', other.certificate)],
        ['an instance that never was', call(`ins_${'0'.repeat(26)}`, 'GET', '', certificate)],
        ['a proof by another key beside it', call(id, 'GET', '', certificate, { dpop: proof })],
      ] as const) {
        const { status, json: said } = await asking;
        assert.deepEqual([status, said.error], [401, 'invalid_client'], what);
        assert.match(String(said.error_description), /no living instance here/, what);
      }
      const url = `${server.mtlsUrl}/instances/${id}/children`;
      const child = { name: 'reader', proof: await at.proofBy(await newSigner(), 'POST', url) };
      const refused = await call(id, 'POST', '/children', certificate, {}, child);
      assert.deepEqual(
        [refused.status, refused.json.error],
        [401, 'invalid_client'],
        'a child takes a proof of its parent',
      );
      assert.equal((await call(id, 'GET', '', certificate)).status, 200, 'it lives all the while');
    });

    test('a header that says what was seen counts for nothing from who is no proxy', async () => {
      const { id, certificate } = await certified();
      const der = certificate.pem.replaceAll(/-----[^-]+-----|\s/g, '');
      const asked = await call(id, 'GET', '', undefined, { 'client-cert': `:${der}:` });
      assert.equal(asked.status, 401);
    });
  });
}
