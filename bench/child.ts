// Child processes on a core of their own, spoken to over IPC. The parent is the load generator and stays on the other core.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** What a child is asked, and what it answers. Every request gets exactly one answer. */
export interface Calls {
  start: { input: Start; output: Target };
  cpu: { input: null; output: number };
  floor: { input: { verified: readonly Signature[]; count: number }; output: number };
  guard: { input: { rounds: number; count: number }; output: GuardFigures };
  startExchange: { input: { keys: Record<string, unknown>[] }; output: ExchangeTarget };
  startEnrol: { input: { keys: Record<string, unknown>[] }; output: EnrolTarget };
  /** Answers how many instances there are now. */
  fillPast: { input: { count: number }; output: number };
  startRevocation: {
    input: { guards: Record<string, unknown>[]; agents: Record<string, unknown>[] };
    output: RevocationTarget;
  };
  /** Ends as many tokens as it can, of nobody, so many seconds long; answers how many. */
  endTokens: { input: { seconds: number }; output: number };
  policy: { input: { rounds: number; count: number }; output: PolicyFigures };
  events: { input: { rows: number; pages: number }; output: EventFigures };
  /** Answers CPU microseconds each. */
  svids: { input: { count: number }; output: number };
}

export type Profile = 'dpop' | 'bearer' | 'mtls';
export const profiles: readonly Profile[] = ['dpop', 'bearer', 'mtls'];

/** A signature that comes with a request. */
export type Signature = 'assertion' | 'proof' | 'token';

export interface Start {
  /** Public keys (JWK, ES256) of the agents that will ask for tokens. */
  agents: Record<string, unknown>[];
  /** What the same agents are called in their certificates (a URI), and the PEM of who issued those. */
  certificates: { names: string[]; ca: string };
}

/** Where the tokens come from, and everything a client has to know. */
export interface Target {
  issuer: string;
  tokenEndpoints: Record<Profile, string>;
  /** PEM: who vouches for the server at the endpoint of `mtls`. */
  ca: string;
  jwksUri: string;
  /** In the order of `Start.agents`. */
  clientIds: Record<Profile, string[]>;
  resources: Record<Profile, string>;
  scope: string;
  /** How durable it is, in words, asserted by the child before it answers. */
  durability: string;
}

/** Where tokens are exchanged. */
export interface ExchangeTarget {
  issuer: string;
  tokenEndpoint: string;
  jwksUri: string;
  resource: string;
  scope: string;
  /** In the order of the keys. */
  clientIds: string[];
  /** One that begins with each agent, in the same order. */
  lines: ExchangeLine[];
  durability: string;
}

/** What a person let an agent do, and the next two after it: ids of mandates. */
export interface ExchangeLine {
  person: string;
  /** What the second holds, and the third. */
  part: string;
  last: string;
}

/** Where instances enrol. */
export interface EnrolTarget {
  issuer: string;
  url: string;
  /** In the order of the keys. */
  clientIds: string[];
  durability: string;
}

/** Where tokens come from, who guards what they are for, and who may revoke them. */
export interface RevocationTarget {
  issuer: string;
  resource: string;
  /** In the order of the agents', and guards', keys. */
  clientIds: string[];
  guardIds: string[];
  operator: { issuer: string; client_id: string; jwk: object };
  durability: string;
}

/** One number per round, in microseconds. */
export interface GuardFigures {
  bearerWarm: number[];
  joseVerify: number[];
  dpopWarm: number[];
  es256Verify: number[];
}

/** One number per round; CPU microseconds where nothing else is said. */
export interface PolicyFigures {
  policies: number;
  agents: number;
  /** Milliseconds to load Cedar, and to read all policies. */
  loadMs: number;
  compileMs: number[];
  /** The first decision, with nothing remembered. */
  cold: number[];
  p50: number[];
  p99: number[];
  mean: number[];
  /** The part of decisions for which Cedar was not asked anything. */
  hitRate: number[];
  /** Statements that applied to a request by their heads, on average. */
  slice: number;
  /** Decisions by what they were, of all rounds. */
  decisions: Record<string, number>;
}

/** Milliseconds, one number per page or story. */
export interface EventFigures {
  rows: number;
  page: number[];
  trace: number[];
  /** CPU microseconds per event, with its place in the index. */
  appendUs: number;
  /** Events on all pages together. */
  found: number;
  megabytes: number;
  fillSeconds: number;
}

export interface Child {
  call<K extends keyof Calls>(name: K, input: Calls[K]['input']): Promise<Calls[K]['output']>;
  stop(): Promise<void>;
}

const canPin = process.platform === 'linux' && availableParallelism() > 1 && hasTaskset();

function hasTaskset(): boolean {
  try {
    execFileSync('taskset', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Keeps this process off the measured core. False where the platform has no way to say so. */
export function pinGenerator(): boolean {
  if (!canPin) return false;
  execFileSync('taskset', ['-acp', '1', String(process.pid)], { stdio: 'ignore' });
  return true;
}

/** Starts `children/<name>.ts` on the measured core, or wherever there is room. */
export function startChild(name: string, { pinned = true } = {}): Child {
  const file = fileURLToPath(new URL(`./children/${name}.ts`, import.meta.url));
  const node = [process.execPath, ...process.execArgv, file];
  const [command, ...args] = canPin && pinned ? ['taskset', '-c', '0', ...node] : node;
  const child = spawn(command as string, args, {
    stdio: ['ignore', 2, 2, 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
  return { call: (call, input) => ask(child, name, call, input), stop: () => stop(child) };
}

function ask<K extends keyof Calls>(child: ChildProcess, who: string, call: K, input: Calls[K]['input']) {
  return new Promise<Calls[K]['output']>((resolve, reject) => {
    const exited = (code: number | null) => reject(new Error(`${who} ended with code ${code} while asked for ${call}`));
    child.once('exit', exited);
    child.once('message', (message: { output?: Calls[K]['output']; error?: string }) => {
      child.off('exit', exited);
      if (message.error !== undefined) reject(new Error(`${who}: ${message.error}`));
      else resolve(message.output as Calls[K]['output']);
    });
    child.send({ call, input });
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.disconnect();
  const impatience = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(impatience);
}

type Handlers = { [K in keyof Calls]?: (input: Calls[K]['input']) => Calls[K]['output'] | Promise<Calls[K]['output']> };

/**
 * The child's side: answers calls until the parent lets go, then runs `close` and ends.
 * `cpu` is always answered: user + system microseconds of this whole process since it started.
 */
export function serveCalls(handlers: Handlers, close: () => Promise<void> | void = () => {}): void {
  const all: Handlers = { cpu: ownCpu, ...handlers };
  process.on('message', async ({ call, input }: { call: keyof Calls; input: never }) => {
    try {
      const handler = all[call];
      if (handler === undefined) throw new Error(`does not answer ${call}`);
      process.send?.({ output: await handler(input) });
    } catch (error) {
      process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.on('disconnect', async () => {
    await close();
    process.exit(0);
  });
}

/** CPU time of this process, user and system, all threads, in microseconds. */
export function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
