// npm test: every test on this Node.js with SQLite and a real PostgreSQL, then on the oldest Node.js that we support.
//   npm test -- packages/guard           the tests below a folder
//   npm test -- token.test.ts            files by a part of their path
//   npm test -- --test-name-pattern=jti  flags go to node --test
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { type PostgresServer, serverVariable, startPostgres } from '../packages/server/src/testing/postgres.ts';
import { makeTemplates } from '../packages/server/src/testing/templates.ts';
import { root } from './setup.mjs';
import { batchesOf } from './test-batches.ts';
import type { Totals } from './test-totals.ts';

const patterns = ['packages/*/src/**', 'conformance/**', 'examples/**', 'bench/**', 'scripts/**'];

/** Far more than a run takes; what is stuck is named then. */
const limitMs = 40 * 60_000;

/** What gains nothing from an older Node.js: it looks at files, or runs other programs. */
const newestOnly = ['import-ranks.test.ts', 'pack.test.ts', 'docs.test.ts', 'bench/', 'examples/', 'scripts/'];

const flags = process.argv.slice(2).filter((argument) => argument.startsWith('-'));
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));

/** Nothing: the runner came to no end of its own. */
type Outcome = Totals | 'skipped' | undefined;

let running: ChildProcess | undefined;
let stopped = false;

process.exitCode = await main();

async function main(): Promise<number> {
  const files = testFiles();
  if (files.length === 0) {
    console.error(`No test file matches ${wanted.join(' ')}.`);
    return 2;
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  const began = performance.now();
  const totals: Outcome[] = [await onBothDatabases(files)];
  // the whole suite, not what somebody picks while at work
  if (wanted.length === 0 && !stopped) {
    totals.push(await onOldestNode(files.filter((file) => !newestOnly.some((part) => file.includes(part)))));
  }
  return summarize(totals, performance.now() - began);
}

function testFiles(): string[] {
  const all = globSync(
    patterns.map((pattern) => `${pattern}/*.test.ts`),
    { cwd: root, exclude: ['**/node_modules/**', '**/dist/**', '**/.tmp/**'] },
  ).sort();
  return wanted.length === 0
    ? all
    : all.filter((file) => wanted.some((part) => file.includes(part.replace(/^\.?\/|\/$/g, ''))));
}

async function onBothDatabases(files: string[]): Promise<Outcome> {
  const server: PostgresServer | undefined = process.env[serverVariable] ? undefined : await startPostgres();
  try {
    return await runTests(process.execPath, files, { server });
  } finally {
    await server?.stop();
  }
}

async function onOldestNode(files: string[]): Promise<Outcome> {
  const node = oldestNode();
  if (!node) {
    console.log('\nnpm has no Node.js 24 for this machine: the suite ran on the newest alone.');
    return 'skipped';
  }
  console.log(`\nOnce more on Node.js ${versionOf(node)}, with SQLite\n`);
  return runTests(node, files, { databases: 'sqlite' });
}

/** The oldest Node.js that we support, as conformance/node24 brings it along. */
function oldestNode(): string | undefined {
  const require = createRequire(join(root, 'conformance/node24/package.json'));
  try {
    const node = join(dirname(require.resolve(`node-${process.platform}-${process.arch}/package.json`)), 'bin/node');
    return existsSync(node) && versionOf(node).startsWith('v24.') ? node : undefined;
  } catch {
    return undefined;
  }
}

function versionOf(node: string): string {
  return spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
}

async function runTests(
  node: string,
  files: string[],
  { server, databases }: { server?: PostgresServer; databases?: 'sqlite' },
): Promise<Totals | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'bailiwick-test-'));
  const environment = {
    ...testEnvironment(),
    ...(server && { [serverVariable]: server.url }),
    ...(databases && { BAILIWICK_TEST_DATABASES: databases }),
    ...(await makeTemplates(folder, server)),
  };
  const report = join(folder, 'totals.json');
  const child = spawn(
    node,
    [
      '--conditions=bailiwick-source',
      `--import=${pathToFileURL(join(root, 'scripts/end-tests.mjs'))}`,
      '--test',
      `--test-concurrency=${Math.max(2, availableParallelism())}`,
      '--test-timeout=120000',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${join(root, 'scripts/test-totals.ts')}`,
      `--test-reporter-destination=${report}`,
      ...flags,
      ...batchesOf(root, files, folder),
    ],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: environment },
  );
  running = child;
  const limit = setTimeout(() => {
    console.error(
      `\nThe tests did not end within ${limitMs / 60_000} minutes: what is named below is stuck, or had to wait.`,
    );
    child.kill('SIGTERM');
  }, limitMs);
  await new Promise((resolve) => child.once('exit', resolve));
  clearTimeout(limit);
  running = undefined;
  const text = existsSync(report) ? readFileSync(report, 'utf8') : '';
  rmSync(folder, { recursive: true });
  return text ? (JSON.parse(text) as Totals) : undefined;
}

/** Whatever settings of a server somebody has in their shell, the tests say themselves what they want. */
function testEnvironment(): NodeJS.ProcessEnv {
  const ours = (name: string) => name.startsWith('BAILIWICK_') && !name.startsWith('BAILIWICK_TEST_');
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours(name))), NODE_ENV: 'test' };
}

/** Prints what was slow, what failed, and the runner's numbers over all runs. */
function summarize(runs: Outcome[], durationMs: number): number {
  const done = runs.filter((run) => run !== undefined && run !== 'skipped');
  const slowest = done.flatMap((run) => Object.entries(run.files)).sort(([, a], [, b]) => b - a);
  if (slowest.length > 10) {
    console.log('\nslowest files');
    for (const [file, ms] of slowest.slice(0, 5)) console.log(`  ${(ms / 1000).toFixed(1)} s  ${relative(root, file)}`);
  }
  const failures = done.flatMap((run) => run.failures);
  if (failures.length > 0) console.log(`\nfailed\n${failures.map((name) => `  ${relative(root, name)}`).join('\n')}`);

  const sum = (name: keyof Totals['counts']) => done.reduce((total, run) => total + (run.counts[name] ?? 0), 0);
  const rows = {
    tests: 'tests',
    suites: 'suites',
    pass: 'passed',
    fail: 'failed',
    cancelled: 'cancelled',
    skipped: 'skipped',
    todo: 'todo',
  } as const;
  console.log('');
  for (const [label, name] of Object.entries(rows)) console.log(`ℹ ${label} ${sum(name)}`);
  console.log(`ℹ duration_ms ${durationMs.toFixed(0)}`);
  return runs.includes(undefined) || sum('failed') + sum('cancelled') > 0 ? 1 : 0;
}

/** The runner ends its test files, and what is left of us follows: the sums so far, then PostgreSQL. */
function end(): void {
  stopped = true;
  running?.kill('SIGTERM');
}
