import type { Clock } from '../lib/clock.ts';
import type { Database, DialectName } from './database.ts';
import { migrations } from './migrations/index.ts';

/** A numbered step forward; there are none back. Statements are portable, or made for the database that runs them. */
export interface Migration {
  number: number;
  name: string;
  statements: readonly string[] | ((dialect: DialectName) => readonly string[]);
}

/**
 * Brings the schema to this version of the program. Safe when several nodes start at once: each step is one
 * transaction under the exclusive lock, and a step that another node has taken meanwhile is passed over.
 *
 * @returns the names of the steps that were taken
 * @throws Error when the database was written by a newer version, whose tables this one doesn't know
 */
export async function migrate(deps: { db: Database; clock: Clock }): Promise<string[]> {
  const { db, clock } = deps;
  await db.transaction((tx) =>
    tx.run(
      'create table if not exists migrations (number bigint primary key, name text not null, applied_at bigint not null)',
    ),
  );
  const newest = await db.get<{ number: number | null }>('select max(number) as number from migrations');
  const known = migrations.at(-1)?.number ?? 0;
  if (newest?.number && newest.number > known) {
    throw new Error(`the database is at step ${newest.number}, this version knows ${known}: start the newer version`);
  }
  const taken: string[] = [];
  for (const step of migrations) {
    if (newest?.number && step.number <= newest.number) continue;
    await db.transaction(async (tx) => {
      const claimed = await tx.get(
        'insert into migrations (number, name, applied_at) values (?, ?, ?) on conflict do nothing returning number',
        [step.number, step.name, clock.now()],
      );
      if (!claimed) return;
      const statements = typeof step.statements === 'function' ? step.statements(db.dialect) : step.statements;
      for (const statement of statements) await tx.run(statement);
      taken.push(step.name);
    });
  }
  return taken;
}
