// npm run check: all that can be said of the code without running it. Every step runs; what failed stands at the end.
// npm run fix writes what Biome can mend by itself.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { type Files, leftToDo, lockfile, sleepingTests, versions, worldOutsideLib } from './house-rules.ts';
import { root } from './setup.mjs';

/** @returns what is wrong, as text for people; nothing when all is well */
type Step = () => Promise<string> | string;

const fix = process.argv.includes('--fix');
const files = trackedFiles();
const rule = (check: (files: Files) => string[]) => () => check(files).join('\n');

const steps: Record<string, Step> = {
  'types (tsc)': () => node(program('typescript', 'bin/tsc'), '--noEmit', '-p', 'tsconfig.json'),
  'lint and format (Biome)': () =>
    node(program('@biomejs/biome', 'bin/biome'), 'check', ...(fix ? ['--write'] : []), '.'),
  'imports follow the ranks': () => node('--test', '--test-reporter=dot', 'packages/server/src/import-ranks.test.ts'),
  'reference docs and snippets are in step': () =>
    existsSync(join(root, 'scripts/docs.ts')) ? node('scripts/docs.ts', '--check') : '',
  'one version everywhere, exact dependencies': rule(versions),
  'the lockfile names no registry': rule(lockfile),
  'time, randomness and network only in lib/': rule(worldOutsideLib),
  'no test is switched off': rule(sleepingTests),
  'nothing left to do': rule(leftToDo),
};

// all at once; said in their order
const running = Object.entries(steps).map(async ([name, step]) => ({ name, fault: await step() }));
const failed: { name: string; fault: string }[] = [];
for (const step of running) {
  const { name, fault } = await step;
  console.log(`${fault ? '✖' : '✔'} ${name}`);
  if (fault) failed.push({ name, fault });
}
for (const { name, fault } of failed) console.log(`\n✖ ${name}\n${fault.replace(/^/gm, '  ')}`);
if (failed.length > 0) {
  console.log(
    `\n${failed.length} of ${running.length} checks failed.${fix ? '' : ' "npm run fix" mends what can be mended by itself.'}`,
  );
  process.exitCode = 1;
}

/** What git knows or would take, as text. */
function trackedFiles(): Files {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  const paths = list.split('\0').filter((path) => path && existsSync(join(root, path)));
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
}

function program(name: string, file: string): string {
  return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), file);
}

/** Runs a program on this Node.js. @returns its output when it fails */
function node(...args: string[]): Promise<string> {
  const environment = { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined };
  const child = spawn(process.execPath, ['--conditions=bailiwick-source', ...args], { cwd: root, env: environment });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  return new Promise((resolve) => {
    child.once('close', (code) => resolve(code === 0 ? '' : output.trim() || `ended with ${code} and said nothing`));
  });
}
