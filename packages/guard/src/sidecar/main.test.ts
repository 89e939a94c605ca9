/** The sidecar as a process: what becomes of its lines when their reader is slow, or has gone. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fakeIssuer } from '../testing/fake-issuer.ts';

const main = path.join(import.meta.dirname, 'main.ts');

/** More than a pipe holds, and than its writer keeps: each question is refused, and told in a line of about 300 characters. */
const questions = 1000;

async function sidecar(
  t: TestContext,
): Promise<{ child: ChildProcess; ask(): Promise<number>; end(): Promise<unknown[]> }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-sidecar-'));
  const credential = path.join(folder, 'guard.json');
  // nobody listens at port 1: to refuse who brings no token, nobody need be asked
  writeFileSync(credential, JSON.stringify({ issuer: 'http://localhost:1', ...(await fakeIssuer()).guard }));
  const args = ['--resource', 'http://localhost:1/tickets', '--credential', credential, '--proxy', 'nginx'];
  const child = spawn(
    process.execPath,
    [
      '--conditions=bailiwick-source',
      main,
      ...args,
      '--listen',
      '127.0.0.1:0',
      '--mode',
      'offline',
      '--reports',
      'off',
    ],
    { cwd: folder, env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  t.after(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const ended = once(child, 'exit');
  let said = '';
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr?.on('data', (chunk) => {
      said += chunk;
      const found = /at (http:\S+),/.exec(said)?.[1];
      if (found) resolve(found);
    });
    ended.then(() => reject(new Error(said)));
  });
  const headers = { 'x-original-method': 'GET', 'x-original-uri': '/tickets/1', 'x-forwarded-for': '192.0.2.7' };
  return {
    child,
    ask: async () => {
      const { status, body } = await fetch(url, { headers });
      await body?.cancel();
      return status;
    },
    end() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

describe('the sidecar as a process', () => {
  test('all of its lines arrive at a reader that is slow, though it was told to end', {
    timeout: 60_000,
  }, async (t) => {
    const { child, ask, end } = await sidecar(t);
    for (let n = 0; n < questions; n++) assert.equal(await ask(), 401);
    const ended = end();
    await once(child.stderr as NodeJS.ReadableStream, 'data'); // it says that it ends
    let out = '';
    for await (const chunk of child.stdout as NodeJS.ReadableStream) out += chunk;
    const lines = out.split('\n').filter((line) => line !== '');
    const decisions = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'decision');
    assert.equal(decisions.length, questions);
    assert.deepEqual(await ended, [0, null]);
  });

  test('a reader that has gone ends nothing: the proxy is answered', { timeout: 60_000 }, async (t) => {
    const { child, ask, end } = await sidecar(t);
    child.stdout?.destroy();
    for (let n = 0; n < 20; n++) assert.equal(await ask(), 401);
    assert.deepEqual(await end(), [0, null]);
  });
});
