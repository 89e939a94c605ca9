// The README's first five minutes, command by command, against a real server: what stands there is what works.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { freePort } from '../packages/server/src/testing/free-port.ts';

const root = path.resolve(import.meta.dirname, '..');
const readme = readFileSync(path.join(root, 'README.md'), 'utf8');

interface Ended {
  code: number | null;
  output: string;
}

let folder: string;
let apiPort: number;
let env: NodeJS.ProcessEnv;
const running: ChildProcess[] = [];

before(async () => {
  // a clone as a newcomer has it, but for the ports and for what is large and never written to
  folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-readme-'));
  for (const name of ['examples', 'node_modules', 'packages']) {
    symlinkSync(path.join(root, name), path.join(folder, name), 'dir');
  }
  for (const name of ['scripts', 'package.json', 'package-lock.json']) {
    cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  }
  writeFileSync(path.join(folder, '.npmrc'), 'update-notifier=false\n');
  apiPort = await freePort();
  env = {
    PATH: process.env.PATH,
    HOME: folder,
    BAILIWICK_PORT: String(await freePort()),
    BAILIWICK_MTLS_PORT: '0',
    RESOURCE: `http://localhost:${apiPort}`,
  };
  await started(shell('npm start'), /In another terminal/);
});

after(async () => {
  for (const child of running) {
    const ended = child.exitCode === null && new Promise((resolve) => child.once('exit', resolve));
    if (child.pid !== undefined && ended) process.kill(-child.pid, 'SIGKILL');
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

test('the first five minutes of the README work as they stand there', { timeout: 240_000 }, async () => {
  const registered = await run('register');
  assert.equal(registered.code, 0, registered.output);
  await started(shell(commandsOf('api')), /is guarded/);

  const called = await run('call');
  assert.equal(called.code, 0, called.output);
  const promised = /\n```\n(200 Hello.*)\n```/.exec(readme)?.[1] ?? assert.fail('the README shows no answer');
  const [begin, end] = promised.split('…');
  assert.ok(called.output.includes(begin ?? '') && called.output.includes(end ?? ''), called.output);

  const unlisted = await run('unlisted');
  assert.doesNotMatch(unlisted.output, /Hello/);
  assert.match(unlisted.output, /40[34]/);

  const suspended = await run('suspend');
  assert.match(suspended.output, /my-agent is suspended/);
  assert.doesNotMatch(suspended.output, /Hello/);
  assert.doesNotMatch(suspended.output, /\n\s+at /, 'a stack trace');
  const refusal = /\n```\n(No answer: [^`]*)\n```/.exec(readme)?.[1] ?? assert.fail('the README shows no refusal');
  for (const part of refusal.replaceAll('localhost:8455', `localhost:${env.BAILIWICK_PORT}`).split('…')) {
    assert.ok(suspended.output.includes(part.replaceAll('localhost:3000', `localhost:${apiPort}`)), suspended.output);
  }
  assert.match(suspended.output, /may act again/);

  const looked = await run('look');
  assert.equal(looked.code, 0, looked.output);
  assert.match(looked.output, /token\.issued/);
  assert.match(looked.output, /Everything is as it should be/);
});

test('what the README installs together are all the tarballs that it takes, as the build makes them', () => {
  const lines = [...readme.matchAll(/npm install ([^\s`]+)/g)].map(([, line = '']) => line);
  assert.equal(lines.length, 3, 'an agent, a guard, a server');
  const manifest = (name: string) =>
    JSON.parse(readFileSync(path.join(root, 'packages', name, 'package.json'), 'utf8')) as {
      version: string;
      engines: { node: string };
      dependencies?: Record<string, string>;
    };
  const last = lines.map((line) => {
    const [, folderNamed, names = '', version] =
      /^\.\.\/bailiwick\/(.*)\/bailiwick-\{(.*)\}-(.*)\.tgz$/.exec(line) ?? [];
    assert.equal(folderNamed, '.tmp/packages/tarballs');
    const together = names.split(',');
    // one that is left out npm asks the public registry for, where the name may be anybody's
    for (const name of together) {
      assert.equal(manifest(name).version, version, name);
      const ours = Object.keys(manifest(name).dependencies ?? {}).filter((one) => one.startsWith('@bailiwick/'));
      for (const one of ours)
        assert.ok(together.includes(one.slice('@bailiwick/'.length)), `${name} needs ${one}, too`);
    }
    return together.at(-1);
  });
  assert.deepEqual(last, ['agent', 'guard', 'server']);
  assert.ok(readme.includes(`Node.js ${manifest('agent').engines.node.slice(2)} or newer`));
  assert.ok(existsSync(path.join(root, 'node_modules/.bin/node')), 'the Node.js that the clone brings');
  assert.ok(commandsOf('pack').includes('scripts/build.ts'));
  assert.match(readFileSync(path.join(root, 'scripts/build.ts'), 'utf8'), /'\.tmp\/packages'/);
});

/** The shell block behind `<!-- tested: name -->`, with the ports of this run. */
function commandsOf(name: string): string {
  const block = new RegExp(`<!-- tested: ${name} -->\\n\`\`\`sh\\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1];
  assert.ok(block, `the README has no block "${name}"`);
  return block.replaceAll('localhost:3000', `localhost:${apiPort}`);
}

function shell(commands: string): ChildProcess {
  const child = spawn('bash', ['-c', commands], {
    cwd: folder,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.push(child);
  return child;
}

function run(name: string): Promise<Ended> {
  const child = shell(commandsOf(name));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}

/** Waits until a program that goes on says that it is there. */
function started(child: ChildProcess, sign: RegExp): Promise<void> {
  let output = '';
  return new Promise((resolve, reject) => {
    const hear = (chunk: Buffer) => {
      output += chunk;
      if (sign.test(output)) resolve();
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    child.once('exit', (code) => reject(new Error(`ended with ${code}: ${output}`)));
  });
}
