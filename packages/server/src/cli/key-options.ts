/** --key-out and --key: a key made here, or one that exists. Only the public half travels. */
import { type PublicJwk, publicJwk } from '@bailiwick/protocol';
import type { Context, OptionSpec } from './command.ts';
import { CliError } from './errors.ts';
import { newKey, reserveKeyFile } from './identity.ts';
import { keyIn } from './public-key.ts';

export const keyOptions = {
  'key-out': { value: 'FILE', description: 'Make a key pair, and write the private key file here (mode 0600).' },
  key: { value: 'FILE', description: 'Take the public half of the key in this file (a JWK, a key file, or PEM).' },
  alg: { value: 'ALG', description: 'The algorithm of the new key: ES256 (default), EdDSA, PS256 or RS256.' },
} as const satisfies Record<string, OptionSpec>;

export interface KeyChoice {
  /** The public half, or undefined when no key was named. */
  jwk: PublicJwk | undefined;
  /** Where the private half will be. */
  file: string | undefined;
  /** Where the private half is, as sentences. */
  words: readonly string[];
  /** Writes the private half, once it is known whose it is. */
  keep(identity: { issuer: string; client_id: string }): void;
  /** Gives the reserved file back and throws on. */
  abandon(error: unknown): never;
}

/**
 * What the options say. With --key-out the file is reserved at once, so that the server never knows of a key that
 * could not be kept.
 */
export async function keyFromOptions(
  context: Context,
  options: { 'key-out': string | undefined; key: string | undefined; alg: string | undefined },
): Promise<KeyChoice> {
  const { 'key-out': out, key, alg } = options;
  if (out !== undefined && key !== undefined) {
    throw new CliError('usage', '--key-out makes a key and --key takes one: only one of them can be meant.');
  }
  if (alg !== undefined && out === undefined)
    throw new CliError('usage', '--alg says how --key-out makes a key: add it.');
  if (out === undefined) {
    const { jwk, wasPrivate } = key === undefined ? { jwk: undefined, wasPrivate: false } : keyIn(context, key);
    const words = wasPrivate ? [`Only the public half of the key in ${key} was sent.`] : [];
    return { jwk, file: undefined, words, keep() {}, abandon: rethrow };
  }
  const pair = await newKey(alg);
  const reserved = reserveKeyFile(context, out);
  return {
    jwk: publicJwk(pair),
    file: reserved.file,
    words: [`Its private key is in ${reserved.file}, and nowhere else.`],
    keep: (identity) => reserved.write({ ...identity, jwk: pair }),
    abandon(error) {
      reserved.abandon();
      throw error;
    },
  };
}

function rethrow(error: unknown): never {
  throw error;
}
