import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type AdminScope, adminScopes } from './scopes.ts';
import { adminTable } from './table.ts';

for (const database of databases) {
  describe(`nobody gives what they do not hold (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let things: Awaited<ReturnType<typeof populate>>;
    let narrow: AdminClient & { agent: string };
    let mighty: AdminClient & { agent: string };
    let adminResource: string;
    let operatorRole: string;
    let guardRole: string;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      things = await populate(operator, 'default');
      adminResource = `${server.issuer}/admin`;
      const { items } = await operator.ok('GET', '/roles');
      operatorRole = items.find(
        ({ name, system }: { name: string; system: boolean }) => system && name === 'operator',
      ).id;
      guardRole = items.find(({ name, system }: { name: string; system: boolean }) => system && name === 'guard').id;
      const scopes = ['agents', 'credentials', 'roles', 'resources', 'guards', 'teams', 'people'].flatMap((noun) => [
        `${noun}:read`,
        `${noun}:write`,
      ]);
      narrow = await administrator(server, operator, { scopes });
      mighty = await administrator(server, operator, { scopes: [...scopes, 'events:read'] });
    });
    after(() => server.close());

    test('every way to more than one has is refused as insufficient_scope, and is in the log', async () => {
      const jwk = publicJwk(await generateJwk('ES256'));
      const [credential] = (await operator.ok('GET', `/credentials?agent=${mighty.agent}`)).items;
      const more = [{ resource: adminResource, scopes: ['events:read'] }];
      const attempts: [what: string, method: string, path: string, body?: unknown][] = [
        ['give oneself the role operator', 'PUT', `/agents/${narrow.agent}/roles/${operatorRole}`],
        ['give somebody else the role operator', 'PUT', `/agents/${things.agent.id}/roles/${operatorRole}`],
        ['make a role that gives more', 'POST', '/roles', { name: 'more', permissions: more }],
        ['widen a role', 'PATCH', `/roles/${things.role.id}`, { permissions: more }],
        ['add a key to somebody mightier', 'POST', '/credentials', { agent: mighty.agent, jwk }],
        ['add a key to the operator', 'POST', '/credentials', { agent: server.operator.client_id, jwk }],
        ['change the key of somebody mightier', 'PATCH', `/credentials/${credential.id}`, { label: 'mine' }],
        ['remove the key of somebody mightier', 'DELETE', `/credentials/${credential.id}`],
        ['change somebody mightier', 'PATCH', `/agents/${mighty.agent}`, { owner: things.team.id }],
        ['give a role to somebody mightier', 'PUT', `/agents/${mighty.agent}/roles/${things.role.id}`],
        ['retire somebody mightier', 'POST', `/agents/${mighty.agent}/retire`],
        [
          'register an agent whose default scope is more',
          'POST',
          '/agents',
          {
            name: 'more',
            kind: 'device',
            owner: things.team.id,
            resources: [{ resource: adminResource, scope: ['events:read'] }],
          },
        ],
      ];
      for (const [what, method, path, body] of attempts) {
        const reply = await narrow.call(method, path, body);
        assert.equal(reply.status, 403, `${what}: ${reply.status} ${reply.text}`);
        assert.equal(reply.body.type, 'urn:bailiwick:problem:insufficient-scope', what);
        assert.match(reply.headers.get('www-authenticate') ?? '', /^DPoP error="insufficient_scope", scope="/, what);
      }
      const { items } = await operator.ok('GET', `/events?type=admin.refused&agent=${narrow.agent}&limit=200`);
      assert.equal(items.length, attempts.length);
      assert.ok(items.every(({ outcome }: { outcome: string }) => outcome === 'refused'));
    });

    test('what one holds, one may give', async () => {
      const role = await narrow.ok('POST', '/roles', {
        name: 'as-much',
        permissions: [{ resource: adminResource, scopes: ['agents:read'] }],
      });
      await narrow.ok('PUT', `/agents/${things.agent.id}/roles/${role.id}`);
      await narrow.ok('POST', '/credentials', { agent: things.agent.id, jwk: publicJwk(await generateJwk('ES256')) });
      await narrow.ok('DELETE', `/agents/${things.agent.id}/roles/${role.id}`);
    });

    test('a role of somebody mightier can be described, and loses only what one could give back', async () => {
      const permissions = [{ resource: adminResource, scopes: ['events:read', 'keys:read'] }];
      const role = await operator.ok('POST', '/roles', { name: 'onlooker', permissions });
      await narrow.ok('PATCH', `/roles/${role.id}`, { description: 'reads the log' });
      const holder = await operator.ok('POST', '/agents', { name: 'reviser', kind: 'device', owner: things.team.id });
      await operator.ok('PUT', `/agents/${holder.id}/roles/${role.id}`);
      for (const [method, path, body] of [
        ['PATCH', `/roles/${role.id}`, { permissions: [] }],
        ['PATCH', `/roles/${role.id}`, { permissions: [{ ...permissions[0], scopes: ['events:read'] }] }],
        ['POST', `/roles/${role.id}/retire`, {}],
        ['DELETE', `/agents/${holder.id}/roles/${role.id}`],
      ] as const) {
        const reply = await narrow.call(method, path, body);
        assert.equal(reply.status, 403, `${method} ${path}: ${reply.text}`);
      }
      const wider = [{ resource: adminResource, scopes: ['agents:read', 'events:read', 'keys:read'] }];
      await narrow.ok('PATCH', `/roles/${role.id}`, { permissions: wider });
      await narrow.ok('PATCH', `/roles/${role.id}`, {
        permissions: [{ resource: role.permissions[0].resource, scopes: ['events:read', 'keys:read'] }],
      });
      await operator.ok('PATCH', `/roles/${role.id}`, { permissions: [] });
      assert.equal((await narrow.call('PATCH', `/roles/${role.id}`, { permissions })).status, 403);
    });

    test('stopping somebody mightier is allowed, letting them act again is not', async () => {
      const target = await administrator(server, operator, { scopes: ['events:read'] });
      await narrow.ok('POST', `/agents/${target.agent}/suspend`, { reason: 'looks stolen' });
      assert.equal((await narrow.call('POST', `/agents/${target.agent}/resume`)).status, 403);
      await operator.ok('POST', `/agents/${target.agent}/resume`);
    });

    test('taking the tokens of somebody mightier again and again is no way to keep them from acting', async () => {
      const stopper = await administrator(server, operator, { scopes: ['revocations:write', 'agents:read'] });
      const [credential] = (await operator.ok('GET', `/credentials?agent=${server.operator.client_id}`)).items;
      const [grant] = (await operator.ok('GET', `/agents/${server.operator.client_id}/roles`)).items;
      assert.ok(credential && grant);
      const revoke = (body: object) =>
        stopper.call('POST', '/revocations', { effect: 'tokens', reason: 'a test', ...body });
      const subjects = [server.operator.client_id, credential.id];
      for (const subject of subjects) {
        assert.equal((await revoke({ subject })).status, 403, subject);
        assert.equal((await operator.call('GET', '/agents')).status, 200, 'its token stands');
      }
      const target = await administrator(server, operator, { scopes: ['events:read'] });
      assert.equal((await revoke({ subject: target.agent })).status, 403);
      assert.equal((await revoke({ subject: target.agent, effect: 'suspend' })).status, 201, 'what may be urgent');
      const plain = await operator.ok('POST', '/agents', { name: 'plain', kind: 'device', owner: things.team.id });
      assert.equal(
        (await revoke({ subject: plain.id })).status,
        201,
        'whoever administers nothing is mightier than nobody',
      );
    });

    test('only being registered as a guard gives what a guard has', async () => {
      const permissions = [{ resource: adminResource, scopes: ['guards:self'] }];
      const reply = await operator.call('POST', '/roles', { name: 'fake-guard', permissions });
      assert.equal(reply.status, 422);
      assert.equal(reply.body.errors[0].field, 'permissions[0].scopes');
      // the role alone makes no guard
      const target = await administrator(server, operator, { scopes: ['teams:read'] });
      await operator.ok('PUT', `/agents/${target.agent}/roles/${guardRole}`);
      const entry = { resource: adminResource, default: true, scope: ['guards:self'] };
      await operator.ok('PATCH', `/agents/${target.agent}`, { resources: [entry] });
      const client = adminClient(server, { client_id: target.agent, jwk: target.jwk });
      assert.equal((await client.call('GET', '/guards/self')).status, 404);
      assert.equal((await operator.call('GET', '/guards/self')).status, 403);
    });

    test('nobody has tokens made that name this server or another resource as their audience', async () => {
      const { issuer } = server;
      const identifiers = [issuer, `${issuer}/`, `${issuer}/admin/`, `${issuer}/admin/v1`, `${issuer}/instances`];
      for (const identifier of identifiers) {
        const reply = await operator.call('POST', '/resources', { identifier, name: 'us' });
        assert.ok([400, 409].includes(reply.status), `${identifier}: ${reply.status}`);
        assert.equal(reply.body.errors[0].field, 'identifier');
      }
      const own = { identifier: 'https://own.example', name: 'Own' };
      for (const audience of [issuer, adminResource, `${issuer}/tasks`, things.resource.identifier]) {
        for (const [method, path, body] of [
          ['POST', '/resources', { ...own, token: { audience } }],
          ['PATCH', `/resources/${(await second()).id}`, { token: { audience } }],
        ] as const) {
          const reply = await narrow.call(method, path, body);
          assert.equal(reply.status, 409, `${method} ${audience}`);
          assert.equal(reply.body.errors[0].field, 'token.audience');
        }
      }
      // clouds ask everybody for the same audience: two may share one that identifies neither, and nobody takes it as a name
      const cloud = { token: { audience: 'https://sts.cloud.example' } };
      await narrow.ok('POST', '/resources', { identifier: 'https://one.example', name: 'One', ...cloud });
      await narrow.ok('POST', '/resources', { identifier: 'https://two.example', name: 'Two', ...cloud });
      const taken = await narrow.call('POST', '/resources', { identifier: 'https://sts.cloud.example', name: 'Three' });
      assert.equal(taken.status, 409);
    });

    let made: Promise<{ id: string }> | undefined;
    const second = () => {
      made ??= narrow.ok('POST', '/resources', { identifier: 'https://second.example', name: 'Second' });
      return made;
    };

    test('nobody guards the admin API', async () => {
      const jwk = publicJwk(await generateJwk('ES256'));
      const body = { name: 'spy', resource: adminResource, owner: things.team.id, jwk };
      const reply = await operator.call('POST', '/guards', body);
      assert.equal(reply.status, 422);
      assert.equal(reply.body.errors[0].field, 'resource');
    });

    test('the last operator can not be locked out, by anybody, in any way', async () => {
      const { client_id } = server.operator;
      const [credential] = (await operator.ok('GET', `/credentials?agent=${client_id}`)).items;
      const attempts: [method: string, path: string, body?: unknown][] = [
        ['POST', `/agents/${client_id}/suspend`],
        ['POST', `/agents/${client_id}/retire`],
        ['DELETE', `/agents/${client_id}/roles/${operatorRole}`],
        ['DELETE', `/credentials/${credential.id}`],
        ['PATCH', `/credentials/${credential.id}`, { expires_at: '2030-01-01T00:00:00Z' }],
        ['PATCH', `/agents/${client_id}`, { resources: [] }],
        ['PATCH', `/agents/${client_id}`, { grants: [] }],
        ['PATCH', `/agents/${client_id}`, { expires_at: '2030-01-01T00:00:00Z' }],
      ];
      for (const [method, path, body] of attempts) {
        const reply = await operator.call(method, path, body);
        assert.equal(reply.status, 409, `${method} ${path}: ${reply.text}`);
        assert.match(reply.body.detail, /last identity with the role operator/);
      }
      // the one that is suspended or without a key counts for nothing
      const other = await operator.ok('POST', '/agents', {
        name: 'second-operator',
        kind: 'workload',
        owner: things.team.id,
        resources: [{ resource: adminResource, default: true, scope: ['agents:write'] }],
      });
      await operator.ok('PUT', `/agents/${other.id}/roles/${operatorRole}`);
      assert.equal((await operator.call('POST', `/agents/${client_id}/suspend`)).status, 409);
      const jwk = await generateJwk('ES256');
      await operator.ok('POST', '/credentials', { agent: other.id, jwk: publicJwk(jwk) });
      await operator.ok('POST', `/agents/${client_id}/suspend`);
      assert.equal((await operator.call('GET', '/agents')).status, 401, 'its token ended with it');
      const heir = adminClient(server, { client_id: other.id, jwk });
      assert.equal((await heir.call('POST', `/agents/${other.id}/suspend`)).status, 409);
      const reply = await heir.call('POST', `/agents/${client_id}/resume`);
      assert.equal(reply.status, 403, 'its own token is narrow, whatever its roles say');
    });

    test('the organization of the server itself can not be suspended, another one can', async () => {
      const scopes = ['organizations:read', 'organizations:write', 'organizations:any'];
      const fresh = await startServer({ database });
      try {
        const first = adminClient(fresh, fresh.operator);
        const admin = await administrator(fresh, first, { scopes });
        const [home] = (await admin.ok('GET', '/organizations?name=default')).items;
        assert.equal((await admin.call('POST', `/organizations/${home.id}/suspend`)).status, 409);
        const other = await admin.ok('POST', '/organizations', { name: 'other' });
        const theirs = await administrator(fresh, first, { scopes: ['agents:read'], organization: 'other' });
        await theirs.ok('GET', '/agents');
        assert.equal((await admin.ok('POST', `/organizations/${other.id}/suspend`)).status, 'suspended');
        assert.equal((await theirs.call('GET', '/agents')).status, 401);
        assert.equal((await admin.ok('POST', `/organizations/${other.id}/resume`)).status, 'active');
      } finally {
        await fresh.close();
      }
    });
  });
}

describe('every route asks for its scopes', () => {
  let server: TestServer;
  let operator: AdminClient;
  before(async () => {
    server = await startServer();
    operator = adminClient(server, server.operator);
  });
  after(() => server.close());

  test('a token with all other scopes is refused, naming what is missing', async () => {
    const clients = new Map<string, AdminClient>();
    for (const route of adminTable) {
      for (const scope of route.scopes) {
        if (scope === 'guards:self') continue;
        let client = clients.get(scope);
        if (!client) {
          const scopes = (Object.keys(adminScopes) as AdminScope[]).filter(
            (one) => one !== scope && one !== 'guards:self' && !one.endsWith(':own'), // these stand in for others
          );
          client = await administrator(server, operator, { scopes });
          clients.set(scope, client);
        }
        const id = server.operator.client_id;
        const path = route.path.replace('{id}', id).replace(/\{\w+\}/, id);
        const reply = await client.call(route.method, path, route.method === 'GET' ? undefined : {});
        assert.equal(reply.status, 403, `${route.method} ${path} without ${scope}: ${reply.text}`);
        assert.match(reply.body.detail, new RegExp(scope));
        assert.match(reply.headers.get('www-authenticate') ?? '', new RegExp(`scope="[^"]*${scope}`));
      }
    }
  });
});
