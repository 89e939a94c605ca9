import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type { DialectName, Value } from './database.ts';
import type { Tables } from './tables.ts';

/** Runs one compiled statement in the database's own placeholder style; `changed` counts rows where it answers none. */
export type Execute = (sql: string, params: readonly Value[]) => Promise<{ rows: unknown[]; changed: number }>;

/**
 * Kysely as a builder of queries over a connection that we hold ourselves: transactions are ours (`Database`), so a
 * builder inside of one can't escape it.
 */
export function kyselyOver(dialectName: DialectName, execute: Execute): Kysely<Tables> {
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
    createAdapter: () => (sqlite ? new SqliteAdapter() : new PostgresAdapter()),
    createIntrospector: (db) => (sqlite ? new SqliteIntrospector(db) : new PostgresIntrospector(db)),
    createQueryCompiler: () => (sqlite ? new SqliteQueryCompiler() : new PostgresQueryCompiler()),
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
  return new Kysely<Tables>({ dialect });
}
