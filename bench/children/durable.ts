// The server as it is by default, on SQLite on a real disk: what a bench of ours is run against.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../packages/server/src/lib/clock.ts';
import { startServer, type TestServer, type TestServerOptions } from '../../packages/server/src/testing/harness.ts';

// beside the sources and not in the system's temporary folder, which may be memory, where durability costs nothing
const scratch = fileURLToPath(new URL('../.tmp/', import.meta.url));

export interface DurableServer {
  server: TestServer;
  /** How durable it is, in words; asserted before anybody hears of it. */
  durability: string;
  close(): Promise<void>;
}

/** Starts it with limits that are checked, and never reached. */
export async function startDurable(config: TestServerOptions['config'] = {}): Promise<DurableServer> {
  mkdirSync(scratch, { recursive: true });
  const data = mkdtempSync(join(scratch, 'data-'));
  const server = await startServer({
    clock: { ...systemClock, advance: () => {} },
    config: { data, limits: { tokens_per_minute: 1_000_000 }, ...config },
  });
  const { database, journal_mode, synchronous } = (await server.deps.db.durability()) as Record<string, string>;
  assert.deepEqual([database, journal_mode, synchronous], ['sqlite', 'wal', 'full']);
  return {
    server,
    durability: `${database}, journal_mode=${journal_mode}, synchronous=${synchronous}`,
    async close() {
      await server.close();
      rmSync(data, { recursive: true, force: true });
    },
  };
}
