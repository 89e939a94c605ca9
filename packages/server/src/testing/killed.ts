/** Servers in a process of their own that a test kills and starts again. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createAgent } from '@bailiwick/agent';
import type { ConfigOverrides } from '../config.ts';
import { type FakeClock, systemClock } from '../lib/clock.ts';
import type { DialectName } from '../store/database.ts';
import { freePort } from './free-port.ts';
import { testPostgres } from './postgres.ts';
import { layTemplate, postgresTemplate } from './templates.ts';
import type { ServerForClients } from './token-client.ts';

const program = fileURLToPath(new URL('./killable.ts', import.meta.url));

/** Servers that end together. They are the same before and after: each comes up again at its port, with its data. */
export interface Killables {
  servers: ServerForClients[];
  /** Where their data lies. */
  folders: string[];
  /** Ends them as a power cut would, at once; waits until they are gone. */
  kill(): Promise<void>;
  startAgain(): Promise<void>;
  /** Kills them while they come up. @returns whether they weren't up yet */
  startAndKill(afterMs: number): Promise<boolean>;
}

export interface KillableOptions {
  /** How many in one process, each with its own data: most of what a death costs is to load the program. */
  together?: number;
  /** Whether the next process loads the program while this one is at work: for tests that start them many times. */
  spare?: boolean;
  config?: ConfigOverrides;
  /** A further node on the database of the first of these, which is PostgreSQL, in a process of its own. It is killed by itself. */
  joins?: Killables;
}

const configsOf = new WeakMap<Killables, readonly ConfigOverrides[]>();

/** One server as {@link killableServers} has them. */
export async function killableServer(t: TestContext, database: DialectName, config?: ConfigOverrides) {
  const killables = await killableServers(t, database, { config });
  const { servers, folders, ...rest } = killables;
  return { server: servers[0] as ServerForClients, folder: folders[0] as string, killables, ...rest };
}

/** Starts servers with fresh data in a process of their own. All of it is gone when the test is over. */
export async function killableServers(
  t: TestContext,
  database: DialectName,
  { together = 1, spare: hasSpare = false, config, joins }: KillableOptions = {},
): Promise<Killables> {
  const undo: (() => unknown)[] = [];
  t.after(async () => {
    for (const step of undo.toReversed()) await step();
  });
  const configs: ConfigOverrides[] = [];
  const joined = joins && configsOf.get(joins)?.[0];
  if (joined) configs.push({ ...joined, issuer: joins.servers[0]?.issuer, port: await freePort() });
  for (let n = configs.length; n < together; n++) {
    const data = mkdtempSync(path.join(tmpdir(), 'bailiwick-killed-'));
    undo.push(() => rmSync(data, { recursive: true, force: true }));
    layTemplate(data);
    const postgres = database === 'postgres' ? await testPostgres(postgresTemplate()) : undefined;
    if (postgres) undo.push(postgres.drop);
    configs.push({
      port: await freePort(),
      mtls: { port: 0 },
      data,
      log_level: 'silent',
      dpop: { nonce: 'optional' },
      limits: { tokens_per_minute: 1_000_000 },
      ...(postgres && { database_url: postgres.url }),
      ...config,
    });
  }

  const loaded = () => {
    const child = fork(program, [JSON.stringify(configs)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    undo.push(() => kill(child));
    return child;
  };
  let spare: ChildProcess | undefined;
  let running: ChildProcess;
  const start = async (): Promise<Said[]> => {
    running = spare ?? loaded();
    spare = hasSpare ? loaded() : undefined;
    return saidBy(running);
  };

  const servers = (await start()).map(clientOf);
  if (joined) for (const server of servers) server.address = `http://localhost:${configs[0]?.port}`;
  const killables: Killables = {
    servers,
    folders: configs.map(({ data }) => data as string),
    kill: () => kill(running),
    async startAgain() {
      await start();
    },
    async startAndKill(afterMs) {
      const up = start().then(
        () => true,
        () => false,
      );
      await pause(afterMs);
      await kill(running);
      return !(await up);
    },
  };
  configsOf.set(killables, configs);
  return killables;
}

/**
 * Sends these, a dozen at a time, and kills the server once so many have been answered, with more under way.
 * @returns what was answered, by its place
 */
export async function cutOff<Answer>(
  { kill }: Pick<Killables, 'kill'>,
  after: number,
  requests: readonly (() => Promise<Answer>)[],
): Promise<Map<number, Answer>> {
  const answers = new Map<number, Answer>();
  const waiting = requests.entries();
  let end: Promise<void> | undefined;
  const worker = async () => {
    for (const [place, send] of waiting) {
      try {
        answers.set(place, await send());
      } catch {
        return;
      }
      if (answers.size === after) end = kill();
    }
  };
  await Promise.all(Array.from({ length: 12 }, worker));
  await end;
  assert.ok(answers.size >= after && answers.size < requests.length, 'the end came in between');
  return answers;
}

interface Said {
  issuer: string;
  operatorFile: string;
}

/** Tells a process to become its servers, and waits until it is. */
async function saidBy(child: ChildProcess): Promise<Said[]> {
  const gone = once(child, 'exit').then(() => {
    throw new Error('the server ended before it was ready');
  });
  gone.catch(() => undefined);
  child.send('start');
  const [said] = (await Promise.race([once(child, 'message'), gone])) as [Said[]];
  return said;
}

function clientOf({ issuer, operatorFile }: Said): ServerForClients {
  const operator = JSON.parse(readFileSync(operatorFile, 'utf8'));
  const agent = createAgent({ issuer, clientId: operator.client_id, key: operator.jwk });
  return {
    issuer,
    address: issuer,
    clock: { ...systemClock, advance: () => assert.fail('this is the real time') } satisfies FakeClock,
    async admin(method, target, body) {
      const response = await agent.fetch(`${issuer}/admin/v1${target}`, {
        method,
        ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      const text = await response.text();
      assert.ok(response.ok, `${method} ${target}: ${response.status} ${text}`);
      return text === '' ? undefined : JSON.parse(text);
    },
  };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
