/**
 * Databases whose tables are made already, to be copied: making them is a third of what a server's first start takes. A run of many test files makes
 * them once and hands them on; where nobody did, each server makes its tables itself, as it does for its users.
 */
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { systemClock } from '../lib/clock.ts';
import { migrate } from '../store/migrate.ts';
import { openDatabase } from '../store/open.ts';
import { createDatabase } from './postgres.ts';

/** Names the folder of SQLite's template to the files of a run. */
const folderVariable = 'BAILIWICK_TEST_SQLITE_TEMPLATE';
/** Names the template on the PostgreSQL that the files share. */
const nameVariable = 'BAILIWICK_TEST_POSTGRES_TEMPLATE';

const file = 'bailiwick.db';

/**
 * Makes the templates of a run.
 * @param folder an empty one, for SQLite's
 * @param server a PostgreSQL that goes when the run is over
 * @returns the variables that hand them on
 */
export async function makeTemplates(folder: string, server?: { url: string }): Promise<Record<string, string>> {
  await make({ data: folder });
  if (!server) return { [folderVariable]: folder };
  const name = 'bailiwick_template';
  await make({ data: folder, database_url: await createDatabase(server.url, name) });
  return { [folderVariable]: folder, [nameVariable]: name };
}

async function make(where: { data: string; database_url?: string }): Promise<void> {
  const db = await openDatabase(where, { onError: () => undefined });
  await migrate({ db, clock: systemClock });
  await db.close();
}

/** What {@link createDatabase} copies. */
export const postgresTemplate = (): string | undefined => process.env[nameVariable];

/** Lays SQLite's template, if there is one, into an empty data folder. */
export function layTemplate(data: string): void {
  const folder = process.env[folderVariable];
  if (folder !== undefined) copyFileSync(path.join(folder, file), path.join(data, file));
}
