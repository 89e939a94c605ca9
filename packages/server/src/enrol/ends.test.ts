/** When instances end, what they keep, and what an enrolment costs its agent: each row fails without the line that it is for. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient, type Reply } from '../testing/instance-client.ts';
import { tokenClient } from '../testing/token-client.ts';

const minutes = 60_000;

for (const database of databases) {
  describe(`ends and budgets of instances, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
    });
    after(() => server.close());

    const world = async (agent: Record<string, unknown> = {}) => {
      const client = await tokenClient(server, { agent });
      return { client, at: instanceClient(server, client) };
    };
    const inMs = (ms: number) => new Date(server.clock.now() + ms).toISOString();

    /** Instance, certificate and JWT-SVID end together, and then. */
    function endsAt({ status, body }: Reply, end: string): void {
      assert.ok(status < 300, JSON.stringify(body));
      assert.equal(body.expires_at, end);
      assert.equal(body.x509_svid.expires_at, end);
      const leaf = new X509Certificate(body.x509_svid.certificate_chain);
      assert.equal(new Date(leaf.validTo).toISOString(), end);
      const [{ token }] = body.jwt_svids;
      const { exp } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
      assert.equal(new Date(exp * 1000).toISOString(), end);
    }
    const documents = { jwt_svid_audiences: ['https://a.example'] };

    for (const [what, patch] of [
      ['its agent', (client: { clientId: string }) => `/agents/${client.clientId}`],
      ['the credential that enrolled it', (client: { credential: string }) => `/credentials/${client.credential}`],
    ] as const) {
      test(`neither an instance nor its certificate outlives ${what}, enrolled or renewed`, async () => {
        const { client, at } = await world();
        await server.admin('PATCH', patch(client), { expires_at: inMs(4 * minutes) });
        const instance = await at.instance({ body: documents });
        endsAt({ status: 201, headers: new Headers(), body: instance.answer }, inMs(4 * minutes));
        server.clock.advance(minutes);
        endsAt(await at.call(instance, 'POST', '/renew', documents), inMs(3 * minutes));
        await server.admin('PATCH', patch(client), { expires_at: inMs(2 * minutes) });
        endsAt(await at.call(instance, 'POST', '/renew', documents), inMs(2 * minutes));
        server.clock.advance(2 * minutes);
        assert.ok((await at.call(instance, 'POST', '/renew', {})).status >= 400);
        assert.ok((await at.enrolByKey()).status >= 400);
      });
    }

    test('a renewal keeps what is known of an instance and who said so, and sees the address anew', async () => {
      const { at } = await world();
      const { secret } = await at.token({ attributes: { zone: 'eu-1' } });
      const first = await at.prepared({ token: secret, body: { attributes: { image: 'desk:7' } } });
      const { body } = await first.send();
      const held = { id: body.instance, signer: first.signer };
      const known = {
        zone: { value: 'eu-1', provenance: 'orchestrated' },
        image: { value: 'desk:7', provenance: 'declared' },
        address: { value: '127.0.0.1', provenance: 'observed' },
      };
      for (let n = 0; n < 2; n++) {
        assert.deepEqual((await at.call(held, 'POST', '/renew', {})).body.attributes, known);
        assert.deepEqual((await at.call(held, 'GET')).body.attributes, known, 'and it is kept');
      }
    });

    test('what the template demands is demanded of children too', async () => {
      const { client, at } = await world();
      const parent = await at.instance({ body: { attributes: { zone: 'eu-1' } } });
      const demand = (values: string[], provenance = 'declared') =>
        server.admin('PATCH', `/agents/${client.clientId}`, {
          instances: { attributes: [{ name: 'zone', provenance, values }] },
        });
      await demand(['eu-1']);
      assert.equal((await at.child(parent)).status, 201, 'it has what its parent has');
      await demand(['us-1']);
      assert.equal((await at.child(parent)).body.error, 'unauthorized_client');
      await demand(['eu-1'], 'orchestrated');
      assert.equal((await at.child(parent)).body.error, 'unauthorized_client', 'saying so is not enough');
    });

    test('whoever asks too often hears when to come back: enrolments, renewals and children count alike', async () => {
      const { at } = await world({ limits: { tokens_per_minute: 3 } });
      const refused = (reply: Reply) => {
        assert.deepEqual(
          [reply.status, reply.body.error],
          [429, 'temporarily_unavailable'],
          JSON.stringify(reply.body),
        );
        assert.match(reply.body.error_description, /3 tokens a minute/);
        assert.equal(reply.headers.get('retry-after'), '20');
      };
      const parent = await at.instance();
      assert.equal((await at.call(parent, 'POST', '/renew', {})).status, 200);
      assert.equal((await at.child(parent)).status, 201);
      refused(await at.enrolByKey());
      refused(await at.call(parent, 'POST', '/renew', {}));
      refused(await at.child(parent));
      server.clock.advance(20_000);
      assert.equal((await at.enrolByKey()).status, 201);
      refused(await at.enrolByKey());
    });

    test('an enrolment is a use of the key that it was done by, and not of one that an instance goes by later', async () => {
      const { client, at } = await world();
      const used = async () =>
        (await server.admin<{ last_used_at?: string }>('GET', `/credentials/${client.credential}`)).last_used_at;
      assert.equal(await used(), undefined);
      const instance = await at.instance();
      const enrolledAt = inMs(0);
      let noted = await used(); // it is noted after the answer: a later settlement waits for it
      for (let n = 0; n < 50 && noted === undefined; n++) noted = await used();
      assert.equal(noted, enrolledAt);
      server.clock.advance(50 * minutes);
      await at.call(instance, 'POST', '/renew', {});
      server.clock.advance(20 * minutes);
      await at.call(instance, 'POST', '/renew', {});
      for (let n = 0; n < 5; n++) assert.equal(await used(), enrolledAt);
    });
  });
}
