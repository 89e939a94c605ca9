/** The key from outside under which private keys and secrets lie encrypted in the database, and how what lay there before gets encrypted. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Config } from '../config.ts';
import { encryptionKeyOf } from '../config-values.ts';
import { type AtRest, encryptedAtRest, isEncrypted, plainAtRest } from '../lib/at-rest.ts';
import type { Random } from '../lib/random.ts';
import type { Database, Queries } from '../store/database.ts';
import { exporterSecretName, secretName, signalSecretName } from '../store/secrets.ts';
import { authorityName } from './authority.ts';
import { type AtRestTable, selectValues, updateValue } from './encryption-store.ts';
import { signingKeyName } from './keys.ts';

const commandTimeoutMs = 30_000;

/**
 * Gets the key from where the configuration says. Without one nothing is encrypted.
 * @throws Error with a sentence that says what to do; never with anything that may be the key
 */
export async function openEncryption(config: Pick<Config, 'key_encryption'>, random: Random): Promise<AtRest> {
  const { key, file, command } = config.key_encryption;
  const [text, from] =
    key !== undefined
      ? [key, 'key_encryption.key']
      : file !== undefined
        ? [await fromFile(file), `key_encryption.file (${file})`]
        : command !== undefined
          ? [await fromCommand(command), `key_encryption.command (${command[0]})`]
          : [undefined, ''];
  if (text === undefined) return plainAtRest;
  const bytes = encryptionKeyOf(text.trim());
  if (bytes === undefined) throw new Error(`${from} must give 32 bytes as base64url, base64 or hex, and nothing else.`);
  return encryptedAtRest(random, bytes);
}

async function fromFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`key_encryption.file can't be read: ${file} (${code}). Nothing starts without the key.`);
  }
}

async function fromCommand([program = '', ...args]: readonly string[]): Promise<string> {
  try {
    const options = { timeout: commandTimeoutMs, maxBuffer: 64 * 1024, encoding: 'utf8', shell: false } as const;
    return (await promisify(execFile)(program, args, options)).stdout;
  } catch (error) {
    // its message holds what the command wrote, and who knows what that is
    const { code, killed } = error as { code?: number | string; killed?: boolean };
    const how = killed ? `it took more than ${commandTimeoutMs / 1000} seconds` : `it ended with ${code}`;
    throw new Error(`key_encryption.command gave no key: ${program}: ${how}. Nothing starts without the key.`);
  }
}

/** How the key of an organization's canary is bound to its row. @see drills/canary.ts */
export const canaryKeyName = (org: string): string => `drill_canaries ${org}`;

const names: Readonly<Record<AtRestTable, (id: string) => string>> = {
  signing_keys: signingKeyName,
  authorities: authorityName,
  secrets: secretName,
  exporters: exporterSecretName,
  signal_secrets: signalSecretName,
  drill_canaries: canaryKeyName,
};
const tables = Object.keys(names) as AtRestTable[];

/**
 * Opens everything that lies encrypted, and encrypts what doesn't yet if there is a key for it: all of it or nothing.
 * @returns how many values were encrypted
 * @throws WrongKey when something can't be opened with this key, or with none
 */
export async function encryptAtRest(deps: { db: Database; encryption: AtRest }): Promise<number> {
  const { db, encryption } = deps;
  if ((await plainValues(db, encryption)).length === 0) return 0;
  return db.transaction(async (tx) => {
    const found = await plainValues(tx, encryption);
    for (const { table, id, text } of found) {
      await updateValue(tx, table, id, encryption.seal(names[table](id), text));
    }
    return found.length;
  });
}

/**
 * How many private keys and secrets lie plain, and how many encrypted, each of which is opened.
 * @throws WrongKey when something can't be opened with this key, or with none
 */
export async function countAtRest(q: Queries, encryption: AtRest): Promise<{ plain: number; sealed: number }> {
  const count = { plain: 0, sealed: 0 };
  for (const table of tables) {
    for (const { id, value } of await selectValues(q, table)) {
      encryption.open(names[table](id), value);
      count[isEncrypted(value) ? 'sealed' : 'plain'] += 1;
    }
  }
  return count;
}

/** What lies open and should not. Opens everything on the way. */
async function plainValues(q: Queries, encryption: AtRest) {
  const found: { table: AtRestTable; id: string; text: string }[] = [];
  for (const table of tables) {
    for (const { id, value } of await selectValues(q, table)) {
      const text = encryption.open(names[table](id), value);
      if (encryption.encrypted && !isEncrypted(value)) found.push({ table, id, text });
    }
  }
  return found;
}
