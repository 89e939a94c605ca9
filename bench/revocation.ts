// How long it takes until a revocation is true everywhere, and whether anybody accepts what it ended after that was said.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { createAgent } from '@bailiwick/agent';
import { type Child, type RevocationTarget, startChild } from './child.ts';
import { assertion, keyPair } from './load.ts';
import type { WorkerInput, WorkerOutput } from './revocation-worker.ts';
import { rounded } from './stats.ts';

export interface RevocationOptions {
  guards: number;
  /** Of them, in the second run. */
  hanging: number;
  /** In each run. */
  revocations: number;
  /** Between two of them, ms. */
  everyMs: number;
  /** Requests a second, of all guards. */
  perSecond: number;
}

export const revocationDefaults: RevocationOptions = {
  guards: 100,
  hanging: 5,
  revocations: 100,
  everyMs: 200,
  perSecond: 500,
};

/** What one run has shown. Times in ms. */
export interface RevocationRun {
  hanging: number;
  leaseMs: number;
  /** From the order to the answer that nobody accepts any more what it ended. */
  ackMs: number[];
  accepted: number;
  /** Because the token had ended. */
  refused: number;
  /** For all other reasons, and how often for which. */
  undecided: Record<string, number>;
  /** Accepted after that answer was there: there should be none. */
  acceptedAfterAck: number;
}

export interface RevocationFigures {
  healthy: RevocationRun;
  hanging: RevocationRun;
}

const threads = 4;
/** Tokens that live on to the end. */
const spare = 20;
const instant = () => Number(process.hrtime.bigint()) / 1e6;

/** Runs both. `say` gets progress in words. Ends the processes and threads it started, whatever happens. */
export async function measureRevocation(
  options: RevocationOptions,
  say: (line: string) => void,
): Promise<RevocationFigures> {
  return {
    healthy: await once({ ...options, hanging: 0 }, say),
    hanging: await once(options, say),
  };
}

async function once(options: RevocationOptions, say: (line: string) => void): Promise<RevocationRun> {
  const child = startChild('revocation');
  const workers: Worker[] = [];
  try {
    const world = await setUp(child, options);
    say(
      `${world.target.issuer}, durability ${world.target.durability}: ${options.guards} guards, ${options.hanging} of them hanging`,
    );
    const inputs = shares(options, world);
    workers.push(...inputs.map(threadOf));
    await Promise.all(workers.map(next));
    // tokens get known, and code compiled, before the first of them is revoked
    const start = instant() + 2_000;
    for (const worker of workers) worker.postMessage(start);
    const revoked = await revokeAll(world, options, start);
    const outputs = await Promise.all(
      workers.map((worker) => {
        const output = next(worker) as Promise<WorkerOutput>;
        worker.postMessage('end');
        return output;
      }),
    );
    const run = figuresOf(options, revoked, outputs);
    say(
      `${run.accepted} accepted, ${run.refused} refused, not decided: ${JSON.stringify(run.undecided)}; acknowledged within ${Math.max(...run.ackMs).toFixed(1)} ms at most`,
    );
    return run;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
    await child.stop();
  }
}

interface Caller {
  jti: string;
  token: string;
  clientId: string;
  key?: Record<string, unknown>;
}

interface World {
  target: RevocationTarget;
  guards: WorkerInput['guards'];
  callers: Caller[];
}

/** One agent for each token, so that any of them can be revoked without the others. */
async function setUp(child: Child, options: RevocationOptions): Promise<World> {
  const count = options.revocations + spare;
  const agents = await Promise.all(Array.from({ length: count }, () => keyPair()));
  const guardKeys = Array.from({ length: options.guards }, jwkPair);
  const target = await child.call('startRevocation', {
    agents: agents.map(({ publicJwk }) => publicJwk),
    guards: guardKeys.map(({ open }) => open),
  });
  const callers: Caller[] = [];
  for (const [index, key] of agents.entries()) {
    const clientId = target.clientIds[index] as string;
    // half of them are bound to a key
    callers.push(index % 4 < 2 ? await bearer(target, clientId, key) : await bound(target, clientId, key));
  }
  const guards = guardKeys.map(({ secret }, index) => ({ client_id: target.guardIds[index] as string, jwk: secret }));
  return { target, guards, callers };
}

function jwkPair() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const more = { alg: 'ES256', use: 'sig', kid: randomUUID() };
  return {
    open: { ...publicKey.export({ format: 'jwk' }), ...more },
    secret: { ...privateKey.export({ format: 'jwk' }), ...more },
  };
}

type Key = Awaited<ReturnType<typeof keyPair>>;

async function bearer({ issuer }: RevocationTarget, clientId: string, key: Key): Promise<Caller> {
  const response = await fetch(`${issuer}/oauth2/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion(key, clientId, issuer),
    }),
  });
  const { access_token: token } = (await response.json()) as { access_token?: string };
  if (token === undefined) throw new Error(`no token: ${response.status}`);
  return { token, clientId, jti: jtiOf(token) };
}

async function bound({ issuer, resource }: RevocationTarget, clientId: string, key: Key): Promise<Caller> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...key.privateKey.export({ format: 'jwk' }), alg: 'ES256', kid: key.thumbprint };
  const agent = createAgent({ issuer, resource, clientId, key: jwk as never, proofKey: privateKey });
  const token = (await agent.token()).dangerouslyExposeToken();
  return { token, clientId, jti: jtiOf(token), key: privateKey.export({ format: 'jwk' }) as Record<string, unknown> };
}

const jtiOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()).jti;

/** Which guards are in which thread: those that hang among themselves, by how they do. */
function shares(options: RevocationOptions, { target, guards, callers }: World): WorkerInput[] {
  const { hanging, perSecond, everyMs } = options;
  const [blocked, unreachable] = [Math.ceil(hanging / 2), Math.floor(hanging / 2)];
  const well = guards.length - hanging;
  const groups: { size: number; hangs?: 'blocked' | 'unreachable' }[] = [
    ...Array.from({ length: threads }, (_, index) => ({
      size: Math.floor(well / threads) + (index < well % threads ? 1 : 0),
    })),
    { size: blocked, hangs: 'blocked' },
    { size: unreachable, hangs: 'unreachable' },
  ];
  let from = 0;
  return groups
    .filter(({ size }) => size > 0)
    .map(({ size, hangs }) => {
      const own = guards.slice(from, from + size);
      from += size;
      return {
        issuer: target.issuer,
        resource: target.resource,
        guards: own,
        tokens: callers.map(({ token, key }) => ({ token, ...(key && { key }) })),
        perSecond: (perSecond * size) / guards.length,
        everyMs,
        ...(hangs && { hangs }),
      };
    });
}

function threadOf(workerData: WorkerInput): Worker {
  return new Worker(new URL('revocation-worker.ts', import.meta.url), { workerData });
}

function next(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (message) => {
      worker.off('error', reject);
      resolve(message);
    });
  });
}

interface Revoked {
  jti: string;
  orderedAt: number;
  acknowledgedAt: number;
}

/** At its pace, whether or not the ones before have been acknowledged. By turns a token and an agent. */
async function revokeAll({ target, callers }: World, options: RevocationOptions, start: number): Promise<Revoked[]> {
  const { issuer, client_id: clientId, jwk } = target.operator;
  const operator = createAgent({ issuer, resource: `${issuer}/admin`, clientId, key: jwk as never });
  await operator.token();
  return Promise.all(
    callers.slice(0, options.revocations).map(async ({ jti, token, clientId }, index) => {
      const due = start + index * options.everyMs;
      await new Promise((resolve) => setTimeout(resolve, due - instant()));
      const orderedAt = instant();
      const response = await operator.fetch(`${issuer}/admin/v1/revocations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          ...(index % 2 === 0 ? { token } : { subject: clientId }),
          reason: 'a benchmark',
          wait_seconds: 30,
        }),
      });
      const body = (await response.json()) as { acknowledgement?: { complete?: boolean } };
      const acknowledgedAt = instant();
      if (body.acknowledgement?.complete !== true) {
        throw new Error(`not acknowledged: ${response.status} ${JSON.stringify(body)}`);
      }
      return { jti, orderedAt, acknowledgedAt };
    }),
  );
}

function figuresOf(
  options: RevocationOptions,
  revoked: readonly Revoked[],
  outputs: readonly WorkerOutput[],
): RevocationRun {
  const acknowledgedAt = new Map(revoked.map((one) => [one.jti, one.acknowledgedAt]));
  const accepted = outputs.flatMap((output) => output.accepted);
  const undecided: Record<string, number> = {};
  for (const [reason, times] of outputs.flatMap(({ refused }) => Object.entries(refused))) {
    undecided[reason] = (undecided[reason] ?? 0) + times;
  }
  const { [hasEnded]: ended = 0 } = undecided;
  delete undecided[hasEnded];
  return {
    hanging: options.hanging,
    leaseMs: Math.max(...outputs.map(({ leaseMs }) => leaseMs)),
    ackMs: revoked.map((one) => one.acknowledgedAt - one.orderedAt),
    accepted: accepted.length,
    refused: ended,
    undecided,
    acceptedAfterAck: accepted.filter(([jti, at]) => at > (acknowledgedAt.get(jti) ?? Number.POSITIVE_INFINITY)).length,
  };
}

/** The reason of a guard that knows. */
const hasEnded = 'no longer active';

function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length) - 1)] as number;
}

/** The machine-readable line of one run, with exactly the fields that were agreed; `hanging` and `lease_ms` where guards hang. */
export function revocationReport({ guards }: RevocationOptions, run: RevocationRun) {
  return {
    bench: 'revocation',
    guards,
    ...(run.hanging > 0 && { hanging: run.hanging, lease_ms: run.leaseMs }),
    revocations: run.ackMs.length,
    ack_p50_ms: rounded(percentile(run.ackMs, 50), 1),
    ack_p99_ms: rounded(percentile(run.ackMs, 99), 1),
    accepted_after_ack: run.acceptedAfterAck,
  };
}

/** The same for people. */
export function revocationTable(options: RevocationOptions, { healthy, hanging }: RevocationFigures): string {
  const column = (run: RevocationRun) => {
    const { ack_p50_ms, ack_p99_ms, accepted_after_ack } = revocationReport(options, run);
    return [ack_p50_ms, ack_p99_ms, accepted_after_ack, run.accepted, run.refused];
  };
  const [first, second] = [column(healthy), column(hanging)];
  const names = ['acknowledged, p50 ms', 'acknowledged, p99 ms', 'accepted after that', 'accepted', 'refused'];
  return [
    `A revocation every ${options.everyMs} ms, ${options.guards} guards, ${options.perSecond} requests a second; Node ${process.version}`,
    '',
    `${''.padEnd(24)}${'all well'.padStart(12)}${`${hanging.hanging} hanging`.padStart(12)}`,
    ...names.map(
      (name, index) => name.padEnd(24) + String(first[index]).padStart(12) + String(second[index]).padStart(12),
    ),
    '',
    `lease: ${hanging.leaseMs} ms`,
  ].join('\n');
}
