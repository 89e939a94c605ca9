import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

test('run.mjs runs a program when it is called through a symbolic link, too', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'run-'));
  context.after(() => rmSync(folder, { recursive: true }));
  symlinkSync(dirname(import.meta.dirname), join(folder, 'workspace'), 'junction');
  writeFileSync(join(folder, 'program.ts'), 'const ran: string = process.argv[2]!;\nconsole.log(ran);\n');
  const script = join(folder, 'workspace', 'scripts', 'run.mjs');
  const ran = spawnSync(process.execPath, [script, join(folder, 'program.ts'), 'ran'], { encoding: 'utf8' });
  assert.deepEqual([ran.status, ran.stdout], [0, 'ran\n'], ran.stderr);
  assert.equal(spawnSync(process.execPath, [script]).status, 2, 'nothing to run is a mistake');
});
