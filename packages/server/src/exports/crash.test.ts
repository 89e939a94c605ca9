import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { databases } from '../testing/harness.ts';
import { killableServer } from '../testing/killed.ts';
import { until } from '../testing/until.ts';

for (const database of databases) {
  describe(`an exporter whose server is killed, on ${database}`, () => {
    test('goes on where it stood: nothing is lost, no line is torn', async (t) => {
      const directory = mkdtempSync(path.join(tmpdir(), 'bailiwick-exports-'));
      t.after(() => rmSync(directory, { recursive: true, force: true }));
      const { server, kill, startAgain } = await killableServer(t, database, { exports: { directory } });
      const post = async (target: string, body: object) =>
        (await server.admin<{ id: string }>('POST', target, body)).id;
      const target = { kind: 'file' };
      const exporter = await post('/exporters', { name: 'files', target, types: ['team.created'] });
      const exported = () => targetsIn(directory, exporter);

      const made: string[] = [];
      for (const round of [0, 1, 2]) {
        const before = made.length;
        const written = () => exported().filter((id) => made.indexOf(id) >= before).length;
        // with PostgreSQL, the claim of who was killed holds for a while: the second server has nothing to write when it is killed, too
        const most = database === 'postgres' && round > 0 ? 20 : Number.POSITIVE_INFINITY;
        do made.push(await post('/teams', { name: `t-${round}-${made.length}` }));
        while (made.length - before < most && written() <= round * 5);
        await kill(); // just after lines were written, before or after it was noted that they were
        await startAgain();
      }
      for (let n = 0; n < 5; n++) made.push(await post('/teams', { name: `last-${n}` }));
      const targets = await until(
        exported,
        (seen) => made.every((id) => seen.includes(id)),
        () => pause(50),
      );
      // what came twice came in the order in which it came first, and with the same id
      const distinct = [...new Set(targets)];
      assert.deepEqual(
        distinct.filter((id) => made.includes(id)),
        made,
      );
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
