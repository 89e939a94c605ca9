/** Faults: the disk is full. The server refuses to issue, says so, and recovers by itself. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Logger } from './lib/log.ts';
import { databases, startServer, type TestServer } from './testing/harness.ts';
import { type TokenClient, tokenClient } from './testing/token-client.ts';

const sentence = /no space left where the data of this server lies/;

for (const database of databases) {
  describe(`Faults: the disk is full, on ${database}`, () => {
    let server: TestServer;
    let client: TokenClient;
    const lines: string[] = [];
    const log = {
      error: (_: object, text: string) => lines.push(text),
      warn: () => undefined,
      info: () => undefined,
    } as unknown as Logger;
    before(async () => {
      server = await startServer({ database, log, config: { limits: { tokens_per_minute: 100_000 } } });
      client = await tokenClient(server);
      assert.equal((await client.send()).status, 200);
    });
    after(() => server.close());

    /** No page more than there are (SQLite), or what PostgreSQL says when it can't extend a table. */
    const fill = () =>
      server.deps.db.settle(async (tx) => {
        if (tx.dialect === 'sqlite') return void (await tx.get('pragma max_page_count = 1'));
        await tx.run(
          `create function no_space() returns trigger language plpgsql as $$
             begin raise exception 'could not extend file' using errcode = '53100'; end $$`,
        );
        for (const table of ['events', 'revocations', 'write_tries']) {
          await tx.run(`create trigger no_space before insert on ${table} execute function no_space()`);
        }
      });
    const makeRoom = () =>
      server.deps.db.settle(async (tx) => {
        if (tx.dialect === 'sqlite') return void (await tx.get('pragma max_page_count = 1000000'));
        await tx.run('drop function no_space() cascade');
      });
    /** The last pages have some room left: until they have none. */
    const untilFull = async () => {
      let issued = 0;
      for (; issued < 5_000; issued += 20) {
        const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await client.send()).status));
        if (statuses.every((status) => status === 503)) return issued;
        assert.ok(statuses.every((status) => status === 200 || status === 503));
        issued += statuses.filter((status) => status === 200).length - 20;
      }
      assert.fail('the disk is not full');
    };
    const events = async () =>
      (
        await server.deps.db.get<{ n: number }>(
          "select count(*) as n from events where agent = ? and type = 'token.issued'",
          [client.clientId],
        )
      )?.n;
    const ready = () => fetch(`${server.address}/readyz`);

    test('it refuses to issue, says so, and recovers by itself', async () => {
      assert.equal((await ready()).status, 200);
      const before = (await events()) as number;
      await fill();
      const issued = await untilFull();
      assert.equal(
        await events(),
        before + issued,
        'an event for each token that was answered, and none for the others',
      );

      const held = await client.prepared();
      const refused = await held();
      assert.deepEqual([refused.status, refused.body.error], [503, 'temporarily_unavailable']);
      assert.match(String(refused.body.error_description), sentence);

      const retired = server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'a test' });
      await assert.rejects(
        retired,
        (error: Error) =>
          / 503 .*urn:bailiwick:problem:unavailable/.test(error.message) && sentence.test(error.message),
      );
      assert.equal((await server.admin<{ status: string }>('GET', `/agents/${client.clientId}`)).status, 'active');

      const notReady = await ready();
      assert.equal(notReady.status, 503);
      const said = (await notReady.json()) as { status: string; reason: string };
      assert.equal(said.status, 'not ready');
      assert.match(said.reason, sentence);
      assert.equal((await fetch(`${server.address}/healthz`)).status, 200);
      assert.equal(
        lines.filter((line) => line.startsWith('requests are refused') && sentence.test(line)).length,
        1,
        'one line, however many ask',
      );

      await makeRoom();
      server.clock.advance(1_000);
      assert.equal((await ready()).status, 200);
      assert.equal((await held()).status, 200, 'what was refused for want of space was not spent');
      assert.equal(await events(), before + issued + 1);
      await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'a test' });
      assert.notEqual((await client.send()).status, 200);
      await server.admin('POST', `/agents/${client.clientId}/resume`, {});
    });

    test('it is ready again though nobody asks it for anything but that', async () => {
      await fill();
      await untilFull();
      assert.equal((await ready()).status, 503);
      await makeRoom();
      assert.equal((await ready()).status, 503, 'tried once a second');
      server.clock.advance(1_000);
      assert.equal((await ready()).status, 200);
    });
  });
}
