import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { batchesOf } from './test-batches.ts';

test('files share a process, but for those that would reach the others, and those that take long', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bailiwick-batches-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'scripts'));
  const written = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return name;
  };
  const quiet = Array.from({ length: 10 }, (_, n) => written(`quiet-${n}.test.ts`, "test('one', () => {});\n"));
  const within = written('within.test.ts', "describe('one', () => {\n  before(() => {});\n});\n");
  const alone = [
    written('hook.test.ts', 'before(() => {});\n'),
    written('each.test.ts', 'afterEach(() => {});\n'),
    written('variable.test.ts', "  process.env.NAME = 'x';\n"),
    written('mock.test.ts', "  t.mock.method(RegExp.prototype, 'exec');\n"),
  ];
  const killed = written('killed.test.ts', "import { killableServer } from '../testing/killed.ts';\n");
  const script = written('scripts/pack.test.ts', '');
  const laidOut = batchesOf(folder, [...alone, ...quiet, within, killed, script], folder);
  const [first, second] = [join(folder, 'batch-1.mjs'), join(folder, 'batch-2.mjs')];
  assert.deepEqual(laidOut, [killed, script, first, second, ...alone]);
  const imported = [first, second].map((batch) => readFileSync(batch, 'utf8')).join('');
  assert.deepEqual(
    [...imported.matchAll(/^import "(.+)";$/gm)].map(([, url]) => url),
    [...quiet, within].map((file) => pathToFileURL(join(folder, file)).href),
  );
});
