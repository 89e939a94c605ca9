/** Key files: `{issuer, client_id, jwk}`, readable by their owner alone. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { generateJwk, type JwsAlgorithm, jwsAlgorithms, type PrivateJwk } from '@bailiwick/protocol';
import { z } from 'zod';
import { ConfigError, loadConfig } from '../config.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';

export const jwkSchema = z.looseObject({ kty: z.string() });
const identitySchema = z.object({
  issuer: z.string().refine((issuer) => /^https?:$/.test(URL.parse(issuer)?.protocol ?? '')),
  client_id: z.string().min(1),
  jwk: jwkSchema.extend({ d: z.string() }),
});

/** Who the command acts as. Holds a private key: never show it whole. */
export interface Identity {
  issuer: string;
  client_id: string;
  jwk: PrivateJwk;
}

/** The configuration as this command line sees it. */
export function configOf({ io, globals }: Context) {
  return loadConfig({ env: io.env, cwd: io.cwd, file: globals.config });
}

/** The key file that was named, by --identity or BAILIWICK_IDENTITY. */
export function namedIdentity({ globals, io }: Context): string | undefined {
  return globals.identity ?? (io.env.BAILIWICK_IDENTITY || undefined);
}

/** Where the identity that a command acts with stands: --identity, BAILIWICK_IDENTITY, or the operator's file. */
export function identityFile(context: Context): { file: string; named: boolean } {
  const named = namedIdentity(context);
  if (named !== undefined) return { file: path.resolve(context.io.cwd, named), named: true };
  return { file: path.join(configOf(context).data, 'operator.json'), named: false };
}

/** The issuer that the data is known by, as its operator's file says it. */
export function issuerOfData(data: string): string | undefined {
  try {
    const { issuer } = JSON.parse(readFileSync(path.join(data, 'operator.json'), 'utf8')) as { issuer?: unknown };
    return typeof issuer === 'string' ? issuer : undefined;
  } catch {
    return undefined; // a first start, or the file is kept elsewhere
  }
}

/**
 * What to do when the server of a key file isn't where the file says: the server whose data is here may be known by
 * another address by now.
 */
export function movedHint(context: Context, { issuer }: { issuer: string }): string {
  const { file } = identityFile(context);
  const here = issuerHere(context);
  if (here !== undefined && here !== issuer) {
    return `${file} names ${issuer}, and the server whose data is here is known as ${here}: if that one is meant, write it into the file as its "issuer".`;
  }
  return `If the server has moved to another address, write that into ${file} as its "issuer".`;
}

function issuerHere(context: Context): string | undefined {
  try {
    return issuerOfData(configOf(context).data);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/**
 * Reads the identity that the command acts with.
 * @throws CliError that says where a key file was looked for and how to name another
 */
export function readIdentity(context: Context): Identity {
  const { file, named } = identityFile(context);
  const text = readText(file, () =>
    named
      ? 'Look at --identity and BAILIWICK_IDENTITY.'
      : 'Start the server here once with `bailiwick serve`, or run this where its data folder is, or name that folder with BAILIWICK_DATA, or a key file with --identity FILE.',
  );
  const parsed = identitySchema.safeParse(asJson(text));
  if (!parsed.success) {
    throw new CliError('usage', `${file} is not a key file: it must be JSON with issuer, client_id and jwk.`, {
      hint: 'Key files are written by the server (operator.json) and by `bailiwick agents create NAME --key-out FILE`.',
    });
  }
  return parsed.data as Identity;
}

/** @throws CliError when it is not there or not ours to read; `what` is what it should have been */
export function readText(file: string, hint: () => string, what = 'key file'): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw new CliError('usage', `There is no ${what} at ${file}.`, { hint: hint() });
    if (code === 'EACCES') {
      throw new CliError('usage', `You may not read the ${what} ${file}.`, {
        hint: 'Run this as the user whose file it is, or name another with --identity FILE.',
      });
    }
    throw error;
  }
}

/** The JSON value of a text, or undefined. */
export function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the parser's own message would quote the file, which holds a private key
  }
}

/**
 * A new key pair. The private half belongs into a file (`writeIdentity`), the public half to the server.
 * @throws CliError for an algorithm that we don't have
 */
export async function newKey(alg: string = 'ES256'): Promise<PrivateJwk> {
  if (!(jwsAlgorithms as readonly string[]).includes(alg)) {
    throw new CliError('usage', `There is no algorithm ${alg}.`, {
      hint: `It must be one of ${jwsAlgorithms.join(', ')}.`,
    });
  }
  return generateJwk(alg as JwsAlgorithm);
}

/** A key file that is reserved before the server is asked, so that no credential is made whose key can't be kept. */
export interface ReservedFile {
  file: string;
  write(identity: Identity): void;
  /** Gives the name back after a failure. */
  abandon(): void;
}

/**
 * Makes an empty file that only its owner can read.
 * @throws CliError when it exists: a key is never overwritten
 */
export function reserveKeyFile(context: Context, name: string): ReservedFile {
  const file = path.resolve(context.io.cwd, name);
  let descriptor: number;
  try {
    descriptor = openSync(file, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new CliError('conflict', `${file} exists already, and a key is never overwritten.`, {
      hint: 'Choose another --key-out, or move the old file away.',
    });
  }
  return {
    file,
    write(identity) {
      writeFileSync(descriptor, `${JSON.stringify(identity, null, 2)}\n`);
      fsyncSync(descriptor);
      closeSync(descriptor);
    },
    abandon() {
      closeSync(descriptor);
      rmSync(file, { force: true });
    },
  };
}

/** A successor of a key file, written beside it until it is known to work. */
export interface Successor {
  /** Puts it in the place of the old one, whole or not at all. */
  replace(): void;
  abandon(): void;
}

/** Writes the file that will replace `file`, on disk before this returns. */
export function writeSuccessor(file: string, identity: Identity): Successor {
  const fresh = `${file}.new`;
  rmSync(fresh, { force: true }); // left over from a rotation that was cut off: its key was ended, or never used
  const descriptor = openSync(fresh, 'wx', 0o600);
  try {
    writeFileSync(descriptor, `${JSON.stringify(identity, null, 2)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return {
    replace: () => renameSync(fresh, file),
    abandon: () => rmSync(fresh, { force: true }),
  };
}
