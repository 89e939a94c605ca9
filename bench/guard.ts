// What a guarded request costs the API, without HTTP: the guard's own verification beside jose's and beside the bare signature.
import { type GuardFigures, startChild } from './child.ts';
import { formatSpread, median, rounded, spread } from './stats.ts';

export interface GuardOptions {
  rounds: number;
  count: number;
}

export const guardDefaults: GuardOptions = { rounds: 11, count: 5000 };

/** Runs the four measurements by turns in one process on the measured core. */
export async function measureGuard(options: GuardOptions, say: (line: string) => void): Promise<GuardFigures> {
  const child = startChild('guard');
  try {
    say(`guard: ${options.rounds} rounds of ${options.count} each, after a warm-up`);
    return await child.call('guard', options);
  } finally {
    await child.stop();
  }
}

/** The machine-readable line, with exactly the fields that were agreed. */
export function guardReport(measured: GuardFigures) {
  const bearer = median(measured.bearerWarm);
  const jose = median(measured.joseVerify);
  const dpop = median(measured.dpopWarm);
  const es256 = median(measured.es256Verify);
  return {
    bench: 'guard',
    bearer_warm_us: rounded(bearer, 2),
    jose_verify_us: rounded(jose, 1),
    warm_times_jose: rounded(jose / bearer, 1),
    dpop_warm_us: rounded(dpop, 1),
    es256_verify_us: rounded(es256, 1),
    dpop_warm_ratio: rounded(dpop / es256, 2),
  };
}

/** The same for people: medians with the smallest and largest round. */
export function guardTable(measured: GuardFigures): string {
  const report = guardReport(measured);
  const line = (what: string, values: number[]) => `${what.padEnd(50)}${formatSpread(spread(values))}`;
  return [
    `CPU µs per request, median (min–max); Node ${process.version}`,
    '',
    line('guard, bearer token it knows', measured.bearerWarm),
    line('jose jwtVerify, the same token, local key', measured.joseVerify),
    line('guard, DPoP: known token, new proof each time', measured.dpopWarm),
    line('bare ES256 verify', measured.es256Verify),
    '',
    `bearer: ${report.warm_times_jose} times jose; DPoP: ${report.dpop_warm_ratio} times the bare signature`,
  ].join('\n');
}
