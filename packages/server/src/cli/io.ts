/** What a command may touch of the world around it, so that tests bring their own. */
import { createInterface } from 'node:readline/promises';
import { setTimeout } from 'node:timers/promises';
import { CliError } from './errors.ts';

export interface Io {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  /** Writes to standard output as it is: no newline is added. */
  out(text: string): void;
  err(text: string): void;
  /** Columns of the terminal that standard output is, or undefined when it is a file or a pipe. */
  columns: number | undefined;
  /** Whether a person sits at standard input. */
  interactive: boolean;
  ask(question: string): Promise<string>;
  /** All that standard input holds. */
  input(): Promise<string>;
  /** Resolves when the process is asked to end (SIGTERM, SIGINT). */
  terminated(): Promise<void>;
  /** Resolves when nobody reads standard output any more (`| head`). */
  unread?: Promise<void>;
  /** Milliseconds. */
  now(): number;
  /** Waits so many milliseconds, or until it is called off. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

/** The real world. The second signal ends the process at once: the first may be stuck on something. */
export function processIo(now: () => number): Io & { written(): Promise<void> } {
  const streams = [process.stdout, process.stderr].map(writer);
  const [out, err] = streams as [Writer, Writer];
  return {
    env: process.env,
    cwd: process.cwd(),
    out: out.write,
    err: err.write,
    unread: out.unread,
    async written() {
      await Promise.all(streams.map(({ written }) => written()));
    },
    columns: process.stdout.isTTY ? process.stdout.columns || 80 : undefined,
    interactive: process.stdin.isTTY === true,
    async ask(question) {
      const prompt = createInterface({ input: process.stdin, output: process.stderr });
      try {
        return await prompt.question(question);
      } finally {
        prompt.close();
      }
    },
    async input() {
      let text = '';
      for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
      return text;
    },
    terminated: () =>
      new Promise((resolve) => {
        let first: number | undefined;
        const heard = (signal: NodeJS.Signals) => {
          // npm passes on the Ctrl-C that the terminal has sent us already: that is one wish, not two
          if (first !== undefined && now() - first > 200) process.exit(signal === 'SIGINT' ? 130 : 143);
          first ??= now();
          resolve();
        };
        process.on('SIGTERM', heard).on('SIGINT', heard);
      }),
    now,
    pause: (ms, signal) => setTimeout(ms, undefined, { signal }).catch(() => undefined),
  };
}

interface Writer {
  write(text: string): void;
  /** Resolves when its reader has gone. */
  unread: Promise<void>;
  /** Resolves when all of it was handed over, or its reader has gone. */
  written(): Promise<void>;
}

/**
 * A reader that has enough closes the pipe: nothing goes there from then on. What was asked for is done all the same, and ends with its own code: half
 * of a change, or a failure that looks like success, would be worse than words that nobody reads.
 */
function writer(stream: NodeJS.WriteStream): Writer {
  let closed = false;
  const unread = new Promise<void>((resolve) => {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      closed = true;
      resolve();
    });
  });
  return {
    write(text) {
      if (!closed) stream.write(text);
    },
    unread,
    written: () => (closed ? Promise.resolve() : new Promise((resolve) => stream.write('', () => resolve()))),
  };
}

/**
 * Asks before something ends. With nobody to ask it never waits: it is refused with what to add.
 * @throws CliError when there is nobody, or they said no
 */
export async function confirm(io: Io, what: string, yes: boolean): Promise<void> {
  if (yes) return;
  if (!io.interactive) {
    throw new CliError('usage', `${what} Nobody is at the terminal to say yes.`, { hint: 'Add --yes if you mean it.' });
  }
  const answer = await io.ask(`${what} Type yes to go on: `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('failed', 'Left as it was.');
}
