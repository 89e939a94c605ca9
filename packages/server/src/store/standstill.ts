import { randomBytes } from 'node:crypto';
import type { Tx } from './database.ts';

/** Why a database takes no writes just now, where that will pass: no space is left, or it can't be reached. */
export type Standstill = 'full' | 'away';

/** Primary result codes of SQLite. @see https://www.sqlite.org/rescode.html */
const sqliteFull = 13;
const sqliteIoError = 10;

const awayCodes: ReadonlySet<string> = new Set([
  '57P01', // PostgreSQL is being shut down
  '57P02',
  '57P03', // … or starts
  '53300', // too many connections
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
]);

/** What a failed write says of the database; undefined where the fault is another. */
export function standstillOf(error: unknown): Standstill | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, errcode } = error as Error & { code?: string; errcode?: number };
  if (errcode !== undefined) {
    const primary = errcode & 0xff;
    return primary === sqliteFull ? 'full' : primary === sqliteIoError ? 'away' : undefined;
  }
  if (code === '53100') return 'full'; // disk_full
  if (code !== undefined && (awayCodes.has(code) || code.startsWith('08'))) return 'away';
  // what pg and our own writer say of a connection that is gone has no code
  return code === undefined && /^(Connection terminated|the connection to PostgreSQL was lost)/.test(error.message)
    ? 'away'
    : undefined;
}

const triedBytes = 256 * 1024;

/** Writes something large and takes it away again: a small row finds room on a page that is there, and in a log that is written anew from its start. */
export async function tryWriting(
  settle: <Result>(work: (tx: Tx) => Promise<Result>) => Promise<Result>,
): Promise<void> {
  const content = randomBytes(triedBytes).toString('base64');
  const id = content.slice(0, 24);
  await settle((tx) => tx.run('insert into write_tries (id, content) values (?, ?)', [id, content]));
  await settle((tx) => tx.run('delete from write_tries where id = ?', [id]));
}
