import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { asOf } from '../liveness/liveness.ts';
import { type AdminClient, adminClient, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { standingOf } from '../tokens/introspect.ts';

type Things = Awaited<ReturnType<typeof populate>>;
type Change = [what: string, method: string, path: (t: Things) => string, body?: (t: Things) => unknown];

const agent = (t: Things) => `/agents/${t.agent.id}`;
const resource = (t: Things) => `/resources/${t.resource.id}`;
const role = (t: Things) => `/roles/${t.role.id}`;
const credential = (t: Things) => `/credentials/${t.credential.id}`;

/** Each takes away something that the token rests on. */
const narrowing: Change[] = [
  ['the agent is suspended', 'POST', (t) => `${agent(t)}/suspend`],
  ['the agent is retired', 'POST', (t) => `${agent(t)}/retire`],
  ['the agent loses the resource', 'PATCH', agent, () => ({ resources: [] })],
  ['the agent loses the grant', 'PATCH', agent, () => ({ grants: [] })],
  ['the agent gets an end', 'PATCH', agent, () => ({ expires_at: '2026-12-01T00:00:00Z' })],
  ['the agent gets a shorter lifetime', 'PATCH', agent, () => ({ limits: { token_lifetime_seconds: 60 } })],
  ['the role is taken away', 'DELETE', (t) => `${agent(t)}/roles/${t.role.id}`],
  ['the role loses the scope', 'PATCH', role, () => ({ permissions: [] })],
  ['the role is retired', 'POST', (t) => `${role(t)}/retire`],
  ['the credential is removed', 'DELETE', credential],
  ['the credential ends earlier', 'PATCH', credential, () => ({ expires_at: '2026-12-01T00:00:00Z' })],
  ['the resource loses a scope', 'PATCH', resource, () => ({ scopes: [{ name: 'tickets:write' }], operations: [] })],
  ['the resource gets a shorter lifetime', 'PATCH', resource, () => ({ token: { lifetime_seconds: 60 } })],
  ['the resource gets another audience', 'PATCH', resource, () => ({ token: { audience: 'another' } })],
  ['the resource is retired', 'POST', (t) => `${resource(t)}/retire`],
  ['the organization is suspended', 'POST', (t) => `/organizations/${t.agent.organization}/suspend`],
];

/** These take nothing away: a token that lives goes on living. */
const harmless: Change[] = [
  ['the purpose changes', 'PATCH', agent, () => ({ purpose: 'another' })],
  ['the owner changes', 'PATCH', agent, (t) => ({ owner: t.team.id })],
  ['the budget changes', 'PATCH', agent, () => ({ limits: { tokens_per_minute: 3 } })],
  ['the same is written again', 'PATCH', agent, (t) => ({ resources: t.agent.resources, grants: t.agent.grants })],
  [
    'the role gets another scope',
    'PATCH',
    role,
    (t) => ({ permissions: [{ resource: t.resource.id, scopes: ['tickets:read', 'tickets:write'] }] }),
  ],
  ['the role is described', 'PATCH', role, () => ({ description: 'reads' })],
  ['the role is given again', 'PUT', (t) => `${agent(t)}/roles/${t.role.id}`],
  ['the credential gets a label', 'PATCH', credential, () => ({ label: 'x' })],
  [
    'the resource gets another scope',
    'PATCH',
    resource,
    (t) => ({ scopes: [...t.resource.scopes, { name: 'tickets:close' }] }),
  ],
  ['the resource gets another name', 'PATCH', resource, () => ({ name: 'x' })],
  ['the agent is resumed without being suspended', 'POST', (t) => `${agent(t)}/resume`],
];

for (const database of databases) {
  describe(`what an administrator takes away ends the tokens that rest on it (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let count = 0;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
    });
    after(() => server.close());

    async function fresh() {
      const name = `org${count++}`;
      await operator.ok('POST', '/organizations', { name });
      const things = await populate(operator, name);
      const client = adminClient(server, { client_id: things.agent.id, jwk: things.jwk });
      const guard = adminClient(server, { client_id: things.guard.agent, jwk: things.guardKey });
      const token = await client.token(things.resource.identifier);
      assert.equal((await guard.introspect(token)).active, true);
      return { things, client, guard, token };
    }

    /** Whether the server still takes the token for alive, whoever asks. */
    async function alive(token: string): Promise<boolean> {
      return (await standingOf(server.deps, token, await asOf(server.deps.db))).state === 'alive';
    }

    for (const [what, method, path, body] of narrowing) {
      test(`dead: ${what}`, async () => {
        const { things, guard, token } = await fresh();
        await operator.ok(method, path(things), body?.(things));
        assert.equal((await guard.introspect(token)).active, false);
        assert.equal(await alive(token), false);
      });
    }

    for (const [what, method, path, body] of harmless) {
      test(`alive: ${what}`, async () => {
        const { things, guard, token } = await fresh();
        await operator.ok(method, path(things), body?.(things));
        assert.equal((await guard.introspect(token)).active, true);
      });
    }

    test('from free to bound: bearer tokens die, and the next is bound', async () => {
      const { things } = await fresh();
      await operator.ok('PATCH', resource(things), { token: { dangerously_bearer: true } });
      const { guard, token } = await rejoin(things);
      await operator.ok('PATCH', resource(things), { token: { dangerously_bearer: false } });
      assert.equal((await guard.introspect(token)).active, false);
    });

    async function rejoin(things: Things) {
      const client = adminClient(server, { client_id: things.agent.id, jwk: things.jwk });
      const guard = adminClient(server, { client_id: things.guard.agent, jwk: things.guardKey });
      return { client, guard, token: await client.token(things.resource.identifier) };
    }

    test('what is given counts at once, though the server remembered how it was', async () => {
      const { things } = await fresh();
      const name = things.resource.identifier.replace('tickets', 'more');
      const at = `?organization=${things.agent.organization}`;
      const scopes = [{ name: 'more:read' }];
      const more = await operator.ok('POST', `/resources${at}`, { identifier: name, name: 'More', scopes });
      const permissions = [...things.role.permissions, { resource: more.id, scopes: ['more:read'] }];
      await operator.ok('PATCH', role(things), { permissions });
      const { client } = await rejoin(things);
      const entry = { resource: more.id, default: false, scope: ['more:read'] };
      await operator.ok('PATCH', agent(things), { resources: [...things.agent.resources, entry] });
      await client.token(name);
    });

    test('suspended and resumed: what was stays dead, what comes is new', async () => {
      const { things, client, guard, token } = await fresh();
      await operator.ok('POST', `${agent(things)}/suspend`);
      await operator.ok('POST', `${agent(things)}/resume`);
      assert.equal((await guard.introspect(token)).active, false);
      const again = adminClient(server, { client_id: client.clientId, jwk: client.jwk });
      assert.equal((await guard.introspect(await again.token(things.resource.identifier))).active, true);
    });

    test('retired is for good: the name, the key, every way back', async () => {
      const { things } = await fresh();
      const { organization } = things.agent;
      await operator.ok('POST', `${agent(things)}/retire`, { reason: 'done' });
      const at = `?organization=${organization}`;
      const name = await operator.call('POST', `/agents${at}`, {
        name: 'desk',
        kind: 'ai_agent',
        owner: things.team.id,
      });
      assert.equal(name.status, 409);
      assert.equal(name.body.errors[0].field, 'name');
      const other = await operator.ok('POST', `/agents${at}`, {
        name: 'desk-2',
        kind: 'ai_agent',
        owner: things.team.id,
      });
      const key = await operator.call('POST', '/credentials', { agent: other.id, jwk: publicJwk(things.jwk) });
      assert.equal(key.status, 409);
      assert.equal(key.body.errors[0].field, 'jwk');
      for (const [method, path, body] of [
        ['POST', `${agent(things)}/resume`],
        ['POST', `${agent(things)}/suspend`],
        ['PATCH', agent(things), { purpose: 'x' }],
        ['PUT', `${agent(things)}/roles/${things.role.id}`],
      ] as const) {
        assert.equal((await operator.call(method, path, body)).status, 409, `${method} ${path}`);
      }
      const jwk = publicJwk(await generateJwk('ES256'));
      assert.equal((await operator.call('POST', '/credentials', { agent: things.agent.id, jwk })).status, 409);
      assert.equal((await operator.ok('GET', credential(things))).status, 'removed');
      assert.deepEqual((await operator.ok('GET', agent(things))).roles, []);
      assert.deepEqual((await operator.ok('GET', `/agents${at}&role=${things.role.id}`)).items, []);
      assert.equal((await operator.ok('POST', `${agent(things)}/retire`)).status, 'retired', 'again is no error');
    });

    test('a guard that ended may ask nothing, and its agent is retired', async () => {
      const { things, guard, token } = await fresh();
      await operator.ok('DELETE', `/guards/${things.guard.id}`);
      assert.equal((await operator.ok('GET', `/agents/${things.guard.agent}`)).status, 'retired');
      await assert.rejects(guard.introspect(token));
      // and the other way round
      const second = await fresh();
      await operator.ok('POST', `/agents/${second.things.guard.agent}/retire`);
      assert.equal((await operator.ok('GET', `/guards/${second.things.guard.id}`)).status, 'retired');
    });

    test('guards of two resources with one audience know nothing of each other', async () => {
      const { things } = await fresh();
      const token = { audience: 'https://sts.cloud.example' };
      await operator.ok('PATCH', resource(things), { token });
      const at = `?organization=${things.agent.organization}`;
      const identifier = things.resource.identifier.replace('tickets', 'second');
      const scopes = [{ name: 'second:read' }];
      const second = await operator.ok('POST', `/resources${at}`, { identifier, name: 'Second', scopes, token });
      const permissions = [...things.role.permissions, { resource: second.id, scopes: ['second:read'] }];
      await operator.ok('PATCH', role(things), { permissions });
      const entry = { resource: second.id, default: false, scope: ['second:read'] };
      await operator.ok('PATCH', agent(things), { resources: [...things.agent.resources, entry] });
      const { client, guard, token: mine } = await rejoin(things);
      assert.equal((await guard.introspect(mine)).active, true);
      assert.equal((await guard.introspect(await client.token(identifier))).active, false);
    });

    test('every change is in the log with what changed, in the transaction of the change', async () => {
      const { things } = await fresh();
      const at = `organization=${things.agent.organization}&limit=200`;
      const count = async () => (await operator.ok('GET', `/events?${at}`)).items.length;
      const before = await count();
      await operator.ok('PATCH', agent(things), { limits: { tokens_per_minute: 7 }, purpose: 'secretly' });
      const { items } = await operator.ok('GET', `/events?${at}&type=agent.updated&target=${things.agent.id}`);
      assert.equal(items.length, 1);
      const [event] = items;
      assert.deepEqual(event.decided_on.changed, { limits: { tokens_per_minute: 7 } });
      assert.equal(event.agent, server.operator.client_id);
      assert.deepEqual(event.personal.details, { purpose: 'secretly' });
      const row = await server.deps.db.get<{ leaf: string }>('select leaf from events where id = ?', [event.id]);
      assert.ok(row && !row.leaf.includes('secretly'), 'what is personal stands only as a commitment in the leaf');
      // what is refused and what changes nothing leaves no line
      await operator.call('PATCH', agent(things), { owner: 'nobody' });
      await operator.ok('PATCH', agent(things), { purpose: 'secretly' });
      await operator.ok('PUT', `${agent(things)}/roles/${things.role.id}`);
      assert.equal(await count(), before + 1);
    });

    test('erasing a person erases them from the log too', async () => {
      const { things } = await fresh();
      const at = `organization=${things.agent.organization}&limit=200`;
      const before = await operator.ok('GET', `/events?${at}&owner=${things.person.id}`);
      assert.ok(before.items.length > 0 && before.items.every(({ erased }: { erased: boolean }) => !erased));
      await operator.ok('PATCH', agent(things), { owner: things.team.id });
      await operator.ok('DELETE', `/people/${things.person.id}`);
      assert.equal((await operator.ok('GET', `/events?${at}&owner=${things.person.id}`)).items.length, 0);
      const { items } = await operator.ok('GET', `/events?${at}`);
      const ids = before.items.map(({ id }: { id: string }) => id);
      for (const event of items.filter(({ id }: { id: string }) => ids.includes(id))) {
        assert.equal(event.erased, true);
        assert.deepEqual(event.personal, {});
      }
      assert.ok(!JSON.stringify(await operator.ok('GET', `/people?${at}`)).includes('Ada of'));
      assert.equal((await operator.call('GET', `/people/${things.person.id}`)).status, 404);
    });
  });
}
