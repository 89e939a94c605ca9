/** Killed while instances enrol, and started again: what was answered holds, and no enrolment token counts twice. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { ConfigOverrides } from '../config.ts';
import { databases } from '../testing/harness.ts';
import { instanceClient, type Reply } from '../testing/instance-client.ts';
import { freePort, kill, startKillable } from '../testing/killed.ts';
import { testPostgres } from '../testing/postgres.ts';
import { type ServerForClients, tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`a server that is killed while instances enrol, on ${database}`, () => {
    test('keeps every instance it answered, and spends no enrolment token twice', async () => {
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
        const rounds = 2;
        const each = 50;
        const enrolled = new Set<string>();
        for (let round = 0; round < rounds; round++) {
          const at = instanceClient(server, client);
          const secrets: string[] = [];
          for (let n = 0; n < each; n++) secrets.push((await at.token()).secret);
          const body = { token: { scope: 'tickets:read' } };
          const requests = await Promise.all(secrets.map((token) => at.prepared({ token, body })));
          const answers = new Map<number, Reply>();
          let next = 0;
          const worker = async () => {
            while (next < each) {
              const i = next++;
              const answer = await requests[i]?.send().catch(() => undefined);
              if (answer === undefined) return;
              answers.set(i, answer);
              if (answers.size === (round + 1) * 10) child.kill('SIGKILL'); // with the rest of them under way
            }
          };
          await Promise.all(Array.from({ length: 12 }, worker));
          await kill(child);
          ({ child, server } = await startKillable(config));
          const again = instanceClient(server, client);
          for (const [i, secret] of secrets.entries()) {
            const first = answers.get(i);
            const second = await again.enrol({ token: secret });
            if (first) {
              assert.equal(first.status, 201, JSON.stringify(first.body));
              assert.equal(second.status, 401, 'what was answered before stays spent');
              enrolled.add(first.body.instance);
              const { id } = { id: first.body.instance as string };
              const seen = await again.call({ id, signer: requests[i]?.signer as never }, 'GET');
              assert.equal(seen.status, 200, 'an instance that was answered lives');
            } else if (second.status === 201) enrolled.add(second.body.instance);
            else assert.equal(second.status, 401, `it was spent just before the end: ${JSON.stringify(second.body)}`);
          }
          assert.ok(answers.size < each, 'the end came too late');
        }
        const instances = await all(server, `/instances?agent=${client.clientId}`);
        assert.equal(instances.length, rounds * each, 'one instance for each enrolment token');
        const ids = new Set(instances.map(({ id }) => id));
        for (const id of enrolled) assert.ok(ids.has(id));
        const events = await all(server, `/events?agent=${client.clientId}&type=instance.enrolled`);
        assert.deepEqual(new Set(events.map(({ target }) => target)), ids, 'one event for each');
        assert.equal(events.length, ids.size);
        const issued = await all(server, `/events?agent=${client.clientId}&type=token.issued`);
        const bound = new Set(issued.map(({ instance }) => instance));
        const asked = events.filter(({ decided_on }) => decided_on?.token);
        assert.deepEqual(bound, new Set(asked.map(({ target }) => target)), 'an instance and its token come together');
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
  instance?: string;
  decided_on?: { token?: boolean };
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
