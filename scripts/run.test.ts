import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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

test('a file is that of the folder in which one is, then that of the workspace; the program stays in that folder', (context) => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'run-')));
  context.after(() => rmSync(folder, { recursive: true }));
  const script = join(import.meta.dirname, 'run.mjs');
  const run = (file: string) => spawnSync(process.execPath, [script, file], { cwd: folder, encoding: 'utf8' });
  mkdirSync(join(folder, 'scripts'));
  for (const file of ['program.ts', 'scripts/setup.mjs']) {
    writeFileSync(join(folder, file), `console.log('${file} in', process.cwd());\n`);
  }
  assert.equal(run('program.ts').stdout, `program.ts in ${folder}\n`);
  assert.equal(run('scripts/setup.mjs').stdout, `scripts/setup.mjs in ${folder}\n`);
  rmSync(join(folder, 'scripts/setup.mjs'));
  assert.match(run('scripts/setup.mjs').stderr, /^Ready, with Node\.js/, 'the workspace has one');
});
