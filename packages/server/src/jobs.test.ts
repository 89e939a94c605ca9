/** What is done now and then: whatever has had its time is forgotten, and nothing else. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { tidy } from './jobs.ts';
import { databases, startServer, type TestServer } from './testing/harness.ts';
import { instanceClient } from './testing/instance-client.ts';
import { tokenClient } from './testing/token-client.ts';

const hour = 3600_000;

for (const database of databases) {
  describe(`tidying up, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
    });
    after(() => server.close());

    const count = async (sql: string, ...values: string[]) =>
      (await server.deps.db.get<{ n: number }>(`select count(*) as n from ${sql}`, values))?.n;

    test('forgets what was spent, the instances and enrolment tokens of the past, and old answers', async () => {
      const client = await tokenClient(server);
      const at = instanceClient(server, client);
      await at.instance();
      const { id: used, secret } = await at.token();
      assert.equal((await at.enrol({ token: secret })).status, 201);
      const { id: unused } = await at.token();
      const key = 'an-answer-to-be-kept';
      const made = await server.agent.fetch(`${server.issuer}/admin/v1/people`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify({ name: 'Ann', email: 'ann@example.com' }),
      });
      assert.equal(made.status, 201, await made.text());
      assert.ok(((await count('spent')) as number) > 0);
      assert.ok(((await count('idempotency')) as number) > 0);
      await tidy(server.deps);
      assert.equal(await count('instances where agent = ?', client.clientId), 2, 'they are listed for a while');
      assert.ok(((await count('spent')) as number) > 0, 'what could be sent again stays spent');
      assert.ok(((await count('idempotency')) as number) > 0);
      server.clock.advance(26 * hour);
      const late = await at.instance();
      await tidy(server.deps);
      assert.equal(await count('instances where agent = ?', client.clientId), 1);
      assert.equal(await count('subjects where id = ?', late.id), 1);
      for (const id of [used, unused]) assert.equal(await count('credentials where id = ?', id), 0);
      assert.equal(await count('idempotency'), 0);
      const now = String(server.clock.now());
      assert.equal(await count('spent where expires_at < cast(? as bigint)', now), 0);
      assert.ok(
        ((await count('spent where expires_at >= cast(? as bigint)', now)) as number) > 0,
        'of its last request',
      );
    });

    test('forgets a single token that was ended, not before its time, and what ended something else stays', async () => {
      const client = await tokenClient(server);
      const { body } = await client.send();
      const jti = String(
        JSON.parse(Buffer.from(String(body.access_token).split('.')[1] ?? '', 'base64url').toString()).jti,
      );
      await server.admin('POST', '/revocations', { token: body.access_token, reason: 'a test' });
      await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'a test' });
      server.clock.advance(3 * hour);
      await tidy(server.deps);
      assert.equal(await count('subjects where id = ?', jti), 1, 'it is listed for a while');
      server.clock.advance(26 * hour);
      await tidy(server.deps);
      for (const rows of ['subjects where id = ?', 'revocations where subject = ?'])
        assert.equal(await count(rows, jti), 0);
      assert.equal(await count('revocations where subject = ?', client.clientId), 1);
    });
  });
}
