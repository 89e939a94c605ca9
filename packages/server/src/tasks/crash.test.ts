/** Killed while signed tasks come with token requests, and started again: each is one task, written with its first token or not at all. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parseCompact, taskIdIn } from '@bailiwick/protocol';
import type { ConfigOverrides } from '../config.ts';
import { databases } from '../testing/harness.ts';
import { freePort, kill, startKillable } from '../testing/killed.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { testPostgres } from '../testing/postgres.ts';
import { type Answer, type ServerForClients, tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`a server that is killed while signed tasks are presented, on ${database}`, () => {
    test('keeps every task that it answered, once, and none without its token', async () => {
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
        const [orchestrator, client] = [await orchestratorClient(server), await tokenClient(server)];
        const each = 50;
        const tasks = Array.from({ length: each }, () => orchestrator.sign({ sub: client.clientId }));
        const answers = new Map<number, Answer>();
        let next = 0;
        const worker = async () => {
          while (next < each) {
            const i = next++;
            const answer = await client.send({ task: tasks[i] as string }).catch(() => undefined);
            if (answer === undefined) return;
            answers.set(i, answer);
            if (answers.size === 12) child.kill('SIGKILL'); // with the rest of them under way
          }
        };
        await Promise.all(Array.from({ length: 12 }, worker));
        await kill(child);
        ({ child, server } = await startKillable(config));
        assert.ok(answers.size >= 12 && answers.size < each, 'the end came in between');
        const taskOf = ({ body }: Answer) =>
          (parseCompact(String(body.access_token)).payload.task as { id: string }).id;
        for (const [i, answer] of answers) {
          assert.equal(answer.status, 200, JSON.stringify(answer.body));
          assert.equal(taskOf(answer), taskIdIn(tasks[i] as string));
        }
        const written = new Set((await all(server, `/tasks?agent=${client.clientId}`)).map(({ id }) => id));
        for (const answer of answers.values()) assert.ok(written.has(taskOf(answer)), 'what was answered is there');
        const before = await all(server, `/events?agent=${client.clientId}&type=token.issued`);
        assert.deepEqual(
          new Set(before.map(({ decided_on }) => decided_on?.task)),
          written,
          'a task and its first token come together',
        );
        for (const task of tasks) {
          const again = await client.send({ task });
          assert.equal(again.status, 200, JSON.stringify(again.body));
          assert.equal(taskOf(again), taskIdIn(task));
        }
        const opened = await all(server, `/events?agent=${orchestrator.clientId}&type=task.opened`);
        assert.equal(opened.length, each, 'each was opened once');
        assert.deepEqual(new Set(opened.map(({ target }) => target)), new Set(tasks.map(taskIdIn)));
      } finally {
        await kill(child);
        await postgres?.drop();
        rmSync(data, { recursive: true, force: true });
      }
    });
  });
}

interface Item {
  id: string;
  target?: string;
  decided_on?: { task?: string };
}

async function all(server: ServerForClients, target: string): Promise<Item[]> {
  const found: Item[] = [];
  let cursor: string | undefined = '';
  while (cursor !== undefined) {
    const page: { items: Item[]; next_cursor?: string } = await server.admin(
      'GET',
      `${target}&limit=200${cursor && `&cursor=${cursor}`}`,
    );
    found.push(...page.items);
    cursor = page.next_cursor;
  }
  return found;
}
