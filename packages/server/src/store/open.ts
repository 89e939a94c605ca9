import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Database } from './database.ts';
import { openSqlite } from './sqlite.ts';

/**
 * Opens the database that the configuration names: PostgreSQL by its URL, else SQLite in the data folder, which is
 * made if it isn't there.
 * @throws Error when it can't be opened or isn't durable
 */
export async function openDatabase(
  config: { data: string; database_url?: string | undefined },
  options: { onError: (error: Error) => void },
): Promise<Database> {
  mkdirSync(config.data, { recursive: true, mode: 0o700 });
  if (config.database_url) {
    const { openPostgres } = await import('./postgres.ts'); // loaded here: a server on SQLite needn't wait for it
    return openPostgres(config.database_url, options);
  }
  return openSqlite(join(config.data, 'bailiwick.db'));
}
