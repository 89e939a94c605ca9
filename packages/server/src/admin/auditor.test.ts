/** Who may only read, and who may only report: nothing that changes anything is open to them, whatever routes there are. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newId } from '../lib/ids.ts';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import type { Route } from './route.ts';
import { auditorScopes } from './scopes.ts';
import { adminTable } from './table.ts';

/** They have a body, and change nothing: what an auditor may ask. */
const questions = ['/policies/check', '/policies/simulate', '/policies/explain'];

for (const database of databases) {
  describe(`an auditor and a guard change nothing (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let auditor: AdminClient & { agent: string };
    let guard: AdminClient;
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      auditor = await administrator(server, operator, { scopes: [...auditorScopes] });
      const things = await populate(operator, 'default');
      guard = adminClient(server, { client_id: things.guard.agent, jwk: things.guardKey });
    });
    after(() => server.close());

    /** What could be changed, and what was: all but tokens, and what was refused. */
    async function standing(): Promise<string> {
      const { db } = server.deps;
      const tables = ['agents', 'people', 'teams', 'roles', 'role_grants', 'policies', 'revocations', 'log_retention'];
      const rows = await Promise.all(tables.map((table) => db.all(`select * from ${table}`)));
      const events = await db.all(
        "select id from events where type not in ('admin.refused', 'token.issued', 'token.refused') order by id",
      );
      return JSON.stringify([rows, events]);
    }

    const writes = (adminTable as readonly Route[]).filter(({ method }) => method !== 'GET');

    test('no route of the admin API that isn’t a GET is open to them, but for questions about policies', async () => {
      assert.deepEqual(
        questions.filter((path) => !writes.some((route) => route.path === path)),
        [],
      );
      assert.ok(writes.length > 40, 'so that this test says something');
      const whole = await standing();
      for (const [who, client] of [
        ['an auditor', auditor],
        ['a guard', guard],
      ] as const) {
        for (const { method, path } of writes) {
          const url = path
            .replace('{id}', server.operator.client_id)
            .replaceAll(/\{\w+\}/g, newId(server.deps, 'role'));
          const { status, text } = await client.call(method, url, {});
          const isQuestion = questions.includes(path) && client === auditor;
          assert.equal(status === 403, !isQuestion, `${who}: ${method} ${path}: ${status} ${text}`);
        }
      }
      assert.ok((await standing()) === whole, 'something was changed');
    });

    test('neither is anything beside it: revoking, following, reporting', async () => {
      const whole = await standing();
      const metadata = (await (await fetch(`${server.issuer}/.well-known/oauth-authorization-server`)).json()) as {
        global_token_revocation_endpoint: string;
      };
      const sub_id = { format: 'opaque', id: server.operator.client_id };
      for (const [who, client] of [
        ['an auditor', auditor],
        ['a guard', guard],
      ] as const) {
        const revoking = await client.call('POST', metadata.global_token_revocation_endpoint, { sub_id });
        assert.equal(revoking.status, 403, `${who}: ${revoking.text}`);
      }
      for (const path of ['/feed', '/events', '/tasks']) {
        const { status, text } = await auditor.call('POST', `${server.issuer}${path}`, { reports: [] });
        assert.ok(status === 401 || status === 403, `${path}: ${status} ${text}`);
      }
      assert.ok((await standing()) === whole, 'something was changed');
    });
  });
}
