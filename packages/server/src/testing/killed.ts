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

/** Starts a server in a process of its own, with a client of its admin API. */
export async function startKillable(config: ConfigOverrides): Promise<Killable> {
  return ready(forked(config));
}

/** A process with the program loaded, that becomes a server when it is told to: for tests that restart one many times. */
export function spareKillable(config: ConfigOverrides): { child: ChildProcess; start(): Promise<Killable> } {
  const child = forked(config, 'wait');
  return {
    child,
    start() {
      child.send('start');
      return ready(child);
    },
  };
}

const forked = (config: ConfigOverrides, ...more: string[]): ChildProcess =>
  fork(program, [JSON.stringify(config), ...more], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });

async function ready(child: ChildProcess): Promise<Killable> {
  const gone = once(child, 'exit').then(() => {
    throw new Error('the server ended before it was ready');
  });
  gone.catch(() => undefined);
  const [{ issuer, operatorFile }] = (await Promise.race([once(child, 'message'), gone])) as [
    { issuer: string; operatorFile: string },
  ];
  const operator = JSON.parse(readFileSync(operatorFile, 'utf8'));
  const agent = createAgent({ issuer, clientId: operator.client_id, key: operator.jwk });
  const server: ServerForClients = {
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
  return { child, server };
}

/** Ends it as a power cut would, if it still runs. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
