import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fakeClock } from '../lib/clock.ts';
import type { Database, DialectName } from '../store/database.ts';
import { migrate } from '../store/migrate.ts';
import { openDatabase } from '../store/open.ts';
import { testEpoch } from './harness.ts';
import { testPostgres } from './postgres.ts';
import { layTemplate, postgresTemplate } from './templates.ts';

/** A database without a server, as nodes open it. */
export interface TestDatabase {
  db: Database;
  /** Where SQLite has its file. */
  data: string;
  /** Opens it once more, as another node does. */
  open(): Promise<Database>;
  /** Closes every opening of it, and removes it. */
  close(): Promise<void>;
}

/** @param options.migrated whether its tables are made */
export async function testDatabase(dialect: DialectName, { migrated = true } = {}): Promise<TestDatabase> {
  const data = mkdtempSync(path.join(tmpdir(), 'bailiwick-database-'));
  const postgres = dialect === 'postgres' ? await testPostgres(migrated ? postgresTemplate() : undefined) : undefined;
  if (migrated) layTemplate(data);
  const opened: Database[] = [];
  const open = async () => {
    const db = await openDatabase({ data, database_url: postgres?.url }, { onError: () => undefined });
    opened.push(db);
    return db;
  };
  const db = await open();
  if (migrated) await migrate({ db, clock: fakeClock(testEpoch) });
  return {
    db,
    data,
    open,
    async close() {
      for (const one of opened) await one.close();
      await postgres?.drop();
      rmSync(data, { recursive: true });
    },
  };
}
