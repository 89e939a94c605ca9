import type { Kysely } from 'kysely';
import type { Standstill } from './standstill.ts';
import type { Tables } from './tables.ts';

/** What a column can hold on both databases: text, whole numbers (booleans are 0 and 1), and nothing. */
export type Value = string | number | null;

export type DialectName = 'sqlite' | 'postgres';

/**
 * What can be asked of a database or of a transaction. SQL is the portable subset of SQLite and PostgreSQL with `?`
 * placeholders; its text must be a constant, since statements are prepared once and kept. What is put together at
 * run time (filters, pages) goes through `kysely`, which runs on the same connection.
 */
export interface Queries {
  readonly dialect: DialectName;
  readonly kysely: Kysely<Tables>;
  /** The first row, if any. */
  get<Row>(sql: string, params?: readonly Value[]): Promise<Row | undefined>;
  /** Every row. */
  all<Row>(sql: string, params?: readonly Value[]): Promise<Row[]>;
  /** Runs a statement and answers how many rows it changed. */
  run(sql: string, params?: readonly Value[]): Promise<number>;
}

/** A transaction in progress. It is only valid inside the function that it was given to. */
export interface Tx extends Queries {
  readonly inTransaction: true;
  /** Runs once the transaction is durable, and not at all if it isn't committed. It must not throw. */
  afterCommit(work: () => void): void;
  /** Tells every node that listens to `topic`, this one included, once the transaction is durable. At most 4 KB; equal notices of one transaction may arrive as one. */
  notify(topic: string, payload: string): Promise<void>;
}

export interface Database extends Queries {
  /**
   * Runs `work` alone among registry writes, holding the liveness lock exclusively, so that revocation numbers
   * follow the order of commits (design §4). Durable when it resolves; nothing of it remains when it rejects.
   * Inside, await nothing but `tx`.
   */
  transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result>;
  /**
   * Runs `work` in a transaction that it shares with whatever else is settled at this moment
   * (group commit), holding the liveness lock shared. Durable when it resolves; nothing of it remains when it
   * rejects. It may run more than once, after a rollback: it must change nothing but the database. Inside, await nothing
   * but `tx`.
   * @param alone among settlements that name the same: for what is counted before it is inserted
   */
  settle<Result>(work: (tx: Tx) => Promise<Result>, alone?: string): Promise<Result>;
  /**
   * Hears what is notified under `topic` on any node. Undefined says that notices may have been missed (the connection to the database was lost):
   * look anew. Notices are for speed: whatever must not be missed is read from the tables. The returned function ends it.
   */
  listen(topic: string, hear: (payload: string | undefined) => void): () => void;
  /** Why a write failed lately, if that is a reason for which the next one will too: nothing can be issued then. */
  standstill(): Standstill | undefined;
  /**
   * Finds out whether a standstill is over, by writing more than finds room in what is there already.
   * @throws whatever writing throws, while it isn't over
   */
  tryWriting(): Promise<void>;
  /** What the database says of its durability, for `doctor`, `/readyz` and benchmarks. */
  durability(): Promise<Record<string, string>>;
  /** Makes what was overwritten disappear from the files, as far as the database lets us: on PostgreSQL `vacuum full` does that. */
  dropOverwritten(): Promise<void>;
  /** Waits for what is under way, then closes. */
  close(): Promise<void>;
}

/** Whether an error says that a row with this unique value exists already. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, errcode } = error as Error & { code?: string; errcode?: number };
  return code === '23505' || errcode === 2067 || errcode === 1555;
}
