import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { databases } from '../testing/harness.ts';
import { freePort, startKillable } from '../testing/killed.ts';
import { testPostgres } from '../testing/postgres.ts';

for (const database of databases) {
  describe(`an exporter whose server is killed, on ${database}`, () => {
    test('goes on where it stood: nothing is lost, no line is torn', async () => {
      const data = mkdtempSync(path.join(tmpdir(), 'bailiwick-crash-'));
      const directory = path.join(data, 'exports');
      mkdirSync(directory);
      const postgres = database === 'postgres' ? await testPostgres() : undefined;
      const config = {
        data,
        port: await freePort(),
        mtls: { enabled: false },
        exports: { directory },
        ...(postgres && { database_url: postgres.url }),
      };
      const made: string[] = [];
      let exporter = '';
      try {
        for (let round = 0; round < 4; round++) {
          const { child, server } = await startKillable(config);
          if (round === 0) {
            const body = { name: 'files', target: { kind: 'file' }, types: ['team.created'] };
            exporter = (await server.admin<{ id: string }>('POST', '/exporters', body)).id;
          }
          const ended = once(child, 'exit');
          const killing = round < 3 && wait(300 + 250 * round).then(() => child.kill('SIGKILL'));
          for (let i = 0; i < (round < 3 ? 1000 : 5); i++) {
            const name = `t-${round}-${i}`;
            try {
              made.push((await server.admin<{ id: string }>('POST', '/teams', { name })).id);
            } catch {
              break; // it was killed
            }
          }
          if (round === 3) {
            for (let i = 0; i < 600 && !made.every((id) => targetsIn(directory, exporter).includes(id)); i++)
              await wait(100);
            child.kill('SIGKILL');
          }
          await killing;
          await ended;
        }
        const targets = targetsIn(directory, exporter);
        assert.ok(made.length > 5);
        assert.deepEqual(
          made.filter((id) => !targets.includes(id)),
          [],
        );
        // what came twice came in the order in which it came first, and with the same id
        const distinct = [...new Set(targets)];
        assert.deepEqual(
          distinct.filter((id) => made.includes(id)),
          made,
        );
      } finally {
        await postgres?.drop();
        rmSync(data, { recursive: true, force: true });
      }
    });
  });
}

/** @throws SyntaxError for a torn line */
function targetsIn(directory: string, exporter: string): string[] {
  const folder = path.join(directory, exporter);
  const files = readdirSync(directory).includes(exporter) ? readdirSync(folder).toSorted() : [];
  const lines = files.flatMap((file) => readFileSync(path.join(folder, file), 'utf8').split('\n').slice(0, -1));
  return lines.map((line) => (JSON.parse(line) as { target: string }).target);
}
