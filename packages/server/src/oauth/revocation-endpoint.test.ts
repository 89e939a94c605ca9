/** RFC 7009: what an agent gives up is ended once, and told once. Further clauses: conformance/introspection.test.ts. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

for (const database of databases) {
  describe(`a token that is given up, on ${database}`, () => {
    let server: TestServer;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database });
      client = await tokenClient(server);
    });
    after(() => server.close());

    const issued = async (by = client) => (await by.send()).body.access_token as string;
    const revoke = async (token: string) =>
      fetch(`${server.issuer}/oauth2/revoke`, {
        method: 'POST',
        headers: { traceparent },
        body: new URLSearchParams({ ...(await client.form()), token }),
      });
    type Told = { outcome: string; trace?: string; jti: string; decided_on: { rev?: number } };
    const told = async (agent: string) => {
      const page = await server.admin<{ items: Told[] }>('GET', `/events?type=token.revoked&agent=${agent}`);
      return page.items;
    };

    test('is ended under one number, and told once, however often it is given up at the same time', async () => {
      const token = await issued();
      const { rev } = await server.deps.db
        .get<{ rev: number }>('select rev from counter')
        .then((row) => row ?? assert.fail());
      const answers = await Promise.all(Array.from({ length: 5 }, () => revoke(token)));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 200, 200, 200],
      );
      const events = await told(client.clientId);
      assert.deepEqual(
        events.map(({ outcome, trace, decided_on }) => [outcome, trace, decided_on.rev]),
        [['allowed', traceparent, rev + 1]],
      );
    });

    test('is told where it was another’s, and lives on', async () => {
      const other = await tokenClient(server);
      const token = await issued(other);
      const answer = await revoke(token);
      assert.deepEqual(
        [answer.status, await answer.json()],
        [400, { error: 'invalid_grant', error_description: 'this token was issued to another client' }],
      );
      const [last] = await told(client.clientId);
      assert.deepEqual([last?.outcome, last?.decided_on.rev], ['refused', undefined]);
    });
  });
}
