/** Killed under load, and started again: what was answered holds, and nothing counts twice. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { ConfigOverrides } from '../config.ts';
import { databases } from '../testing/harness.ts';
import { freePort, kill, startKillable } from '../testing/killed.ts';
import { testPostgres } from '../testing/postgres.ts';
import { type Answer, type ServerForClients, tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`a server that is killed, on ${database}`, () => {
    test('keeps every answer it gave, and lets nothing be spent twice', async () => {
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
        const rounds = 3;
        const each = 60;
        const issued = new Set<string>();
        for (let round = 0; round < rounds; round++) {
          const requests = await Promise.all(Array.from({ length: each }, () => client.prepared()));
          const answers = new Map<number, Answer>();
          let next = 0;
          const worker = async () => {
            while (next < each) {
              const i = next++;
              const answer = await requests[i]?.().catch(() => undefined);
              if (answer === undefined) return;
              answers.set(i, answer);
              if (answers.size === (round + 1) * 10) child.kill('SIGKILL'); // with the rest of them under way
            }
          };
          await Promise.all(Array.from({ length: 12 }, worker));
          await kill(child);
          ({ child, server } = await startKillable(config));
          const again = await Promise.all(requests.map((send) => send()));
          for (const [i, { status, body }] of again.entries()) {
            const first = answers.get(i);
            if (first) {
              assert.equal(first.status, 200, JSON.stringify(first.body));
              assert.equal(status, 401, 'what was answered before stays spent');
              issued.add(jtiIn(first.body));
            } else if (status === 200) issued.add(jtiIn(body));
            else assert.equal(status, 401, `it was spent just before the end: ${JSON.stringify(body)}`);
          }
          assert.ok(answers.size < each, 'the end came too late');
        }
        const recorded = await issuesOf(server, client.clientId);
        assert.equal(recorded.length, rounds * each, 'one event for each request, whenever it was cut off');
        assert.equal(new Set(recorded).size, recorded.length);
        for (const jti of issued) assert.ok(recorded.includes(jti), 'a token that was answered stands in the log');
      } finally {
        await kill(child);
        await postgres?.drop();
        rmSync(data, { recursive: true, force: true });
      }
    });
  });
}

function jtiIn(body: Record<string, unknown>): string {
  const payload = String(body.access_token).split('.')[1] as string;
  return JSON.parse(Buffer.from(payload, 'base64url').toString()).jti;
}

async function issuesOf(server: ServerForClients, agent: string): Promise<string[]> {
  const found: string[] = [];
  let cursor: string | undefined = '';
  while (cursor !== undefined) {
    const query = `agent=${agent}&type=token.issued&limit=200${cursor && `&cursor=${cursor}`}`;
    const page: { items: { jti: string }[]; next_cursor?: string } = await server.admin('GET', `/events?${query}`);
    found.push(...page.items.map(({ jti }) => jti));
    cursor = page.next_cursor;
  }
  return found;
}
