// What is read slowly, or not to its end, by whoever stands behind the pipe: in processes of its own.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../lib/clock.ts';
import { startServer, type TestServer } from '../testing/harness.ts';
import { until } from '../testing/until.ts';

const main = path.join(import.meta.dirname, '../main.ts');
const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-piped-'));
const children: ChildProcess[] = [];
let server: TestServer;

before(async () => {
  server = await startServer({ clock: { ...systemClock, advance: () => {} } });
  writeFileSync(path.join(folder, 'operator.json'), JSON.stringify(server.operator), { mode: 0o600 });
  // more than any pipe holds
  const description = 'x'.repeat(490);
  for (let i = 0; i < 300; i++) await server.admin('POST', '/roles', { name: `role-${i}`, description });
});
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

function bailiwick(...argv: string[]) {
  const child = spawn(process.execPath, ['--conditions=bailiwick-source', main, ...argv], {
    cwd: folder,
    env: { PATH: process.env.PATH, BAILIWICK_IDENTITY: path.join(folder, 'operator.json') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let err = '';
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  return { child, ended: once(child, 'exit') as Promise<[number | null, string | null]>, err: () => err };
}

test('all of it arrives at a reader that is slow', { timeout: 60_000 }, async () => {
  const { child, ended, err } = bailiwick('roles', 'list', '--json');
  await once(child.stdout, 'readable');
  await pause(500); // what a process that doesn't wait needs to end
  let out = '';
  for await (const chunk of child.stdout) out += chunk;
  assert.ok(out.length > 150_000, `${out.length}`);
  assert.ok(JSON.parse(out), 'whole JSON');
  assert.deepEqual(await ended, [0, null], err());
});

test('a reader that has enough ends nothing but the reading', { timeout: 60_000 }, async () => {
  const { child, ended, err } = bailiwick('roles', 'list', '--json');
  await once(child.stdout, 'data');
  child.stdout.destroy();
  assert.deepEqual(await ended, [0, null], err());
  assert.equal(err(), '');
});

test('a failure ends with its own code when nobody reads', { timeout: 60_000 }, async () => {
  const { child, ended } = bailiwick('roles', 'show', 'nobody', '--json');
  child.stdout.destroy();
  child.stderr.destroy();
  assert.deepEqual(await ended, [5, null]);
});

test('following ends when nobody reads any more', { timeout: 60_000 }, async () => {
  const { child, ended, err } = bailiwick('events', '--follow', '--json');
  await once(child.stdout, 'data');
  child.stdout.destroy();
  let over = false;
  void ended.then(() => {
    over = true;
  });
  let n = 0;
  await until(
    () => over,
    (ends) => ends,
    async () => {
      await server.admin('POST', '/roles', { name: `later-${n++}` });
      await pause(50);
    },
  );
  assert.deepEqual(await ended, [0, null], err());
  assert.equal(err(), '');
});
