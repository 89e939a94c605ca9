import { chmod, unlink } from 'node:fs/promises';

/**
 * Holds a file for this process: the lock is the operating system's, through SQLite, and ends with the process, however that ends.
 * @returns undefined if somebody else holds it
 */
export async function lockFile(file: string): Promise<Lock | undefined> {
  const { DatabaseSync } = await import('node:sqlite'); // not before: whoever keeps reports in memory needs none
  const held = new DatabaseSync(file, { timeout: 0 });
  try {
    held.exec('pragma journal_mode = memory'); // nothing is written to it: no second file
    held.exec('pragma locking_mode = exclusive');
    held.exec('begin exclusive');
    await chmod(file, 0o600);
  } catch (error) {
    held.close();
    if ((error as { errcode?: number }).errcode === 5) return undefined;
    throw error;
  }
  return {
    release: () => held.close(),
    async remove() {
      await unlink(file).catch(() => {});
      held.close();
    },
  };
}

export interface Lock {
  release(): void;
  /** Lets go of it, and of its file. */
  remove(): Promise<void>;
}
