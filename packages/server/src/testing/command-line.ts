/** The command line in a test: in this process, with a folder of its own, its output caught. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { commands } from '../cli/commands.ts';
import type { Io } from '../cli/io.ts';
import { run } from '../cli/run.ts';
import type { TestServer } from './harness.ts';

export interface Ran {
  code: number;
  out: string;
  err: string;
}

export interface CommandLine {
  folder: string;
  /** Runs one command line, as its words. */
  (...argv: string[]): Promise<Ran>;
  /** Runs it with --json and answers what it wrote. @throws Error when it did not end with 0 */
  json<T = Record<string, unknown>>(...argv: string[]): Promise<T>;
  write(name: string, text: string): string;
  close(): void;
}

/** A folder with the operator's key file in it, if there is a server. `io` changes the world around the command line. */
export function commandLine(server?: TestServer, io: Partial<Io> = {}): CommandLine {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-cli-'));
  const write = (name: string, text: string) => {
    const file = path.join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const env = server ? { BAILIWICK_IDENTITY: write('operator.json', JSON.stringify(server.operator)) } : {};

  async function cli(...argv: string[]): Promise<Ran> {
    let out = '';
    let err = '';
    const code = await run(commands, argv, {
      env,
      cwd: folder,
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      columns: undefined,
      interactive: false,
      ask: () => Promise.reject(new Error('nobody is there to answer')),
      input: () => Promise.reject(new Error('nothing is at standard input')),
      terminated: () => Promise.reject(new Error('not in this test')),
      now: server?.clock.now ?? (() => 0),
      pause: () => new Promise((resolve) => setImmediate(resolve)),
      ...io,
    });
    return { code, out, err };
  }

  return Object.assign(cli, {
    folder,
    write,
    async json<T>(...argv: string[]) {
      const { code, out, err } = await cli(...argv, '--json');
      if (code !== 0) throw new Error(`bailiwick ${argv.join(' ')} ended with ${code}: ${err}`);
      return JSON.parse(out) as T;
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  });
}
