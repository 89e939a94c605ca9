import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { operatorScopes } from './scopes.ts';

for (const database of databases) {
  describe(`an administrator of one organization sees and touches that one alone (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let ours: Awaited<ReturnType<typeof populate>>;
    let theirs: Awaited<ReturnType<typeof populate>>;
    let admin: AdminClient & { agent: string };
    let theirTask: string;
    let theirOrg: string;
    let ourOrg: string;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      ourOrg = (await operator.ok('POST', '/organizations', { name: 'ours' })).id;
      theirOrg = (await operator.ok('POST', '/organizations', { name: 'theirs' })).id;
      ours = await populate(operator, 'ours');
      theirs = await populate(operator, 'theirs');
      theirTask = (await (await orchestratorClient(server, { organization: 'theirs' })).open(theirs.agent.id)).id;
      const scopes = operatorScopes.filter((scope) => scope !== 'organizations:any');
      admin = await administrator(server, operator, { scopes, organization: 'ours' });
    });
    after(() => server.close());

    test('what is theirs is not there, by any id', async () => {
      const jwk = publicJwk(await generateJwk('ES256'));
      const requests: [method: string, path: string, body?: unknown][] = [
        ['GET', `/organizations/${theirOrg}`],
        ['PATCH', `/organizations/${theirOrg}`, { display_name: 'x' }],
        ['GET', `/people/${theirs.person.id}`],
        ['PATCH', `/people/${theirs.person.id}`, { name: 'x' }],
        ['DELETE', `/people/${theirs.person.id}`],
        ['GET', `/teams/${theirs.team.id}`],
        ['PATCH', `/teams/${theirs.team.id}`, { display_name: 'x' }],
        ['POST', `/teams/${theirs.team.id}/retire`],
        ['GET', `/teams/${theirs.team.id}/members`],
        ['PUT', `/teams/${theirs.team.id}/members/${ours.person.id}`],
        ['PUT', `/teams/${ours.team.id}/members/${theirs.person.id}`],
        ['DELETE', `/teams/${theirs.team.id}/members/${theirs.person.id}`],
        ['GET', `/agents/${theirs.agent.id}`],
        ['PATCH', `/agents/${theirs.agent.id}`, { purpose: 'x' }],
        ['POST', `/agents/${theirs.agent.id}/suspend`, {}],
        ['POST', `/agents/${theirs.agent.id}/resume`],
        ['POST', `/agents/${theirs.agent.id}/retire`],
        ['GET', `/agents/${theirs.agent.id}/roles`],
        ['PUT', `/agents/${theirs.agent.id}/roles/${ours.role.id}`],
        ['PUT', `/agents/${ours.agent.id}/roles/${theirs.role.id}`],
        ['DELETE', `/agents/${theirs.agent.id}/roles/${theirs.role.id}`],
        ['GET', `/credentials/${theirs.credential.id}`],
        ['PATCH', `/credentials/${theirs.credential.id}`, { label: 'x' }],
        ['DELETE', `/credentials/${theirs.credential.id}`],
        ['GET', `/instances/${theirs.instance}`],
        ['DELETE', `/instances/${theirs.instance}`],
        ['GET', `/tasks/${theirTask}`],
        ['DELETE', `/tasks/${theirTask}`],
        ['GET', `/mandates/${theirs.mandate.id}`],
        ['GET', `/mandates/${theirs.mandate.id}/tree`],
        ['PATCH', `/mandates/${theirs.mandate.id}`, { limits: { uses: 1 } }],
        ['POST', `/mandates/${theirs.mandate.id}/pause`, {}],
        ['POST', `/mandates/${theirs.mandate.id}/resume`],
        ['POST', `/mandates/${theirs.mandate.id}/end`, {}],
        ['GET', `/resources/${theirs.resource.id}`],
        ['PATCH', `/resources/${theirs.resource.id}`, { name: 'x' }],
        ['POST', `/resources/${theirs.resource.id}/retire`],
        ['GET', `/roles/${theirs.role.id}`],
        ['PATCH', `/roles/${theirs.role.id}`, { description: 'x' }],
        ['POST', `/roles/${theirs.role.id}/retire`],
        ['GET', `/guards/${theirs.guard.id}`],
        ['DELETE', `/guards/${theirs.guard.id}`],
        ['GET', `/policies/${theirs.policy.id}`],
        ['PATCH', `/policies/${theirs.policy.id}`, { mode: 'enforce', reason: 'x' }],
        ['POST', `/policies/${theirs.policy.id}/rollback`, { revision: theirs.policy.revision, reason: 'x' }],
        ['POST', `/policies/${theirs.policy.id}/remove`, { reason: 'x' }],
        ['GET', `/policies/${theirs.policy.id}/versions`],
        ['GET', `/policies/${theirs.policy.id}/versions/${theirs.policy.revision}`],
        [
          'POST',
          '/policies/simulate?organization=theirs',
          { drafts: [{ name: 'x', text: 'x' }], since: '2026-01-01T00:00:00Z' },
        ],
        ['POST', '/policies/explain', { agent: theirs.agent.id, resource: ours.resource.id }],
        ['POST', '/policies/explain?organization=theirs', { resource: theirs.resource.id, scope: ['tickets:read'] }],
        ['GET', `/trust-domains/${theirs.trustDomain.id}`],
        ['PATCH', `/trust-domains/${theirs.trustDomain.id}`, { bundle: { keys: [] } }],
        ['POST', `/trust-domains/${theirs.trustDomain.id}/refresh`],
        ['POST', `/trust-domains/${theirs.trustDomain.id}/remove`],
        ['GET', `/trusted-issuers/${theirs.issuer.id}`],
        ['PATCH', `/trusted-issuers/${theirs.issuer.id}`, { max_age_seconds: 1 }],
        ['POST', `/trusted-issuers/${theirs.issuer.id}/refresh`],
        ['POST', `/trusted-issuers/${theirs.issuer.id}/suspend`],
        ['POST', `/trusted-issuers/${theirs.issuer.id}/resume`],
        ['POST', `/trusted-issuers/${theirs.issuer.id}/remove`],
        ...[
          'people',
          'teams',
          'agents',
          'credentials',
          'instances',
          'tasks',
          'policies',
          'resources',
          'roles',
          'guards',
          'trust-domains',
          'trusted-issuers',
          'events',
          'organizations',
        ].flatMap((noun) =>
          [`/${noun}?organization=theirs`, `/${noun}?organization=${theirOrg}`].map(
            (path) => ['GET', path] as [string, string],
          ),
        ),
        ['POST', '/people?organization=theirs', { name: 'Mallory' }],
        ['POST', '/teams?organization=theirs', { name: 'mallory' }],
        ['POST', '/roles?organization=theirs', { name: 'mallory' }],
        ['POST', '/policies?organization=theirs', { name: 'mallory', text: 'x', reason: 'x' }],
        ['POST', '/agents?organization=theirs', { name: 'mallory', kind: 'device', owner: theirs.team.id }],
        ['POST', '/resources?organization=theirs', { identifier: 'https://mallory.example', name: 'M' }],
        [
          'POST',
          `/guards?organization=theirs`,
          { name: 'mallory', resource: theirs.resource.id, owner: theirs.team.id, jwk },
        ],
      ];
      const before = await snapshot(operator);
      for (const [method, path, body] of requests) {
        const reply = await admin.call(method, path, body);
        assert.equal(reply.status, 404, `${method} ${path}: ${reply.text}`);
      }
      assert.deepEqual(await snapshot(operator), before, 'nothing of theirs was changed');
    });

    test('a thing that never was and a thing of theirs look the same', async () => {
      const never = theirs.agent.id.replace(/.{4}$/, 'zzzz');
      const [one, other] = [
        await admin.call('GET', `/agents/${theirs.agent.id}`),
        await admin.call('GET', `/agents/${never}`),
      ];
      assert.equal(one.text.replaceAll(theirs.agent.id, 'ID'), other.text.replaceAll(never, 'ID'));
    });

    test('references to what is theirs are refused, and name the field', async () => {
      const jwk = publicJwk(await generateJwk('ES256'));
      const agent = { name: 'reaching', kind: 'device', owner: ours.team.id };
      const refused: [method: string, path: string, body: unknown, field: string][] = [
        ['POST', '/agents', { ...agent, owner: theirs.team.id }, 'owner'],
        ['POST', '/agents', { ...agent, owner: theirs.person.id }, 'owner'],
        ['POST', '/agents', { ...agent, resources: [{ resource: theirs.resource.id }] }, 'resources[0].resource'],
        [
          'POST',
          '/agents',
          { ...agent, resources: [{ resource: theirs.resource.identifier }] },
          'resources[0].resource',
        ],
        ['PATCH', `/agents/${ours.agent.id}`, { owner: theirs.person.id }, 'owner'],
        [
          'PATCH',
          `/agents/${ours.agent.id}`,
          { resources: [{ resource: theirs.resource.id }] },
          'resources[0].resource',
        ],
        [
          'POST',
          '/roles',
          { name: 'r', permissions: [{ resource: theirs.resource.id, scopes: [] }] },
          'permissions[0].resource',
        ],
        [
          'PATCH',
          `/roles/${ours.role.id}`,
          { permissions: [{ resource: theirs.resource.id, scopes: [] }] },
          'permissions[0].resource',
        ],
        ['POST', '/credentials', { agent: theirs.agent.id, jwk }, 'agent'],
        ['POST', '/instances/end', { agent: theirs.agent.id }, 'agent'],
        ['POST', '/guards', { name: 'g', resource: theirs.resource.id, owner: ours.team.id, jwk }, 'resource'],
        ['POST', '/guards', { name: 'g', resource: ours.resource.id, owner: theirs.team.id, jwk }, 'owner'],
      ];
      for (const [method, path, body, field] of refused) {
        const reply = await admin.call(method, path, body);
        assert.equal(reply.status, 422, `${method} ${path}: ${reply.text}`);
        assert.equal(reply.body.errors[0].field, field);
      }
    });

    test('lists and filters never show what is theirs', async () => {
      const filters = [
        '/organizations',
        '/organizations?name=theirs',
        '/people',
        `/people?email=${theirs.person.email}`,
        '/teams',
        '/agents',
        `/agents?owner=${theirs.person.id}`,
        `/agents?resource=${theirs.resource.id}`,
        `/agents?resource=${encodeURIComponent(theirs.resource.identifier)}`,
        `/agents?role=${theirs.role.id}`,
        '/credentials',
        `/credentials?agent=${theirs.agent.id}`,
        `/credentials?kid=${theirs.credential.kid}`,
        '/resources',
        `/resources?identifier=${encodeURIComponent(theirs.resource.identifier)}`,
        '/roles',
        '/guards',
        `/guards?resource=${theirs.resource.id}`,
        '/events?limit=200',
        `/events?agent=${theirs.agent.id}`,
        `/events?target=${theirs.agent.id}`,
        `/events?about=${theirs.agent.id}`,
        `/events?owner=${theirs.person.id}`,
      ];
      for (const path of filters) {
        const { items } = await admin.ok('GET', path);
        const text = JSON.stringify(items);
        assert.ok(!text.includes(theirOrg), `${path} shows the organization`);
        for (const thing of [
          theirs.person,
          theirs.team,
          theirs.agent,
          theirs.resource,
          theirs.role,
          theirs.guard,
          theirs.credential,
        ]) {
          assert.ok(!text.includes(thing.id), `${path} shows ${thing.id}`);
        }
      }
      // the same lists do show what is ours, so that the test above can fail
      assert.deepEqual(
        (await admin.ok('GET', '/organizations')).items.map(({ id }: { id: string }) => id),
        [ourOrg],
      );
      assert.ok((await admin.ok('GET', '/agents')).items.some(({ id }: { id: string }) => id === ours.agent.id));
      assert.ok((await admin.ok('GET', `/agents?role=${ours.role.id}`)).items.length === 1);
    });

    test('a cursor of theirs leads nowhere but on', async () => {
      const page = await operator.ok('GET', '/agents?organization=theirs&limit=1');
      assert.ok(page.next_cursor);
      const { items } = await admin.ok('GET', `/agents?cursor=${page.next_cursor}`);
      assert.ok(items.every(({ organization }: { organization: string }) => organization === ourOrg));
    });

    test('what is built in is seen and used, and changed by nobody', async () => {
      const { items } = await admin.ok('GET', '/roles?name=guard');
      assert.equal(items[0].system, true);
      await admin.ok('GET', `/roles/${items[0].id}`);
      const resources = await admin.ok('GET', `/resources?identifier=${encodeURIComponent(`${server.issuer}/admin`)}`);
      for (const client of [admin, operator]) {
        for (const [method, path, body] of [
          ['PATCH', `/roles/${items[0].id}`, { description: 'x' }],
          ['POST', `/roles/${items[0].id}/retire`],
          ['PATCH', `/resources/${resources.items[0].id}`, { name: 'x' }],
          ['POST', `/resources/${resources.items[0].id}/retire`],
        ] as const) {
          assert.equal((await client.call(method, path, body)).status, 409, `${method} ${path}`);
        }
      }
    });

    test('an organization that is named like the id of another is not mistaken for it', async () => {
      await operator.ok('POST', '/organizations', { name: theirOrg });
      const { items } = await operator.ok('GET', `/agents?organization=${theirOrg}`);
      assert.ok(items.some(({ id }: { id: string }) => id === theirs.agent.id));
      const short = await operator.ok('POST', '/organizations', { name: 'org_short' });
      const team = await operator.ok('POST', '/teams?organization=org_short', { name: 'short' });
      assert.equal(team.organization, short.id);
    });

    test('an operator reaches every organization, and a named one is the one that is meant', async () => {
      await operator.ok('GET', `/agents/${theirs.agent.id}`);
      await operator.ok('GET', `/agents/${theirs.agent.id}?organization=theirs`);
      assert.equal((await operator.call('GET', `/agents/${theirs.agent.id}?organization=ours`)).status, 404);
      const { items } = await operator.ok('GET', '/agents?organization=theirs');
      assert.ok(items.every(({ organization }: { organization: string }) => organization === theirOrg));
    });
  });
}

/** Everything that can be seen of the other organization. */
async function snapshot(operator: AdminClient): Promise<unknown> {
  const nouns = [
    'people',
    'teams',
    'agents',
    'credentials',
    'instances',
    'tasks',
    'resources',
    'roles',
    'guards',
    'trust-domains',
    'trusted-issuers',
  ];
  return Promise.all(nouns.map((noun) => operator.ok('GET', `/${noun}?organization=theirs&limit=200`)));
}
