import { createHash } from 'node:crypto';
import pg from 'pg';
import { systemClock } from '../lib/clock.ts';
import { systemRandom } from '../lib/random.ts';
import type { Database, Queries, Value } from './database.ts';
import { groupCommit, type Writer } from './group-commit.ts';
import { kyselyOver } from './kysely.ts';
import { noticeOf, noticesChannel, notifyStatement, postgresNotices } from './postgres-notices.ts';
import { tryWriting } from './standstill.ts';

/** Any number that nothing else in the same database uses: "bailiwick" on a telephone's keys. */
const livenessLock = 224549425;
/** Who lost a deadlock leaves the others about so long (ms) before it comes again. */
const restMs = 25;
const random = systemRandom();
const anyPart = () => (random.bytes(1)[0] as number) / 256;

/** The first of two numbers, where settlements want to be alone among their like. */
const settlementLocks = 8455;
const writersPerNode = 3;

/**
 * Opens PostgreSQL (or what speaks its protocol) durably: `fsync` and `synchronous_commit` are checked. Settlements
 * go through a few connections of their own, in groups; everything else through a pool.
 *
 * @param url `postgres://user:password@host/database`
 * @throws Error when the server can't be reached or isn't durable
 */
export async function openPostgres(url: string, options: { onError: (error: Error) => void }): Promise<Database> {
  const pool = new pg.Pool({
    connectionString: url,
    max: 10,
    application_name: 'bailiwick',
    types: { getTypeParser: parserFor as typeof pg.types.getTypeParser },
    // a settlement never waits for anything but the database: who idles inside a transaction has died
    options: '-c synchronous_commit=on -c idle_in_transaction_session_timeout=30000 -c lock_timeout=10000',
  });
  pool.on('error', options.onError); // an idle connection that breaks is replaced at the next use
  try {
    const found = await durabilityOf(pool);
    if (found.fsync !== 'on' || found.synchronous_commit !== 'on') {
      throw new Error(`PostgreSQL is not durable: ${JSON.stringify(found)}; set fsync and synchronous_commit to on`);
    }
  } catch (error) {
    await pool.end();
    throw error;
  }
  const shared = `select pg_advisory_xact_lock_shared(${livenessLock})`;
  const exclusive = `select pg_advisory_xact_lock(${livenessLock})`; // a statement of its own, before any check
  const writers = Array.from({ length: writersPerNode }, () => reconnectingWriter(pool, shared));
  const registryWriter = reconnectingWriter(pool, exclusive);
  const settlements = groupCommit(writers);
  const registryWrites = groupCommit([registryWriter]);
  const notices = postgresNotices(url, options.onError);
  return {
    ...queriesOver(pool),
    settle: settlements.settle,
    transaction: (work) => registryWrites.settle(work),
    listen: notices.listen,
    standstill: () => settlements.standstill() ?? registryWrites.standstill(),
    async tryWriting() {
      await tryWriting(settlements.settle);
      settlements.works();
      registryWrites.works();
    },
    durability: () => durabilityOf(pool),
    dropOverwritten: async () => {},
    async close() {
      await Promise.all([settlements.drained(), registryWrites.drained(), notices.close()]);
      for (const writer of [...writers, registryWriter]) writer.release();
      await pool.end();
    },
  };
}

/** A writer that takes its connection at the first use and another one after a failure. */
function reconnectingWriter(pool: pg.Pool, lock: string): Writer & { release(): void } {
  let client: pg.PoolClient | undefined;
  let broken = false;
  const target: Target = {
    async query(query: pg.QueryConfig) {
      if (!client) throw new Error('the connection to PostgreSQL was lost');
      return client.query(query);
    },
  };
  const drop = (error?: Error) => {
    client?.release(error ?? true);
    client = undefined;
  };
  const afterCommit: (() => void)[] = [];
  const queries = queriesOver(target);
  return {
    tx: {
      ...queries,
      inTransaction: true,
      afterCommit: (work) => void afterCommit.push(work),
      notify: async (topic, payload) =>
        void (await queries.get(notifyStatement, [noticesChannel, noticeOf(topic, payload)])),
    },
    afterCommit,
    begin: ['begin', lock],
    // the form with two numbers has a space of its own; two names of one number only wait for each other without need
    async lock(names) {
      const numbers = names.map((name) => createHash('sha256').update(name).digest().readInt32BE());
      for (const number of [...new Set(numbers)].sort((a, b) => a - b)) {
        await target.query({ text: `select pg_advisory_xact_lock(${settlementLocks}, $1)`, values: [number] });
      }
    },
    rest: (attempt) => new Promise((resolve) => systemClock.after(restMs * 2 ** attempt * (0.5 + anyPart()), resolve)),
    retriable: (error) => ['40P01', '40001'].includes((error as { code?: string }).code ?? ''),
    async exec(sql) {
      if (sql === 'begin') {
        if (broken) drop();
        broken = false;
        if (!client) {
          client = await pool.connect();
          client.on('error', () => {
            broken = true;
          });
        }
      }
      try {
        await target.query({ text: sql });
      } catch (error) {
        if (sql === 'rollback' || sql === 'commit' || sql === 'begin') broken = true;
        throw error;
      }
    },
    release: () => drop(),
  };
}

async function durabilityOf(pool: pg.Pool): Promise<Record<string, string>> {
  const { rows } = await pool.query(
    `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as synchronous_commit,
            current_setting('server_version') as version`,
  );
  return { database: 'postgres', ...rows[0] };
}

interface Target {
  query(query: pg.QueryConfig): Promise<pg.QueryResult>;
}

function queriesOver(target: Target): Queries {
  const named = async (sql: string, params: readonly Value[] = []) => {
    const { name, text } = translated(sql);
    return target.query({ name, text, values: [...params] });
  };
  return {
    dialect: 'postgres',
    kysely: kyselyOver('postgres', async (text, params) => {
      const result = await target.query({ text, values: [...params] });
      return { rows: result.rows, changed: result.rowCount ?? 0 };
    }),
    async get<Row>(sql: string, params?: readonly Value[]) {
      return (await named(sql, params)).rows[0] as Row | undefined;
    },
    async all<Row>(sql: string, params?: readonly Value[]) {
      return (await named(sql, params)).rows as Row[];
    },
    async run(sql, params) {
      return (await named(sql, params)).rowCount ?? 0;
    },
  };
}

const translations = new Map<string, { name: string; text: string }>();

/** `?` becomes `$1`, `$2` …; our statements are constants without `?` in literals, so each is translated once. */
function translated(sql: string): { name: string; text: string } {
  let found = translations.get(sql);
  if (!found) {
    let n = 0;
    const text = sql.replaceAll('?', () => `$${++n}`);
    found = { name: createHash('sha256').update(text).digest('hex').slice(0, 32), text };
    translations.set(sql, found);
  }
  return found;
}

/** `bigint` arrives as a number: all of ours are milliseconds and counters, far below 2^53. */
function parserFor(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === pg.types.builtins.INT8) return Number;
  return pg.types.getTypeParser(oid, format as 'text') as (value: string) => unknown;
}
