/** Killed between a revocation and its acknowledgement, and started again: guards go on, and the revocation is acknowledged, once. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { linkTag } from '@bailiwick/protocol';
import type { ConfigOverrides } from '../config.ts';
import { feedGuard, openFeedSession } from '../testing/feed-client.ts';
import { databases } from '../testing/harness.ts';
import { freePort, kill, startKillable } from '../testing/killed.ts';
import { testPostgres } from '../testing/postgres.ts';
import { tokenClient } from '../testing/token-client.ts';

const giveUpAfter = 200;

for (const database of databases) {
  describe(`a server that is killed before a revocation is acknowledged, on ${database}`, () => {
    test('completes it after it was started again, and its guards go on in their sessions', async () => {
      const postgres = database === 'postgres' ? await testPostgres() : undefined;
      const data = mkdtempSync(path.join(tmpdir(), 'bailiwick-crash-'));
      const config: ConfigOverrides = {
        port: await freePort(),
        mtls: { port: 0 },
        data,
        log_level: 'silent',
        dpop: { nonce: 'optional' },
        ...(postgres && { database_url: postgres.url }),
      };
      let { child, server } = await startKillable(config);
      try {
        const client = await tokenClient(server);
        await server.admin('PATCH', `/resources/${client.resource}`, { feed: { lease_seconds: 1 } });
        const session = await openFeedSession(server, await feedGuard(server, client.resource));
        assert.equal((await client.send()).status, 200);
        await session.lease();
        await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'a test' });
        await kill(child);
        ({ child, server } = await startKillable(config));

        await session.lease();
        const rev = session.dead.get(linkTag(client.clientId));
        assert.equal(session.at, rev, 'it hears of what it missed, by its number');
        type Shown = { items: { decided_on: { rev: number } }[] };
        const told = async () =>
          (await server.admin<Shown>('GET', '/events?type=revocation.acknowledged&limit=50')).items.filter(
            ({ decided_on }) => decided_on.rev === rev,
          ).length;
        for (let i = 0; (await told()) === 0; i++) {
          assert.ok(i < giveUpAfter, 'it is acknowledged');
          await new Promise((resolve) => setTimeout(resolve, 50));
          if (i % 5 === 0) await session.lease();
        }
        await session.lease();
        assert.equal(await told(), 1);
      } finally {
        await kill(child);
        await postgres?.drop();
        rmSync(data, { recursive: true, force: true });
      }
    });
  });
}
