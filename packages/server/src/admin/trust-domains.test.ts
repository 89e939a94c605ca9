/** Foreign trust domains in the registry: who may change them, what their end ends, and what the log says. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { tokenClient } from '../testing/token-client.ts';

const name = 'partner.example';
const bundle = { keys: [], spiffe_sequence: 3 };
const nobody = 'https://localhost:1/spiffe/bundle';

for (const database of databases) {
  describe(`foreign trust domains (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
    });
    after(() => server.close());

    const eventsOf = async (target: string): Promise<string[]> => {
      const { items } = await operator.ok('GET', `/events?target=${target}`);
      return items.map(({ type }: { type: string }) => type).reverse();
    };
    const made = (more: object = {}) => operator.ok('POST', '/trust-domains', { name, bundle, ...more });

    test('are made, changed, refreshed and removed, and the log says so', async () => {
      const domain = await made();
      assert.deepEqual(
        [domain.name, domain.status, domain.bundle.sequence, domain.bundle_endpoint, domain.stale_at],
        [name, 'current', 3, undefined, undefined],
      );
      const again = await operator.call('POST', '/trust-domains', { name, bundle });
      assert.equal(again.status, 409);
      assert.equal(again.body.errors[0].field, 'name');

      const path = `/trust-domains/${domain.id}`;
      const none = await operator.call('POST', `${path}/refresh`);
      assert.equal(none.status, 409, 'a bundle given by hand comes from nowhere');
      const moved = await operator.ok('PATCH', path, { bundle_endpoint: { url: nobody } });
      assert.equal(moved.bundle_endpoint.profile, 'https_web');
      assert.match(moved.fault, /can't be connected to/);
      assert.equal(moved.bundle.sequence, 3, 'the bundle stays until another comes');
      assert.ok(moved.stale_at);
      assert.match((await operator.ok('POST', `${path}/refresh`)).fault, /can't be connected to/);
      const back = await operator.ok('PATCH', path, { bundle_endpoint: null });
      assert.deepEqual([back.bundle_endpoint, back.fault, back.refresh_at], [undefined, undefined, undefined]);
      const stays = await operator.call('PATCH', path, { bundle: null });
      assert.equal(stays.status, 422);
      const late = await operator.call('PATCH', path, { bundle }, { 'if-match': '"another"' });
      assert.equal(late.status, 412);

      await operator.ok('POST', `${path}/remove`);
      assert.equal((await operator.call('GET', path)).status, 404);
      const types = ['created', 'updated', 'refreshed', 'updated', 'removed'].map((verb) => `trust_domain.${verb}`);
      assert.deepEqual(
        (await eventsOf(domain.id)).filter((type) => type.startsWith('trust_domain.')),
        types,
      );
      const anew = await made();
      assert.notEqual(anew.id, domain.id, 'the name is theirs, and may come back');
      await operator.ok('POST', `/trust-domains/${anew.id}/remove`);
    });

    test('a SPIFFE ID can stand for an agent once its trust domain is registered in the same organization', async () => {
      const client = await tokenClient(server);
      const credential = { agent: client.clientId, kind: 'spiffe_id', spiffe_id: `spiffe://${name}/desk` };
      await operator.ok('POST', '/organizations', { name: 'other' });
      const elsewhere = await operator.ok('POST', '/trust-domains?organization=other', { name, bundle });
      const refused = await operator.call('POST', '/credentials', credential);
      assert.equal(refused.status, 422, 'another organization’s is not ours');
      assert.match(refused.body.detail, /not registered here/);
      const domain = await made();
      const { id } = await operator.ok('POST', '/credentials', credential);

      await operator.ok('POST', `/trust-domains/${elsewhere.id}/remove`);
      assert.equal((await operator.ok('GET', `/credentials/${id}`)).status, 'active', 'theirs ends nothing of ours');
      await operator.ok('POST', `/trust-domains/${domain.id}/remove`);
      assert.equal((await operator.ok('GET', `/credentials/${id}`)).status, 'removed');
      await made();
      assert.equal((await operator.ok('GET', `/credentials/${id}`)).status, 'removed', 'what has ended stays ended');
      const added = await operator.ok('POST', '/credentials', credential);
      assert.notEqual(added.id, id);
    });

    test('nobody decides about those who can do more', async () => {
      const scopes = ['trust_domains:read', 'trust_domains:write'];
      const narrow = await administrator(server, operator, { scopes });
      const mighty = await administrator(server, operator, { scopes: [...scopes, 'events:read'] });
      const domain = await operator.ok('POST', '/trust-domains', { name: 'mighty.example', bundle });
      const path = `/trust-domains/${domain.id}`;
      assert.equal((await narrow.call('PATCH', path, { bundle })).status, 200, 'as long as nobody rests on it');
      const spiffe_id = 'spiffe://mighty.example/admin';
      await operator.ok('POST', '/credentials', { agent: mighty.agent, kind: 'spiffe_id', spiffe_id });
      for (const [method, to, body] of [
        ['PATCH', path, { bundle: { keys: [] } }],
        ['PATCH', path, { bundle_endpoint: { url: nobody } }],
        ['POST', `${path}/remove`, {}],
      ] as const) {
        const { status, headers } = await narrow.call(method, to, body);
        assert.equal(status, 403, `${method} ${to}`);
        assert.match(headers.get('www-authenticate') ?? '', /events:read/);
      }
      assert.equal((await mighty.call('PATCH', path, { bundle: { keys: [] } })).status, 200);
    });
  });
}
