import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { tidy } from '../jobs.ts';
import { silentLogger } from '../lib/log.ts';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { answersKeptMs } from '../web/idempotency.ts';

for (const database of databases) {
  describe(`what the admin API leaves behind (${database})`, () => {
    const logged: { address?: string; reason?: string; count?: number }[] = [];
    let server: TestServer;
    let operator: AdminClient;

    before(async () => {
      const log = { ...silentLogger, warn: (entry: unknown) => void logged.push(entry as (typeof logged)[0]) };
      server = await startServer({ database, log: log as typeof silentLogger });
      operator = adminClient(server, server.operator);
    });
    after(() => server.close());

    const refusals = async (agent: string) =>
      (await operator.ok('GET', `/events?type=admin.refused&agent=${agent}&limit=200`)).items;

    test('a refused write of somebody known is in the log, whatever it was refused for', async () => {
      const things = await populate(operator, 'default');
      const admin = await administrator(server, operator, { scopes: ['agents:read', 'agents:write', 'teams:write'] });
      const nowhere = things.agent.id.replace(/.{6}$/, '000000');
      const secret = 'https://nobody-knows.example';
      const body = { name: 'desk', kind: 'device', owner: things.team.id };
      const entry = { resource: secret };
      for (const [what, problem, method, path, sent, headers] of [
        ['ids are tried', 'not-found', 'POST', `/agents/${nowhere}/suspend`, {}],
        ['names are tried', 'conflict', 'POST', '/agents', body],
        ['resources are tried', 'invalid', 'POST', '/agents', { ...body, name: 'other', resources: [entry] }],
        ['organizations are tried', 'not-found', 'POST', `/teams?organization=${secret.slice(8)}`, { name: 'x' }],
        ['states are tried', 'precondition-failed', 'PATCH', `/agents/${things.agent.id}`, body, { 'if-match': '"x"' }],
      ] as const) {
        const before = await refusals(admin.agent);
        const { name: _, kind: __, ...changeable } = sent as Record<string, unknown>;
        const reply = await admin.call(method, path, method === 'PATCH' ? changeable : sent, headers);
        assert.equal(reply.body.type, `urn:bailiwick:problem:${problem}`, `${what}: ${reply.text}`);
        const items = await refusals(admin.agent);
        assert.equal(items.length, before.length + 1, what);
        assert.equal(items[0].decided_on.problem, problem);
        assert.ok(!JSON.stringify(items[0]).includes('nobody-knows'), 'what was sent does not stand in the leaf');
      }
      const all = await refusals(admin.agent);
      assert.equal(all[0].target, things.agent.id);
      assert.ok(!JSON.stringify(all).includes(nowhere), 'what may be elsewhere is not named');
      const count = all.length;
      await admin.call('POST', '/agents', { name: 7 });
      await admin.call('GET', `/agents/${nowhere}`);
      assert.equal((await refusals(admin.agent)).length, count, 'what is not understood and what is not found is read');
    });

    test('who proves nothing is counted', async () => {
      const url = `${server.issuer}/admin/v1/agents`;
      for (let n = 0; n < 3; n++)
        assert.equal((await fetch(url, { headers: { authorization: 'DPoP x.y.z' } })).status, 401);
      await tidy(server.deps);
      const lines = logged.filter(({ reason }) => reason?.startsWith('admin API: '));
      assert.equal(
        lines.reduce((sum, { count = 0 }) => sum + count, 0),
        3,
      );
    });

    test('a person who was erased is in no stored answer', async () => {
      const person = { name: 'Grace Hopper', email: 'grace@example.com' };
      const key = { 'idempotency-key': 'grace' };
      const made = await operator.call('POST', '/people', person, key);
      const changed = { 'idempotency-key': 'grace-changed' };
      await operator.call('PATCH', `/people/${made.body.id}`, { name: 'Rear Admiral Grace Hopper' }, changed);
      const stored = async () => JSON.stringify(await server.deps.db.all('select * from idempotency'));
      assert.match(await stored(), /Grace Hopper/, 'so that this test can fail');
      const last = { 'idempotency-key': 'grace-gone' };
      await operator.call('DELETE', `/people/${made.body.id}`, undefined, last);
      assert.doesNotMatch(await stored(), /Grace|grace@/);
      const again = await operator.call('DELETE', `/people/${made.body.id}`, undefined, last);
      assert.equal(again.status, 204, 'that it was erased can still be said again');
    });

    test('stored answers are gone after their day, though nobody writes any more', async () => {
      await operator.call('POST', '/people', { name: 'Old' }, { 'idempotency-key': 'old' });
      server.clock.advance(answersKeptMs + 1);
      await tidy(server.deps);
      assert.deepEqual(await server.deps.db.all('select key from idempotency'), []);
    });

    test('an auditor reads address and owner of their own organization’s administrators alone', async () => {
      const { id } = await operator.ok('POST', '/organizations', { name: 'audited' });
      const { person } = await populate(operator, 'audited');
      const ours = await administrator(server, operator, { scopes: ['events:read', 'agents:write'], organization: id });
      const own = await ours.ok('POST', '/agents', { name: 'own', kind: 'device', owner: person.id, purpose: 'mine' });
      const { items } = await ours.ok('GET', '/events?type=agent.created&limit=200');
      const foreign = items.filter(({ agent }: { agent: string }) => agent === server.operator.client_id);
      assert.ok(foreign.length > 0);
      for (const { personal } of foreign) assert.deepEqual(Object.keys(personal), ['details']);
      const mine = items.find(({ target }: { target: string }) => target === own.id);
      assert.deepEqual(Object.keys(mine.personal).sort(), ['address', 'details', 'owner']);
    });

    test('what a sender calls its key does not stand in the log', async () => {
      const things = await populateKey('key of Lovelace');
      const events = await server.deps.db.all<{ leaf: string }>('select leaf from events where target = ?', [things]);
      assert.ok(events.length > 0);
      assert.ok(events.every(({ leaf }) => !leaf.includes('Lovelace')));
    });

    async function populateKey(kid: string): Promise<string> {
      const [team] = (await operator.ok('GET', '/teams?name=operators')).items;
      const agent = await operator.ok('POST', '/agents', { name: 'keyed', kind: 'device', owner: team.id });
      const jwk = { ...publicJwk(await generateJwk('ES256')), kid };
      const made = await operator.ok('POST', '/credentials', { agent: agent.id, jwk });
      assert.equal(made.kid, kid);
      await operator.ok('PATCH', `/credentials/${made.id}`, { label: 'Lovelace laptop' });
      await operator.ok('DELETE', `/credentials/${made.id}`);
      return made.id;
    }
  });
}
