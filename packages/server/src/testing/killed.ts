/** A server in a process of its own that a test kills and starts again. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createAgent } from '@bailiwick/agent';
import type { ConfigOverrides } from '../config.ts';
import { type FakeClock, systemClock } from '../lib/clock.ts';
import type { ServerForClients } from './token-client.ts';

const program = fileURLToPath(new URL('./killable.ts', import.meta.url));

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

export interface Killable {
  child: ChildProcess;
  server: ServerForClients;
}

/** Several in one process, which end together. */
export interface Killables {
  child: ChildProcess;
  servers: ServerForClients[];
}

/** Starts a server in a process of its own, with a client of its admin API. */
export async function startKillable(config: ConfigOverrides): Promise<Killable> {
  const { child, servers } = await ready(forked([config]));
  return { child, server: servers[0] as ServerForClients };
}

/** A process with the program loaded, that becomes servers when it is told to: for tests that restart them many times. */
export function spareKillables(configs: readonly ConfigOverrides[]): {
  child: ChildProcess;
  start(): Promise<Killables>;
} {
  const child = forked(configs, 'wait');
  return {
    child,
    start() {
      child.send('start');
      return ready(child);
    },
  };
}

const forked = (configs: readonly ConfigOverrides[], ...more: string[]): ChildProcess =>
  fork(program, [JSON.stringify(configs), ...more], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });

interface Said {
  issuer: string;
  operatorFile: string;
}

async function ready(child: ChildProcess): Promise<Killables> {
  const gone = once(child, 'exit').then(() => {
    throw new Error('the server ended before it was ready');
  });
  gone.catch(() => undefined);
  const [said] = (await Promise.race([once(child, 'message'), gone])) as [Said[]];
  return { child, servers: said.map(clientOf) };
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

/** Ends it as a power cut would, if it still runs. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
