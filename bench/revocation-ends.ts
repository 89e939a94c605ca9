// As many early ends of tokens a second as there can be: what becomes of issuing, of acknowledgements, and of a guard at its bound.
import type { Worker } from 'node:worker_threads';
import { startChild } from './child.ts';
import { figuresOf, percentile } from './revocation.ts';
import type { WorkerOutput } from './revocation-worker.ts';
import {
  bearer,
  instant,
  next,
  type RevocationOptions,
  revokeAll,
  setUp,
  shares,
  threadOf,
  type World,
} from './revocation-world.ts';
import { rounded } from './stats.ts';

export interface EndsOptions {
  seconds: number;
  /** How many revocations the guard keeps. */
  capacity: number;
}

export const endsDefaults: EndsOptions = { seconds: 20, capacity: 5_000 };

export interface EndsFigures extends EndsOptions {
  /** Each a second. */
  ends: number;
  issued: number;
  /** Of revocations that were ordered meanwhile, ms. */
  ackMs: number[];
  acceptedAfterAck: number;
  kept: WorkerOutput['kept'];
}

/** A revocation that somebody waits for, ms; and who asks for tokens all the time. */
const everyMs = 500;
const issuers = 4;

export async function measureEnds(
  { seconds, capacity }: EndsOptions,
  say: (line: string) => void,
): Promise<EndsFigures> {
  const revocations = Math.max(1, Math.floor((seconds * 1000) / everyMs) - 2);
  const options: RevocationOptions = { guards: 1, hanging: 0, revocations, warmup: 0, everyMs, perSecond: 100 };
  const child = startChild('revocation', { pinned: false });
  let worker: Worker | undefined;
  try {
    const world = await setUp(child, options);
    say(`${world.target.issuer}, durability ${world.target.durability}: a guard that keeps ${capacity} revocations`);
    const [input] = shares(options, world);
    if (input === undefined) throw new Error('there is no guard');
    worker = threadOf({ ...input, capacity });
    await next(worker);
    const start = instant() + 1_000;
    worker.postMessage(start);
    const [ends, issued, revoked] = await Promise.all([
      child.call('endTokens', { seconds }),
      issueFor(world, seconds),
      revokeAll(world, options, start),
    ]);
    const output = next(worker) as Promise<WorkerOutput>;
    worker.postMessage('end');
    const seen = await output;
    const { ackMs, acceptedAfterAck, undecided } = figuresOf(options, revoked, [seen]);
    say(`${ends} ends and ${issued} tokens in ${seconds} s; not decided: ${JSON.stringify(undecided)}`);
    return {
      seconds,
      capacity,
      ends: ends / seconds,
      issued: issued / seconds,
      ackMs,
      acceptedAfterAck,
      kept: seen.kept,
    };
  } finally {
    await worker?.terminate();
    await child.stop();
  }
}

/** How many tokens are issued in so many seconds to a few who ask for one after the other. */
async function issueFor({ target, callers }: World, seconds: number): Promise<number> {
  const until = instant() + seconds * 1000;
  let issued = 0;
  await Promise.all(
    callers.slice(-issuers).map(async ({ clientId, identity }) => {
      for (; instant() < until; issued++) await bearer(target, clientId, identity);
    }),
  );
  return issued;
}

export function endsReport({ seconds, capacity, ends, issued, ackMs, acceptedAfterAck, kept }: EndsFigures) {
  return {
    bench: 'revocation-ends',
    seconds,
    ends_per_s: rounded(ends, 0),
    issued_per_s: rounded(issued, 0),
    ack_p99_ms: rounded(percentile(ackMs, 99), 1),
    accepted_after_ack: acceptedAfterAck,
    guard_capacity: capacity,
    guard_entries: kept.entries,
    guard_floor: kept.floor,
    guard_heap_mb: rounded(kept.heapBytes / 1e6, 1),
  };
}

/** The same for people. */
export function endsTable(figures: EndsFigures): string {
  const report = endsReport(figures);
  const rows: [string, unknown][] = [
    ['ended early, a second', report.ends_per_s],
    ['issued meanwhile, a second', report.issued_per_s],
    ['acknowledged, p99 ms', report.ack_p99_ms],
    ['accepted after that', report.accepted_after_ack],
    ['revocations the guard keeps', `${report.guard_entries} of ${report.guard_capacity} at most`],
    ['its floor', report.guard_floor],
    ['its heap, MB', report.guard_heap_mb],
  ];
  return [
    `${report.seconds} s of early ends; Node ${process.version}`,
    '',
    ...rows.map(([name, value]) => `${name.padEnd(32)}${value}`),
  ].join('\n');
}
