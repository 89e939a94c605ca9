/** Runs the commands of a guide as a reader would: in a folder of their own, by a shell, against a server that has just been started. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadConfig, start } from '@bailiwick/server';

const root = path.resolve(import.meta.dirname, '..');

export interface Guide {
  /** The folder that the commands are run in: a copy of the example's. */
  folder: string;
  /** The lines of the guide's first blocks, up to the bound token: what stands behind a backslash belongs to the line before. */
  lines: string[];
  /** Runs one to its end and answers what it printed. @throws AssertionError with that, when it fails */
  run(line: string): Promise<string>;
  /** Starts one that goes on, and waits until it has printed this. It ends with the test. */
  begin(line: string, sign: RegExp): Promise<void>;
  /** Does this when the test is over, before what stands already is taken down. */
  finally(work: () => unknown): void;
}

interface Context {
  after(work: () => unknown): void;
}

/**
 * @param page in docs/guides
 * @param example the folder in examples
 * @param ports that the guide names beside the server's, and that may be taken here: each becomes another one, in its files too
 */
export async function openGuide(
  context: Context,
  { page, example, ports = [] }: { page: string; example: string; ports?: readonly number[] },
): Promise<Guide> {
  const last: (() => unknown)[] = [];
  context.after(async () => {
    for (const work of last.toReversed()) await work();
  });
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-guide-'));
  last.push(() => rmSync(folder, { recursive: true, force: true }));
  const { issuer, close } = await start(
    loadConfig({
      cwd: folder,
      env: {},
      overrides: { port: 0, mtls: { port: 0 }, log_level: 'silent', shutdown_grace_seconds: 1 },
    }),
  );
  last.push(() => close());

  const others = new Map([[8455, Number(new URL(issuer).port)]]);
  for (const port of ports) others.set(port, await freePort());
  const here = (text: string) =>
    [...others].reduce((all, [from, to]) => all.replaceAll(new RegExp(`\\b${from}\\b`, 'g'), String(to)), text);
  cpSync(path.join(import.meta.dirname, example), folder, {
    recursive: true,
    filter: (source) => !source.endsWith('.test.ts'),
  });
  for (const file of ['agent.ts', 'api.ts', 'nginx.conf']) {
    const to = path.join(folder, file);
    try {
      writeFileSync(to, here(readFileSync(to, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'), 'dir');
  writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  const environment = { PATH: `${programs(folder)}:${process.env.PATH}:/usr/sbin`, HOME: folder };

  const text = readFileSync(path.join(root, 'docs/guides', page), 'utf8');
  const beginning = /## From nothing to a bound token\n([\s\S]*?)\n## /.exec(text)?.[1] ?? assert.fail('no such part');
  const blocks = [...beginning.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block);
  const lines = blocks.flatMap((block) =>
    here(block)
      .replaceAll(/\\\n\s*/g, '')
      .trim()
      .split('\n'),
  );

  function shell(line: string): ChildProcess {
    return spawn('bash', ['-c', line], {
      cwd: folder,
      env: environment,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  return {
    folder,
    lines: lines.filter((line) => !line.startsWith('#')),
    finally: (work) => last.push(work),
    async run(line) {
      const child = shell(line);
      const said = { out: '', err: '' };
      child.stdout?.on('data', (chunk) => (said.out += chunk));
      child.stderr?.on('data', (chunk) => (said.err += chunk));
      const [code] = (await once(child, 'exit')) as [number | null];
      // what goes on in the background keeps its end of the pipes
      child.stdout?.destroy();
      child.stderr?.destroy();
      assert.equal(code, 0, `${line}\n${said.out}${said.err}`);
      return said.out;
    },
    async begin(line, sign) {
      const child = shell(line);
      last.push(async () => {
        const ended = child.exitCode === null && once(child, 'exit');
        if (ended && child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
        await ended;
      });
      let said = '';
      await new Promise<void>((resolve, reject) => {
        for (const stream of [child.stdout, child.stderr]) {
          stream?.on('data', (chunk) => {
            said += chunk;
            if (sign.test(said)) resolve();
          });
        }
        child.once('exit', (code) => reject(new Error(`${line} ended with ${code}: ${said}`)));
      });
    },
  };
}

/**
 * `bailiwick` and `node` as a reader has them, a `docker` that runs `node agent.ts` with nothing but what `-e` hands in, and, where
 * there is no curl, one for `curl -s URL -o FILE`.
 */
function programs(folder: string): string {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  const flags = process.execArgv.filter((flag) => flag.startsWith('--conditions')).join(' ');
  const node = `"${process.execPath}" ${flags}`;
  const scripts = {
    bailiwick: `exec ${node} "${path.join(root, 'packages/server/src/main.ts')}" "$@"`,
    node: `exec ${node} "$@"`,
    docker: `declare -a given
while [ $# -gt 0 ]; do
  case "$1" in -e) given+=("$2"); shift 2 ;; *) shift ;; esac
done
exec env -i "\${given[@]}" ${node} agent.ts`,
    curl: `real="$(PATH="\${PATH#*:}" command -v curl)" && exec "$real" "$@"
exec ${node} --input-type=module -e 'import { writeFileSync } from "node:fs";
const [, url, , file] = process.argv.slice(1);
writeFileSync(file, await (await fetch(url)).text());' -- "$@"`,
  };
  for (const [name, script] of Object.entries(scripts)) {
    const file = path.join(bin, name);
    writeFileSync(file, `#!/usr/bin/env bash\n${script}\n`);
    chmodSync(file, 0o755);
  }
  return bin;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject).listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
