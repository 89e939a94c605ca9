// How long it takes until a revocation is true everywhere, and whether anybody accepts what it ended after that was said.
import type { Worker } from 'node:worker_threads';
import { startChild } from './child.ts';
import type { WorkerOutput } from './revocation-worker.ts';
import {
  instant,
  next,
  type RevocationOptions,
  type Revoked,
  revokeAll,
  setUp,
  shares,
  threadOf,
} from './revocation-world.ts';
import { rounded } from './stats.ts';

export const revocationDefaults: RevocationOptions = {
  guards: 100,
  hanging: 5,
  revocations: 100,
  warmup: 25,
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
  const child = startChild('revocation', { pinned: false });
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
    say(`milliseconds, one after the other: ${run.ackMs.map((ms) => ms.toFixed(0)).join(' ')}`);
    return run;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
    await child.stop();
  }
}

export function figuresOf(
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
    ackMs: revoked.slice(options.warmup).map((one) => one.acknowledgedAt - one.orderedAt),
    accepted: accepted.length,
    refused: ended,
    undecided,
    acceptedAfterAck: accepted.filter(([jti, at]) => at > (acknowledgedAt.get(jti) ?? Number.POSITIVE_INFINITY)).length,
  };
}

/** The reason of a guard that knows. */
const hasEnded = 'no longer active';

export function percentile(values: readonly number[], percent: number): number {
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
