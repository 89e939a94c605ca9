/** A whole server for a test: its own folder or database, its own time, a free port. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Agent, createAgent } from '@bailiwick/agent';
import type { JwsAlgorithm, PrivateJwk } from '@bailiwick/protocol';
import { type RunningServer, start } from '../app.ts';
import { type ConfigOverrides, loadConfig } from '../config.ts';
import type { Deps } from '../deps.ts';
import { type FakeClock, fakeClock } from '../lib/clock.ts';
import { type Logger, silentLogger } from '../lib/log.ts';
import type { Resolve } from '../lib/safe-fetch.ts';
import type { DialectName } from '../store/database.ts';
import { testPostgres } from './postgres.ts';
import { layTemplate, postgresTemplate } from './templates.ts';
import { holdAgainstVocabulary } from './vocabulary.ts';

/** Whatever is true of one database is true of the other: tests loop over both. */
export const databases: readonly DialectName[] =
  process.env.BAILIWICK_TEST_DATABASES === 'sqlite' ? ['sqlite'] : ['sqlite', 'postgres'];

/** A Sunday morning, far from any edge of a day or month. */
export const testEpoch = Date.UTC(2026, 10, 1, 9, 0, 0);

export interface TestServer {
  issuer: string;
  /** Where this very node listens; `issuer` but for a node that joins another. */
  address: string;
  /** The base of the endpoints at its listener for mutual TLS: `https://localhost:<port>`, and the issuer's path. */
  mtlsUrl: string;
  clock: FakeClock;
  deps: Deps;
  /** The first operator's key file. */
  operator: { issuer: string; client_id: string; jwk: PrivateJwk };
  /** The operator's own agent, on the test's clock. */
  agent: Agent;
  /** Calls the admin API as the operator and answers its JSON. @throws Error with status and body when it is refused */
  admin<Body = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<Body>;
  close(): Promise<void>;
}

export interface TestServerOptions {
  database?: DialectName;
  /** A second node on the database of another test server. */
  joins?: TestServer;
  config?: ConfigOverrides;
  clock?: FakeClock;
  log?: Logger;
  /** What signing keys are made for at the first start; a real one makes all four. */
  algorithms?: readonly JwsAlgorithm[];
  /** Whom names lead to when this server fetches something. */
  resolve?: Resolve;
}

const urls = new WeakMap<TestServer, { databaseUrl: string | undefined; data: string }>();

/** Starts a server. Close it, or its database stays. */
export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const joined = options.joins && urls.get(options.joins);
  const postgres = !joined && options.database === 'postgres' ? await testPostgres(postgresTemplate()) : undefined;
  const data = joined?.data ?? mkdtempSync(path.join(tmpdir(), 'bailiwick-test-'));
  const databaseUrl = joined?.databaseUrl ?? postgres?.url;
  const clock = options.clock ?? options.joins?.clock ?? fakeClock(testEpoch);
  const clean = async () => {
    if (joined) return;
    await postgres?.drop();
    rmSync(data, { recursive: true, force: true });
  };
  let running: RunningServer;
  try {
    if (!joined) layTemplate(data);
    const overrides: ConfigOverrides = {
      port: 0,
      host: ['127.0.0.1', '::1'],
      data,
      log_level: 'silent',
      shutdown_grace_seconds: 1,
      ...(databaseUrl !== undefined && { database_url: databaseUrl }),
      ...(options.joins && { issuer: options.joins.issuer }),
      ...options.config,
      mtls: { port: 0, ...options.config?.mtls },
    };
    running = await start(loadConfig({ cwd: data, overrides }), {
      clock,
      log: options.log ?? silentLogger,
      algorithms: options.algorithms ?? ['ES256'],
      alone: !joined,
      ...(options.resolve && { resolve: options.resolve }),
    });
  } catch (error) {
    await clean();
    throw error;
  }
  const operator = JSON.parse(readFileSync(running.operatorFile, 'utf8')) as TestServer['operator'];
  const { issuer } = running;
  const agent = createAgent({ issuer, clientId: operator.client_id, key: operator.jwk, now: clock.now });
  const server: TestServer = {
    issuer,
    address: running.addresses[0] as string,
    mtlsUrl: running.mtls?.url ?? '',
    clock,
    deps: running.deps,
    operator,
    agent,
    async admin<Body>(method: string, target: string, body?: unknown) {
      const response = await agent.fetch(`${issuer}/admin/v1${target}`, {
        method,
        ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${target}: ${response.status} ${text}`);
      return (text === '' ? undefined : JSON.parse(text)) as Body;
    },
    async close() {
      try {
        if (!joined) await holdAgainstVocabulary(running.deps.db);
      } finally {
        await running.close();
        await clean();
      }
    },
  };
  urls.set(server, { databaseUrl, data });
  return server;
}
