/** Roles that inherit: one level, within reach, and nobody gives by it what they do not hold. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

for (const database of databases) {
  describe(`roles that inherit, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let narrow: AdminClient & { agent: string };
    let things: Awaited<ReturnType<typeof populate>>;
    let builtIn: Record<string, string>;
    let made = 0;
    const role = (body: object = {}, by: AdminClient = operator) =>
      by.ok('POST', '/roles', { name: `r${++made}`, ...body });

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      things = await populate(operator, 'default');
      const { items } = await operator.ok('GET', '/roles?limit=200');
      builtIn = Object.fromEntries(
        items
          .filter(({ system }: { system: boolean }) => system)
          .map(({ name, id }: Record<string, string>) => [name, id]),
      );
      const scopes = ['agents', 'roles', 'resources'].flatMap((noun) => [`${noun}:read`, `${noun}:write`]);
      narrow = await administrator(server, operator, { scopes });
    });
    after(() => server.close());

    test('one level, no circle, and only what is there', async () => {
      const base = await role();
      const heir = await role({ inherits: [base.id] });
      assert.deepEqual(heir.inherits, [base.id]);
      const ended = await role();
      await operator.ok('POST', `/roles/${ended.id}/retire`, {});
      const foreign = await operator.ok('POST', '/organizations', { name: `o${Math.random().toString(36).slice(2)}` });
      const elsewhere = await operator.ok('POST', `/roles?organization=${foreign.id}`, { name: 'elsewhere' });
      const refused: [what: string, id: string, inherits: unknown, status: number][] = [
        ['itself', base.id, [base.id], 422],
        ['a circle of two', base.id, [heir.id], 422],
        ['a role that inherits', (await role()).id, [heir.id], 422],
        ['from a role, by one that is inherited', base.id, [(await role()).id], 422],
        ['what has ended', base.id, [ended.id], 422],
        ['what there isn’t', (await role()).id, ['rol_00000000000000000000000000'], 422],
        ['another organization’s', (await role()).id, [elsewhere.id], 422],
        ['the same twice', (await role()).id, [base.id, base.id], 400],
        ['a name', (await role()).id, ['reader'], 400],
        ['guarding', (await role()).id, [builtIn.guard], 422],
        ['no list', (await role()).id, base.id, 400],
      ];
      for (const [what, id, inherits, status] of refused) {
        const reply = await operator.call('PATCH', `/roles/${id}`, { inherits });
        assert.equal(reply.status, status, `${what}: ${reply.text}`);
        assert.match(reply.body.errors[0].field, /^inherits/, what);
      }
      // what it inherited before stays, though it has ended since
      await operator.ok('POST', `/roles/${base.id}/retire`, {});
      await operator.ok('PATCH', `/roles/${heir.id}`, { description: 'heir of nothing' });
    });

    test('who lacks what a role gives can neither inherit it nor give, change or end who does', async () => {
      const auditor = await role({ permissions: [{ resource: `${server.issuer}/admin`, scopes: ['events:read'] }] });
      const heir = await role({ inherits: [auditor.id] });
      const plain = await role();
      const holder = await operator.ok('POST', '/agents', {
        name: `holder-${made}`,
        kind: 'workload',
        owner: things.team.id,
      });
      const attempts: [what: string, method: string, path: string, body?: object][] = [
        ['make an heir', 'POST', '/roles', { name: 'mine', inherits: [auditor.id] }],
        ['make an heir of the operator', 'POST', '/roles', { name: 'mine', inherits: [builtIn.operator] }],
        ['let a role inherit', 'PATCH', `/roles/${plain.id}`, { inherits: [auditor.id] }],
        ['take the inheritance away', 'PATCH', `/roles/${heir.id}`, { inherits: [] }],
        ['end an heir', 'POST', `/roles/${heir.id}/retire`, {}],
        ['give an heir', 'PUT', `/agents/${holder.id}/roles/${heir.id}`],
      ];
      for (const [what, method, path, body] of attempts) {
        const reply = await narrow.call(method, path, body);
        assert.equal(reply.status, 403, `${what}: ${reply.text}`);
        assert.equal(reply.body.type, 'urn:bailiwick:problem:insufficient-scope', what);
      }
      await operator.ok('PUT', `/agents/${holder.id}/roles/${heir.id}`);
      const change = await narrow.call('PATCH', `/agents/${holder.id}`, { purpose: 'mine' });
      assert.equal(change.status, 403, 'whoever holds an heir is as mighty as it');
      assert.equal((await narrow.call('DELETE', `/agents/${holder.id}/roles/${heir.id}`)).status, 403);
      assert.equal((await narrow.call('PATCH', `/roles/${heir.id}`, { description: 'x' })).status, 200);
    });

    test('an agent is shown with the roles that it was given, and what these inherit is in force', async () => {
      const base = await role({ permissions: [{ resource: things.resource.id, scopes: ['tickets:write'] }] });
      const heir = await role({ inherits: [base.id] });
      await operator.ok('PUT', `/agents/${things.agent.id}/roles/${heir.id}`);
      const { roles } = await operator.ok('GET', `/agents/${things.agent.id}`);
      const ids = roles.map(({ id }: { id: string }) => id);
      assert.ok(ids.includes(heir.id) && !ids.includes(base.id));
    });

    test('the last operator may be one by inheritance, and is not lost with what it rests on', async () => {
      const lonely = await startServer({ database });
      try {
        let chief = adminClient(lonely, lonely.operator);
        const { items } = await chief.ok('GET', '/roles');
        const { id } = items.find(({ name }: { name: string }) => name === 'operator');
        const heir = await chief.ok('POST', '/roles', { name: 'chief', inherits: [id] });
        await chief.ok('PUT', `/agents/${lonely.operator.client_id}/roles/${heir.id}`);
        const last = (reply: { status: number; text: string; body: { errors?: { message: string }[] } }) => {
          assert.equal(reply.status, 409, reply.text);
          assert.match(reply.body.errors?.[0]?.message ?? '', /last operator/);
        };
        assert.equal((await chief.call('DELETE', `/agents/${lonely.operator.client_id}/roles/${id}`)).status, 204);
        chief = adminClient(lonely, lonely.operator); // its token rested on what is gone
        last(await chief.call('DELETE', `/agents/${lonely.operator.client_id}/roles/${heir.id}`));
        last(await chief.call('PATCH', `/roles/${heir.id}`, { inherits: [] }));
        last(await chief.call('POST', `/roles/${heir.id}/retire`, {}));
        await chief.ok('GET', '/roles');
      } finally {
        await lonely.close();
      }
    });
  });
}
