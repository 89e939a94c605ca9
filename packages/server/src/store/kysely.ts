import { createRequire } from 'node:module';
import type { CompiledQuery, DatabaseConnection, Dialect, Kysely, QueryResult } from 'kysely';
import type { DialectName, Value } from './database.ts';
import type { Tables } from './tables.ts';

/** Runs one compiled statement in the database's own placeholder style; `changed` counts rows where it answers none. */
export type Execute = (sql: string, params: readonly Value[]) => Promise<{ rows: unknown[]; changed: number }>;

/**
 * Kysely as a builder of queries over a connection that we hold ourselves: transactions are ours (`Database`), so a
 * builder inside of one can't escape it. It is made, and Kysely loaded, at the first query: its 250 modules are a third of
 * the time that a server takes to start, and the road of a token needs none of them.
 */
export function kyselyOver(dialect: DialectName, execute: Execute): Kysely<Tables> {
  let made: Kysely<Tables> | undefined;
  return new Proxy({} as Kysely<Tables>, {
    get(_, name) {
      made ??= makeKysely(dialect, execute);
      const member: unknown = Reflect.get(made, name);
      return typeof member === 'function' ? member.bind(made) : member;
    },
  });
}

function makeKysely(dialectName: DialectName, execute: Execute): Kysely<Tables> {
  const kysely = createRequire(import.meta.url)('kysely') as typeof import('kysely');
  const connection: DatabaseConnection = {
    async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
      const { rows, changed } = await execute(query.sql, query.parameters as Value[]);
      return { rows: rows as Row[], numAffectedRows: BigInt(changed) };
    },
    streamQuery() {
      throw new Error('streaming is not offered: page by cursor instead');
    },
  };
  const refuse = async () => {
    throw new Error('use Database.transaction or Database.settle');
  };
  const sqlite = dialectName === 'sqlite';
  const dialect: Dialect = {
    createAdapter: () => (sqlite ? new kysely.SqliteAdapter() : new kysely.PostgresAdapter()),
    createIntrospector: (db) => (sqlite ? new kysely.SqliteIntrospector(db) : new kysely.PostgresIntrospector(db)),
    createQueryCompiler: () => (sqlite ? new kysely.SqliteQueryCompiler() : new kysely.PostgresQueryCompiler()),
    createDriver: () => ({
      init: async () => undefined,
      acquireConnection: async () => connection,
      releaseConnection: async () => undefined,
      beginTransaction: refuse,
      commitTransaction: refuse,
      rollbackTransaction: refuse,
      destroy: async () => undefined,
    }),
  };
  return new kysely.Kysely<Tables>({ dialect });
}
