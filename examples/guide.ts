/** Runs the commands of a guide as a reader would: in a clone, by a shell, against a server that has just been started. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadConfig, start } from '@bailiwick/server';
import { freePort } from '../packages/server/src/testing/free-port.ts';

const root = path.resolve(import.meta.dirname, '..');

export interface Clone {
  /** Its root: where commands are run until one of them is `cd`. */
  root: string;
  /** The folder of the example in it. */
  folder: string;
  /** Runs one to its end and answers what it printed; `cd` and `export` hold for those after it. @throws AssertionError when it fails */
  run(line: string): Promise<string>;
  /** Starts one that goes on, and waits until it has printed this. It ends with the test. */
  begin(line: string, sign: RegExp): Promise<void>;
  /** Does this when the test is over, before what stands already is taken down. */
  finally(work: () => unknown): void;
}

export interface Guide extends Clone {
  /** The commands of the guide's beginning, up to the bound token: what stands behind a backslash belongs to the line before. */
  lines: string[];
}

interface Context {
  after(work: () => unknown): void;
}

/**
 * A clone as a newcomer has it, but for what is large and never written to, with the machine's own Node.js.
 * @param example the folder in examples
 * @param here what becomes of the ports in its files
 */
export function openClone(
  context: Context,
  { example, here }: { example: string; here: (text: string) => string },
): Clone {
  const last: (() => unknown)[] = [];
  context.after(async () => {
    for (const work of last.toReversed()) await work();
  });
  const clone = mkdtempSync(path.join(tmpdir(), 'bailiwick-guide-'));
  const images = mkdtempSync(path.join(tmpdir(), 'bailiwick-images-'));
  for (const made of [clone, images]) last.push(() => rmSync(made, { recursive: true, force: true }));
  for (const name of ['node_modules', 'packages']) symlinkSync(path.join(root, name), path.join(clone, name), 'dir');
  for (const name of [
    'scripts',
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'tsconfig.build.json',
    'LICENSE',
  ]) {
    cpSync(path.join(root, name), path.join(clone, name), { recursive: true });
  }
  writeFileSync(path.join(clone, '.npmrc'), 'update-notifier=false\n');
  const folder = path.join(clone, 'examples', example);
  cpSync(path.join(import.meta.dirname, example), folder, {
    recursive: true,
    filter: (source) => !source.endsWith('.test.ts'),
  });
  for (const file of ['agent.ts', 'api.ts', 'porter.ts', 'server.ts', 'stock.ts', 'nginx.conf', 'west.yaml']) {
    const to = path.join(folder, file);
    try {
      writeFileSync(to, here(readFileSync(to, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  // nothing of what a guide says needs the network, and nothing may be fetched by a name that isn't ours
  const npm = { npm_config_offline: 'true', npm_config_audit: 'false', npm_config_fund: 'false' };
  const environment = { PATH: `${programs(clone, images)}:${process.env.PATH}:/usr/sbin`, HOME: clone, ...npm };
  const settings: string[] = [];

  function shell(line: string): ChildProcess {
    return spawn('bash', ['-c', [...settings, line].join('\n')], {
      cwd: clone,
      env: environment,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  return {
    root: clone,
    folder,
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
      if (isSetting(line)) settings.push(line);
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

/** Says where one is, and does nothing else. */
export const isSetting = (line: string): boolean => /^(?:cd|export) /.test(line);

/**
 * @param page in docs/guides
 * @param part the heading of the commands; what stands before it is said first
 * @param ports that the guide names beside the server's, and that may be taken here: each becomes another one, in its files too
 */
export async function openGuide(
  context: Context,
  {
    page,
    example,
    ports = [],
    part = 'From nothing to a bound token',
  }: { page: string; example: string; ports?: readonly number[]; part?: string },
): Promise<Guide> {
  const others = new Map<number, number>();
  const here = (text: string) =>
    [...others].reduce((all, [from, to]) => all.replaceAll(new RegExp(`\\b${from}\\b`, 'g'), String(to)), text);
  for (const port of [8455, ...ports]) others.set(port, await freePort());
  const clone = openClone(context, { example, here });
  const { close } = await start(
    loadConfig({
      cwd: clone.root,
      env: {},
      overrides: {
        port: others.get(8455) as number,
        mtls: { port: 0 },
        log_level: 'silent',
        shutdown_grace_seconds: 1,
      },
    }),
  );
  clone.finally(() => close());

  const text = readFileSync(path.join(root, 'docs/guides', page), 'utf8');
  const [beginning] =
    new RegExp(`^[\\s\\S]*?\\n## ${part}\\n[\\s\\S]*?(?=\\n## )`).exec(text) ?? assert.fail('no such part');
  return { ...clone, lines: commandsIn(here(beginning)) };
}

/** The commands of the shell blocks of a text, one a line. */
export function commandsIn(text: string): string[] {
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block);
  return blocks
    .flatMap((block) =>
      block
        .replaceAll(/\\\n\s*/g, '')
        .trim()
        .split('\n'),
    )
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/**
 * A `docker` that does what the Dockerfile says, in a folder, and runs its program with nothing but what `-e` hands in; and, where
 * there is no curl, one for `curl -s URL -o FILE`.
 */
function programs(clone: string, images: string): string {
  const bin = path.join(clone, 'bin');
  mkdirSync(bin);
  const node = `"${process.execPath}"`;
  const scripts = {
    docker: `exec ${node} "${path.join(import.meta.dirname, 'docker.mjs')}" "${images}" "$@"`,
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
