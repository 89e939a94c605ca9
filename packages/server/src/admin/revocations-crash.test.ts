/** Killed while revocations are ordered, and started again: what was answered holds. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { ConfigOverrides } from '../config.ts';
import { databases } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { freePort, kill, startKillable } from '../testing/killed.ts';
import { testPostgres } from '../testing/postgres.ts';
import { tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`a server that is killed while it revokes, on ${database}`, () => {
    test('every revocation that was answered holds after the restart, with its event, once', async () => {
      const postgres = database === 'postgres' ? await testPostgres() : undefined;
      const data = mkdtempSync(path.join(tmpdir(), 'bailiwick-crash-'));
      const config: ConfigOverrides = {
        port: await freePort(),
        mtls: { port: 0 },
        data,
        log_level: 'silent',
        dpop: { nonce: 'optional' },
        limits: { tokens_per_minute: 100_000 },
        ...(postgres && { database_url: postgres.url }),
      };
      let { child, server } = await startKillable(config);
      try {
        const client = await tokenClient(server);
        const tokens: string[] = [];
        for (let i = 0; i < 40; i++) tokens.push(String((await client.send()).body.access_token));
        const answered = new Map<string, number>();
        const order = async (token: string) => {
          const body = { token, reason: 'a test' };
          const { rev } = await server.admin<{ rev: number }>('POST', '/revocations', body);
          answered.set(token, rev);
          if (answered.size === 12) child.kill('SIGKILL'); // with the rest of them under way
        };
        await Promise.allSettled(tokens.map(order));
        await kill(child);
        assert.ok(answered.size >= 12 && answered.size < tokens.length, 'the end came in between');
        ({ child, server } = await startKillable(config));
        const { introspect } = instanceClient(server, client);
        const { items } = await server.admin<{ items: { rev: number; subject: string }[] }>(
          'GET',
          '/revocations?kind=token&limit=200',
        );
        const { items: events } = await server.admin<{ items: { target: string }[] }>(
          'GET',
          '/events?type=token.revoked&limit=200',
        );
        for (const token of tokens) {
          const { jti } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string };
          const rev = items.find(({ subject }) => subject === jti)?.rev;
          if (answered.has(token)) assert.equal(rev, answered.get(token), 'what was answered is there, by its number');
          assert.equal((await introspect(token)).active, rev === undefined, 'alive, or revoked: never in between');
          assert.equal(events.filter(({ target }) => target === jti).length, rev === undefined ? 0 : 1);
        }
      } finally {
        await kill(child);
        await postgres?.drop();
        rmSync(data, { recursive: true, force: true });
      }
    });
  });
}
