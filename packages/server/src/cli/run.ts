/** From what was typed to an exit code. Everything that goes wrong ends here as a sentence; a stack trace never does. */
import { ConfigError } from '../config.ts';
import type { Command, Context } from './command.ts';
import { CliError, exitCodes } from './errors.ts';
import { help } from './help.ts';
import type { Io } from './io.ts';
import { painter, printable } from './output.ts';
import { parse } from './parse.ts';
import { version } from './version.ts';

/**
 * Runs one command line.
 * @param argv what stands behind the program's name
 * @returns the exit code (errors.ts); it never throws
 */
export async function run(commands: readonly Command[], argv: readonly string[], io: Io): Promise<number> {
  try {
    const parsed = parse(commands, argv);
    switch (parsed.what) {
      case 'version':
        io.out(`${version}\n`);
        return 0;
      case 'help':
        io.out(`${help(io, commands, parsed.topic)}\n`);
        return 0;
      case 'group':
        io.err(`${help(io, commands, parsed.group)}\n`);
        return exitCodes.usage.code;
      case 'command': {
        const context: Context = { io, globals: parsed.globals };
        return await parsed.command.run(context, parsed.args, parsed.options);
      }
    }
  } catch (error) {
    return report(io, error, argv.includes('--json'));
  }
}

function report(io: Io, error: unknown, json: boolean): number {
  const failure = asCliError(error);
  if (json) {
    const { reason, message, hint, details, refusal } = failure;
    const body = { code: reason, message, hint, details, ...refusal };
    io.err(`${JSON.stringify({ error: body })}\n`);
  } else {
    const paint = painter(io);
    const lines = failure.message.split('\n').map(printable);
    const details = failure.details.map((detail) => `  - ${printable(detail)}`);
    const hint = failure.hint === undefined ? [] : [failure.hint];
    io.err(`${[...lines.map((line) => paint('red', line)), ...details, ...hint].join('\n')}\n`);
  }
  return exitCodes[failure.reason].code;
}

function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof ConfigError) {
    if (error.problems.length === 1) return new CliError('usage', error.message);
    return new CliError('usage', 'The configuration has mistakes:', { details: error.problems });
  }
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  if (typeof code === 'string' && typeof path === 'string') {
    const why = fileProblems[code] ?? `${syscall ?? 'it'} failed with ${code}`;
    return new CliError('failed', `${path}: ${why}.`);
  }
  return new CliError('failed', `Something unexpected went wrong: ${error instanceof Error ? error.message : error}`, {
    hint: 'If you can repeat it, it is a mistake of ours: please report it with the command and this sentence.',
  });
}

const fileProblems: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'you may not read or write it',
  EPERM: 'you may not read or write it',
  EEXIST: 'it exists already',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is no folder',
  ENOSPC: 'the disk is full',
  EROFS: 'it lies on a read-only file system',
};
