import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

for (const database of databases) {
  describe(`only who can really administer for good counts as the other operator (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let narrow: AdminClient;
    let role: string;
    let team: string;
    let count = 0;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      role = (await operator.ok('GET', '/roles?name=operator')).items[0].id;
      team = (await operator.ok('GET', '/teams?name=operators')).items[0].id;
      narrow = await administrator(server, operator, { scopes: ['agents:write'] });
    });
    after(() => server.close());

    const entry = () => ({ resource: `${server.issuer}/admin`, default: true, scope: [] });

    async function second(agent: object = {}, key: object = {}): Promise<string> {
      const { id } = await operator.ok('POST', '/agents', {
        name: `second-${count++}`,
        kind: 'workload',
        owner: team,
        resources: [entry()],
        ...agent,
      });
      await operator.ok('PUT', `/agents/${id}/roles/${role}`);
      await operator.ok('POST', '/credentials', { agent: id, jwk: publicJwk(await generateJwk('ES256')), ...key });
      return id;
    }

    const inAMinute = () => ({ expires_at: new Date(server.clock.now() + 60_000).toISOString() });
    const stop = () => narrow.call('POST', `/agents/${server.operator.client_id}/suspend`);

    test('one without the admin API, without the grant, with an end or with a key that ends counts for nothing', async () => {
      const useless: [what: string, make: () => Promise<string>][] = [
        ['without the admin API', () => second({ resources: [] })],
        ['without the grant', () => second({ grants: [] })],
        ['with an end', () => second(inAMinute())],
        ['with a key that ends', () => second({}, inAMinute())],
      ];
      for (const [what, make] of useless) {
        const id = await make();
        const reply = await stop();
        assert.equal(reply.status, 409, `${what}: ${reply.text}`);
        assert.match(reply.body.detail, /last identity with the role operator/);
        await operator.ok('POST', `/agents/${id}/retire`);
      }
      await operator.ok('GET', '/agents');
    });

    test('each way to make the only other one useless is refused once the first is gone', async () => {
      const id = await second();
      const [{ id: credential }] = (await operator.ok('GET', `/credentials?agent=${id}`)).items;
      const all = ['agents:write', 'roles:write', 'credentials:write', 'guards:write', 'resources:write', 'teams:read'];
      const scopes = (await operator.ok('GET', `/roles/${role}`)).permissions[0].scopes as string[];
      assert.ok(all.every((scope) => scopes.includes(scope)));
      const mighty = await administrator(server, operator, { scopes });
      await operator.ok('POST', `/agents/${server.operator.client_id}/suspend`);
      for (const [method, path, body] of [
        ['PATCH', `/agents/${id}`, { resources: [] }],
        ['PATCH', `/agents/${id}`, { grants: [] }],
        ['PATCH', `/agents/${id}`, inAMinute()],
        ['PATCH', `/credentials/${credential}`, inAMinute()],
        ['DELETE', `/credentials/${credential}`],
        ['POST', `/agents/${id}/suspend`],
        ['POST', `/agents/${id}/retire`],
        ['DELETE', `/agents/${id}/roles/${role}`],
      ] as const) {
        const reply = await mighty.call(method, path, body);
        assert.equal(reply.status, 409, `${method} ${path}: ${reply.text}`);
      }
      // what leaves it able to administer is no matter of this
      await mighty.ok('PATCH', `/agents/${id}`, { limits: { token_lifetime_seconds: 60 } });

      // an operator may be a guard too: ending the guard ends it
      const resource = await mighty.ok('POST', '/resources', { identifier: 'https://guarded.example', name: 'G' });
      const jwk = publicJwk(await generateJwk('ES256'));
      const guard = await mighty.ok('POST', '/guards', { name: 'guard', resource: resource.id, owner: team, jwk });
      await mighty.ok('PUT', `/agents/${guard.agent}/roles/${role}`);
      const ender = await administrator(server, mighty, { scopes: ['guards:write'] });
      assert.equal((await ender.call('DELETE', `/guards/${guard.id}`)).status, 403, 'it is mightier');
      await mighty.ok('POST', `/agents/${id}/suspend`);
      const reply = await mighty.call('DELETE', `/guards/${guard.id}`);
      assert.equal(reply.status, 409, reply.text);
      await mighty.ok('POST', `/agents/${id}/resume`);
      assert.equal((await mighty.call('DELETE', `/guards/${guard.id}`)).status, 204);
    });
  });
}
