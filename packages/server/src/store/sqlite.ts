import { chmodSync, closeSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Database, Queries, Tx, Value } from './database.ts';
import { groupCommit } from './group-commit.ts';
import { kyselyOver } from './kysely.ts';
import { newListeners } from './listeners.ts';
import { tryWriting } from './standstill.ts';

const preparedAtMost = 256;

/**
 * Opens SQLite durably: WAL with `synchronous=FULL`, read back and checked. One connection writes, another reads, so
 * that nobody sees what is not committed.
 *
 * @param file path of the database; made with mode 0600, since it holds the signing keys
 * @throws Error when the file can't be opened or the settings don't hold
 */
export function openSqlite(file: string): Database {
  closeSync(openSync(file, 'a', 0o600));
  chmodSync(file, 0o600);
  const writer = open(file);
  const reader = open(file, true);
  const write = queriesOver(writer);
  const listeners = newListeners();
  const afterCommit: (() => void)[] = [];
  const { statement: prepared, ...read } = queriesOver(reader);
  const turn = onceATurn((sql) => prepared(sql).get());
  const tx: Tx = {
    ...write,
    inTransaction: true,
    afterCommit: (work) => void afterCommit.push(work),
    notify: async (topic, payload) => void afterCommit.push(() => listeners.tell(topic, payload)),
  };
  const commits = groupCommit([
    {
      tx,
      afterCommit,
      exec: async (sql) => {
        write.statement(sql).run();
        turn.over();
      },
      begin: ['begin immediate'], // the single writer is the liveness lock
      retriable: () => false,
      rest: async () => {},
    },
  ]);
  return {
    ...read,
    async get<Row>(sql: string, params: readonly Value[] = []) {
      return params.length === 0 ? (turn.get(sql) as Row | undefined) : read.get<Row>(sql, params);
    },
    settle: commits.settle,
    transaction: (work) => commits.settle(work),
    listen: listeners.listen,
    standstill: commits.standstill,
    async tryWriting() {
      await tryWriting(commits.settle);
      commits.works();
    },
    async durability() {
      return durabilityOf(writer);
    },
    async dropOverwritten() {
      await commits.drained();
      writer.exec('pragma wal_checkpoint(truncate)');
    },
    async close() {
      await commits.drained();
      reader.close();
      writer.close();
    },
  };
}

/**
 * Reads what has no parameters (the counter, as of which every request is answered) once for all requests of one turn of the event loop, as long as nothing
 * is committed: looking whether somebody else has written costs more than the row.
 */
function onceATurn(read: (sql: string) => unknown) {
  let rows = new Map<string, unknown>();
  const over = () => {
    if (rows.size > 0) rows = new Map();
  };
  return {
    get(sql: string): unknown {
      if (!rows.has(sql)) {
        if (rows.size === 0) setImmediate(over);
        rows.set(sql, read(sql));
      }
      return rows.get(sql);
    },
    over,
  };
}

function open(file: string, readOnly = false): DatabaseSync {
  const connection = new DatabaseSync(file, { timeout: 10_000, readOnly });
  connection.exec('pragma cache_size = -65536'); // 64 MiB at most: what is spent and indexed changes all over the place
  if (!readOnly) {
    connection.exec('pragma journal_mode = wal');
    connection.exec('pragma synchronous = full');
    connection.exec('pragma foreign_keys = on');
    connection.exec('pragma wal_autocheckpoint = 8000'); // pages that change with every token are copied back more rarely
    connection.exec('pragma secure_delete = on'); // what is erased leaves no copy in free pages
    const found = durabilityOf(connection);
    if (found.journal_mode !== 'wal' || found.synchronous !== 'full') {
      throw new Error(`SQLite is not durable here: ${JSON.stringify(found)}; move the data to a local disk`);
    }
  }
  return connection;
}

function durabilityOf(connection: DatabaseSync): Record<string, string> {
  const mode = connection.prepare('pragma journal_mode').get() as { journal_mode: string };
  const level = connection.prepare('pragma synchronous').get() as { synchronous: number };
  const names = ['off', 'normal', 'full', 'extra'];
  return { database: 'sqlite', journal_mode: mode.journal_mode, synchronous: names[level.synchronous] ?? 'unknown' };
}

function queriesOver(connection: DatabaseSync): Queries & { statement: (sql: string) => StatementSync } {
  const prepared = new Map<string, StatementSync>();
  const statement = (sql: string): StatementSync => {
    let found = prepared.get(sql);
    if (!found) {
      if (prepared.size >= preparedAtMost) prepared.clear();
      found = connection.prepare(sql);
      prepared.set(sql, found);
    }
    return found;
  };
  const none: Value[] = [];
  return {
    dialect: 'sqlite',
    statement,
    kysely: kyselyOver('sqlite', async (sql, params) => {
      const found = statement(sql);
      if (found.columns().length > 0) return { rows: found.all(...params), changed: 0 };
      return { rows: [], changed: Number(found.run(...params).changes) };
    }),
    async get<Row>(sql: string, params: readonly Value[] = none) {
      return statement(sql).get(...params) as Row | undefined;
    },
    async all<Row>(sql: string, params: readonly Value[] = none) {
      return statement(sql).all(...params) as Row[];
    },
    async run(sql, params = none) {
      return Number(statement(sql).run(...params).changes);
    },
  };
}
