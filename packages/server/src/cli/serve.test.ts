// The process itself: what it prints, how it ends. Few cases, since each is a process of its own.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

const main = path.join(import.meta.dirname, '../main.ts');
const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-serve-'));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

interface Process {
  child: ChildProcess;
  out: () => string;
  err: () => string;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Waits until standard output has it. */
  says(sign: RegExp): Promise<RegExpExecArray>;
}

function bailiwick(argv: string[], env: Record<string, string> = {}): Process {
  const child = spawn(process.execPath, ['--conditions=bailiwick-source', main, ...argv], {
    cwd: folder,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const ended = new Promise<Awaited<Process['ended']>>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  );
  async function says(sign: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = sign.exec(out);
      if (found) return found;
      const over = await Promise.race([
        ended,
        new Promise<void>((resolve) => child.stdout?.once('data', () => resolve())),
      ]);
      if (over && !sign.test(out)) throw new Error(`it ended with ${over.code}: ${out}${err}`);
    }
  }
  return { child, out: () => out, err: () => err, ended, says };
}

test('serve says where it is, where its data is and what to type, and ends cleanly on SIGTERM', async () => {
  const server = bailiwick(['serve', '--port', '0', '--data', 'first']);
  const [, issuer = ''] = await server.says(/issuer\s+(http:\S+)[\s\S]*token --identity/);
  for (const part of [
    path.join(folder, 'first'),
    'operator.json',
    'SQLite',
    'resources create',
    'agents create',
    '127.0.0.1',
    'mutual TLS',
    'https://127.0.0.1',
  ]) {
    assert.ok(server.out().includes(part), server.out());
  }
  assert.match(server.out(), /^ +private keys +not encrypted in the database: set key_encryption\.file/m);
  assert.equal(statSync(path.join(folder, 'first/operator.json')).mode & 0o777, 0o600);
  assert.equal(statSync(path.join(folder, 'first')).mode & 0o777, 0o700);
  assert.equal((await fetch(`${issuer}/readyz`)).status, 200);

  // the commands that it shows work as they stand, with the path of the key file of this start
  const commands = [...server.out().matchAll(/^ {2}(?:npx )?bailiwick (.*)$/gm)].map(([, line = '']) => line);
  assert.equal(commands.length, 4);
  for (const line of commands) {
    const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? '');
    const ran = bailiwick(words);
    const { code } = await ran.ended;
    assert.equal(code, 0, `${line}\n${ran.out()}${ran.err()}`);
  }

  server.child.kill('SIGTERM');
  assert.deepEqual(await server.ended, { code: 0, signal: null }, server.err());
  await assert.rejects(fetch(`${issuer}/healthz`));
});

test('a server that moved says so in words, and who asks at the old address is told', { timeout: 60_000 }, async () => {
  const first = bailiwick(['serve', '--port', '0', '--data', 'moving']);
  const [, from = ''] = await first.says(/issuer\s+(http:\S+)[\s\S]*another terminal/);
  assert.doesNotMatch(first.out(), /has moved/);
  const key = JSON.parse(readFileSync(path.join(folder, 'moving/operator.json'), 'utf8')) as object;
  writeFileSync(path.join(folder, 'old.json'), JSON.stringify(key), { mode: 0o600 });
  first.child.kill('SIGTERM');
  await first.ended;

  const second = bailiwick(['serve', '--port', '0', '--data', 'moving']);
  const [, to = ''] = await second.says(/issuer\s+(http:\S+)[\s\S]*another terminal/);
  assert.ok(second.out().includes(`The issuer has moved from ${from} to ${to}`), second.out());
  assert.ok(second.out().includes(`that name ${from} must be made to name ${to}`), second.out());

  const env = { BAILIWICK_DATA: 'moving' };
  const asked = bailiwick(['agents', 'list', '--identity', 'old.json'], env);
  assert.equal((await asked.ended).code, 3);
  const doctor = bailiwick(['doctor', '--identity', 'old.json'], env);
  assert.equal((await doctor.ended).code, 1);
  for (const text of [asked.err(), doctor.out()]) {
    assert.ok(text.includes(`old.json names ${from}`) && text.includes(`is known as ${to}`), text);
  }
  second.child.kill('SIGTERM');
  await second.ended;
});

test('a request under way finishes after SIGTERM; a second signal ends at once', { timeout: 60_000 }, async () => {
  const env = { BAILIWICK_SHUTDOWN_GRACE_SECONDS: '60' };
  const server = bailiwick(['serve', '--port', '0', '--data', 'second'], env);
  const [, address] = await server.says(/(http:\/\/127\.0\.0\.1:\d+)[\s\S]*another terminal/);
  const url = new URL('/oauth2/token', address);
  const body = 'grant_type=nothing';
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length };
  const pending = request(url, { method: 'POST', headers });
  const answered = new Promise<number | undefined>((resolve, reject) => {
    pending.once('response', (response) => resolve(response.resume().statusCode)).once('error', reject);
  });
  const held = request(url, { method: 'POST', headers }).on('error', () => {});
  const connected = [pending, held].map(async (each) => {
    each.write(body.slice(0, 5));
    const [socket] = (await once(each, 'socket')) as [Socket];
    if (socket.connecting) await once(socket, 'connect');
  });
  await Promise.all(connected);
  await fetch(new URL('/healthz', url)); // the server has seen what came before
  server.child.kill('SIGTERM');
  while (!server.err().includes('Ending'))
    await Promise.race([once(server.child.stderr as Readable, 'data'), server.ended]);
  pending.end(body.slice(5));
  assert.equal(await answered, 401);
  assert.equal(server.child.exitCode, null, 'one request is still under way');
  await pause(250); // a signal sooner than this counts as the same wish
  server.child.kill('SIGTERM');
  assert.equal((await server.ended).code, 143);
});

test('a port that is taken is a sentence, not a stack trace', async () => {
  const other: Server = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  const server = bailiwick(['serve', '--port', String(port), '--data', 'third']);
  const { code } = await server.ended;
  other.close();
  assert.equal(code, 1);
  assert.match(server.err(), new RegExp(`^Port ${port} is in use: .*BAILIWICK_PORT`));
  assert.doesNotMatch(server.err(), /\n\s+at /);
});

test('serve --json says all of it in one line', async () => {
  const server = bailiwick(['serve', '--json', '--port', '0', '--data', 'fourth'], { BAILIWICK_MTLS_PORT: '0' });
  await server.says(/\n/);
  const said = JSON.parse(server.out());
  const { port } = new URL(said.mtls.url);
  assert.deepEqual(said.mtls, {
    url: `https://localhost:${port}`,
    addresses: said.addresses.map((address: string) => address.replace(/^http:(.*):\d+$/, `https:$1:${port}`)),
  });
  const ready = await (await fetch(`${said.issuer}/readyz`)).json();
  assert.deepEqual(ready, { status: 'ready', mutual_tls: said.mtls.url });
  assert.equal(said.keys_encrypted, false);
  server.child.kill('SIGTERM');
  assert.equal((await server.ended).code, 0);
});

test('with a key from outside, serve says that private keys are encrypted, in words and in JSON', async () => {
  writeFileSync(path.join(folder, 'at-rest.key'), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  const env = { BAILIWICK_KEY_ENCRYPTION_FILE: path.join(folder, 'at-rest.key') };
  for (const [more, sign] of [
    [[], /^ +private keys +encrypted in the database$/m],
    [['--json'], /"keys_encrypted":true/],
  ] as const) {
    const server = bailiwick(['serve', ...more, '--port', '0', '--data', 'encrypted'], env);
    await server.says(sign);
    server.child.kill('SIGTERM');
    assert.equal((await server.ended).code, 0);
  }
});

test('so is a port for mutual TLS that is taken', async () => {
  const other: Server = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  const server = bailiwick(['serve', '--port', '0', '--data', 'third'], { BAILIWICK_MTLS_PORT: String(port) });
  const { code } = await server.ended;
  other.close();
  assert.equal(code, 1);
  assert.match(server.err(), new RegExp(`^Port ${port} is in use: .*BAILIWICK_MTLS_PORT`));
});
