// Guards in a thread, and who calls the APIs behind them. What was accepted when is noted by the guards themselves, right after their last check.
import { createHash, createPrivateKey, type KeyObject, randomUUID } from 'node:crypto';
import { getHeapStatistics } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import { createGuard, type Guard, type GuardOptions, type GuardRequest } from '@bailiwick/guard';
import { compact } from './load.ts';

/** What a thread is given. */
export interface WorkerInput {
  issuer: string;
  resource: string;
  guards: { client_id: string; jwk: Record<string, unknown> }[];
  /** In the order in which they will be revoked; those with a key are bound to it. */
  tokens: { token: string; key?: Record<string, unknown> }[];
  /** Requests a second, of all guards of this thread. */
  perSecond: number;
  /** Between two revocations, ms. */
  everyMs: number;
  /** How many revocations each of its guards keeps, if not as many as usual. */
  capacity?: number;
  /** How its guards fail, by turns with being well. */
  hangs?: 'blocked' | 'unreachable';
}

/** What a thread has seen: which token (`jti`) was accepted at which instant, ms of the clock that all threads share. */
export interface WorkerOutput {
  accepted: [jti: string, at: number][];
  /** How often for which reason. */
  refused: Record<string, number>;
  leaseMs: number;
  /** Of the first guard: how many revocations it keeps, of tokens with a smaller number than the floor it knows nothing, and how large this thread's heap is. */
  kept: { entries: number; floor: number; heapBytes: number };
}

/** Ill for longer than a lease, then well for long enough to have one again (ms). */
const illMs = 3_000;
const wellMs = 1_500;

const input = workerData as WorkerInput;
const output: WorkerOutput = {
  accepted: [],
  refused: {},
  leaseMs: 0,
  kept: { entries: 0, floor: 0, heapBytes: 0 },
};
/** The clock that all threads of a machine share, ms. */
const instant = () => Number(process.hrtime.bigint()) / 1e6;

let open = Promise.resolve();
const network = (async (url, init) => {
  await open;
  const response = await fetch(url, init);
  await open;
  if (response.body === null || !/event-stream/.test(response.headers.get('content-type') ?? '')) return response;
  const held = new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      await open;
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(held), response);
}) as typeof fetch;

const guards: Guard[] = input.guards.map((credential) =>
  createGuard({
    issuer: input.issuer,
    resource: input.resource,
    credential: credential as never,
    ...(input.hangs === 'unreachable' ? { fetch: network } : {}),
    ...(input.capacity !== undefined && { feed: { capacity: input.capacity } }),
    report: () => {},
    onDecision({ outcome, jti, reason = '' }) {
      if (outcome === 'allowed') output.accepted.push([jti as string, instant()]);
      else output.refused[reason] = (output.refused[reason] ?? 0) + 1;
    },
  } satisfies GuardOptions),
);

interface Holder {
  token: string;
  key: { jwk: Record<string, unknown>; privateKey: KeyObject } | undefined;
}

function request({ token, key }: Holder, number: number): GuardRequest {
  const url = `/api/tickets/${number}`;
  if (key === undefined) return { method: 'GET', url, headers: { authorization: [`Bearer ${token}`] } };
  const { kty, crv, x, y } = key.jwk;
  const claims = {
    jti: randomUUID(),
    htm: 'GET',
    htu: `${input.resource}/tickets/${number}`,
    iat: Math.floor(Date.now() / 1000),
    ath: createHash('sha256').update(token).digest('base64url'),
  };
  const proof = compact({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }, claims, key.privateKey);
  return { method: 'GET', url, headers: { authorization: [`DPoP ${token}`], dpop: [proof] } };
}

/** Most requests come with a token that is about to be revoked, or just was; the others with one that lives. */
function choose(tokens: readonly Holder[], elapsedMs: number): Holder {
  const now = Math.floor(elapsedMs / input.everyMs);
  const near = now - 1 + Math.floor(Math.random() * 3);
  const later = now + 2 + Math.floor(Math.random() * Math.max(1, tokens.length - now - 2));
  const index = Math.random() < 0.7 ? near : later;
  return tokens[Math.min(Math.max(0, index), tokens.length - 1)] as Holder;
}

function run(start: number): void {
  const tokens = input.tokens.map(({ token, key }): Holder => {
    if (key === undefined) return { token, key };
    return { token, key: { jwk: key, privateKey: createPrivateKey({ key: key as never, format: 'jwk' }) } };
  });
  let sent = 0;
  const ticking = setInterval(() => {
    const elapsed = instant() - start;
    const due = Math.floor((elapsed / 1000) * input.perSecond);
    // what a thread that was blocked has missed isn't made up for
    sent = Math.max(sent, due - Math.ceil(input.perSecond));
    for (; sent < due; sent++) {
      void (guards[sent % guards.length] as Guard).decide(request(choose(tokens, elapsed), sent));
    }
  }, 2);
  const failing = input.hangs === undefined ? undefined : fail(input.hangs);
  parentPort?.once('message', async () => {
    clearInterval(ticking);
    failing?.();
    const feed = guards[0]?.status().feed;
    output.leaseMs = feed?.lease.grantedMs ?? 0;
    const { entries = 0, floor = 0 } = feed ?? {};
    output.kept = { entries, floor, heapBytes: getHeapStatistics().used_heap_size };
    for (const guard of guards) void guard.close();
    parentPort?.postMessage(output);
  });
}

function fail(how: 'blocked' | 'unreachable'): () => void {
  let release = () => {};
  const again = () => {
    if (how === 'blocked') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, illMs);
    else {
      open = new Promise((resolve) => {
        release = resolve;
      });
      setTimeout(() => release(), illMs);
    }
    timer = setTimeout(again, how === 'blocked' ? wellMs : illMs + wellMs);
  };
  let timer = setTimeout(again, 500);
  return () => {
    clearTimeout(timer);
    release();
  };
}

parentPort?.once('message', run);
for (const guard of guards) await ready(guard);
parentPort?.postMessage('ready');

/** A machine with other things to do takes longer to start so many at once. */
async function ready(guard: Guard): Promise<void> {
  for (let tries = 0; guard.status().feed?.state !== 'current'; tries++) {
    if (tries === 60) throw new Error('a guard gets no lease');
    await guard.ready().catch(() => new Promise((resolve) => setTimeout(resolve, 1000)));
  }
}
