import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/**
 * Holds the data folder for one server. Two on one SQLite would not lose anything, but each would think that the issuer
 * is its own. The lock is the operating system's, through SQLite: it ends with the process, however that ends.
 *
 * @returns what lets go of it
 * @throws Error with a sentence when another server holds it
 */
export function lockData(folder: string): () => void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, 'server.lock');
  closeSync(openSync(file, 'a', 0o600));
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    lock.exec('pragma locking_mode = exclusive');
    lock.exec('begin exclusive');
  } catch (error) {
    lock.close();
    if ((error as { errcode?: number }).errcode !== 5) throw error;
    throw new Error(
      `another server is running on the data in ${folder}: stop it, or give this one a folder of its own (BAILIWICK_DATA)`,
    );
  }
  return () => lock.close();
}
