/** What must hold when many ask at once, and what the log and the tables hold afterwards. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { publicJwk, thumbprint } from '@bailiwick/protocol';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient, newSigner } from '../testing/instance-client.ts';
import { newScene } from '../testing/instance-refusals.ts';
import { tokenClient } from '../testing/token-client.ts';

const minutes = 60_000;

for (const database of databases) {
  describe(`instances at once, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
    });
    after(() => server.close());

    const scene = () => newScene(server);

    test('an enrolment token that ten share enrols exactly one', async () => {
      const { at } = await scene();
      const { secret } = await at.token();
      const all = await Promise.all(Array.from({ length: 10 }, () => at.prepared({ token: secret })));
      const statuses = (await Promise.all(all.map(({ send }) => send()))).map(({ status }) => status);
      assert.deepEqual(statuses.sort(), [201, ...Array(9).fill(401)]);
    });

    test('one key that ten enrol at once enrols exactly one, and each of the others keeps its token', async () => {
      const { at } = await scene();
      const signer = await newSigner();
      const tokens = await Promise.all(Array.from({ length: 10 }, async () => (await at.token()).secret));
      const all = await Promise.all(tokens.map((token) => at.prepared({ token, signer })));
      const statuses = (await Promise.all(all.map(({ send }) => send()))).map(({ status }) => status);
      assert.deepEqual(statuses.sort(), [201, ...Array(9).fill(400)]);
      const again = await Promise.all(tokens.map((token) => at.enrol({ token })));
      assert.deepEqual(again.map(({ status }) => status).sort(), [...Array(9).fill(201), 401]);
    });

    test('ten children of one name at once: exactly one', async () => {
      const { at } = await scene();
      const parent = await at.instance();
      const all = await Promise.all(Array.from({ length: 10 }, () => at.child(parent, { name: 'twin' })));
      assert.deepEqual(all.map(({ status }) => status).sort(), [201, ...Array(9).fill(400)]);
    });

    test('ten renewals at once with ten proofs all hold, and with one proof exactly one', async () => {
      const { at } = await scene();
      const instance = await at.instance();
      const all = await Promise.all(Array.from({ length: 10 }, () => at.call(instance, 'POST', '/renew', {})));
      assert.ok(all.every(({ status }) => status === 200 || status === 503));
      const dpop = await at.proofBy(instance.signer, 'POST', `${at.url}/${instance.id}/renew`);
      const same = await Promise.all(
        Array.from({ length: 10 }, () => at.call(instance, 'POST', '/renew', {}, { dpop })),
      );
      assert.deepEqual(same.map(({ status }) => status).sort(), [200, ...Array(9).fill(400)]);
    });

    test('what is refused to somebody known is on record, with its reason and without what was sent', async () => {
      const { at, client } = await scene();
      await at.enrolByKey({ body: { attributes: { note: 'confidential-note' }, token: { scope: 'tickets:delete' } } });
      // biome-ignore lint/suspicious/noExplicitAny: an event, looked at from outside
      const { items } = await server.admin<{ items: any[] }>(
        'GET',
        `/events?agent=${client.clientId}&type=instance.refused`,
      );
      assert.equal(items.length, 1);
      assert.match(items[0].reason, /no role of this agent gives tickets:delete/);
      assert.equal(items[0].decided_on.error, 'invalid_scope');
      assert.deepEqual(items[0].decided_on.asked.attributes, ['note']);
      assert.doesNotMatch(JSON.stringify(items), /confidential-note/);
    });

    test('a secret stands in no table, and a used token is counted, not written', async () => {
      const { at, client } = await scene();
      const { secret } = await at.token();
      await at.enrol({ token: secret });
      await at.enrol({ token: secret });
      const { items } = await server.admin<{ items: object[] }>(
        'GET',
        `/events?agent=${client.clientId}&outcome=refused`,
      );
      assert.deepEqual(items, []);
      for (const table of ['credentials', 'instances', 'events', 'personal', 'idempotency']) {
        const rows = await server.deps.db.all(`select * from ${table}`);
        assert.ok(!JSON.stringify(rows).includes(secret), table);
      }
      const counted = [...server.deps.failures.counts.values()].map(({ reason }) => reason).join();
      assert.match(counted, /enrolment token crd_[0-9a-z]+ was used before/);
    });

    test('what the template demands must be known, from where it says, and be what it says', async () => {
      const agent = {
        instances: { attributes: [{ name: 'zone', provenance: 'orchestrated', values: ['eu-1'] }] },
      };
      const own = instanceClient(server, await tokenClient(server, { agent }));
      const enrolled = async (attributes: object, declared: object = {}) =>
        (await own.enrol({ token: (await own.token({ attributes })).secret, body: { attributes: declared } })).status;
      assert.equal(await enrolled({}), 400, 'not known');
      assert.equal(await enrolled({}, { zone: 'eu-1' }), 400, 'said by the instance itself');
      assert.equal(await enrolled({ zone: 'us-1' }), 400, 'of another value');
      assert.equal(await enrolled({ zone: 'eu-1' }), 201);
      const near = {
        instances: { attributes: [{ name: 'address', provenance: 'observed', values: ['127.0.0.0/8', '::1'] }] },
      };
      assert.equal((await instanceClient(server, await tokenClient(server, { agent: near })).enrolByKey()).status, 201);
      const far = { instances: { attributes: [{ name: 'address', provenance: 'observed', values: ['10.0.0.0/8'] }] } };
      assert.equal((await instanceClient(server, await tokenClient(server, { agent: far })).enrolByKey()).status, 400);
    });

    test('a template that became narrower ends nothing, and is what renewals go by', async () => {
      const { at, client } = await scene();
      const instance = await at.instance();
      await server.admin('PATCH', `/agents/${client.clientId}`, { instances: { lifetime_seconds: 60 } });
      assert.equal((await at.call(instance, 'GET')).status, 200);
      const { body } = await at.call(instance, 'POST', '/renew', {});
      assert.equal(body.expires_at, instance.answer.expires_at, 'what it has is not taken away');
      server.clock.advance(59.5 * minutes);
      const late = await at.call(instance, 'POST', '/renew', {});
      assert.equal(late.body.expires_at, new Date(server.clock.now() + minutes).toISOString());
      await server.admin('PATCH', `/agents/${client.clientId}`, {
        instances: { attributes: [{ name: 'image', provenance: 'declared' }] },
      });
      assert.equal((await at.call(instance, 'POST', '/renew', {})).body.error, 'unauthorized_client');
      assert.equal((await at.call(instance, 'GET')).status, 200);
    });

    test('the log names keys by their thumbprints', async () => {
      const { at } = await scene();
      const { id, signer } = await at.instance();
      // biome-ignore lint/suspicious/noExplicitAny: an event, looked at from outside
      const { items } = await server.admin<{ items: any[] }>('GET', `/events?target=${id}`);
      assert.equal(items[0].decided_on.key, thumbprint(publicJwk(signer.publicJwk)));
      assert.equal(items[0].instance, id);
    });
  });
}
