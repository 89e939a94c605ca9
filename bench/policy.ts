// What a decision by policy costs, by itself: two hundred policies, ten thousand agents, a task and an address that are new in every request.
import { type PolicyFigures, startChild } from './child.ts';
import { formatSpread, median, rounded, spread } from './stats.ts';

export interface PolicyOptions {
  rounds: number;
  count: number;
}

export const policyDefaults: PolicyOptions = { rounds: 5, count: 50_000 };

/** Runs the rounds in one process on the measured core; each begins with nothing remembered. */
export async function measurePolicy(options: PolicyOptions, say: (line: string) => void): Promise<PolicyFigures> {
  const child = startChild('policy');
  try {
    say(`policy: ${options.rounds} rounds of ${options.count} decisions each, after a warm-up`);
    return await child.call('policy', options);
  } finally {
    await child.stop();
  }
}

/** The machine-readable line, with exactly the fields that were agreed. */
export function policyReport(measured: PolicyFigures) {
  return {
    bench: 'policy',
    policies: measured.policies,
    agents: measured.agents,
    p50_us: rounded(median(measured.p50), 1),
    p99_us: rounded(median(measured.p99), 1),
    cold_us: rounded(median(measured.cold), 0),
    hit_rate: rounded(median(measured.hitRate), 4),
  };
}

/** The same for people: medians with the smallest and largest round, and what stands behind them. */
export function policyTable(measured: PolicyFigures): string {
  const line = (what: string, values: number[]) => `${what.padEnd(50)}${formatSpread(spread(values))}`;
  const decisions = Object.entries(measured.decisions).map(([what, times]) => `${what} ${times}`);
  return [
    `CPU µs per decision, median (min–max); ${measured.policies} policies, ${measured.agents} agents, Node ${process.version}`,
    '',
    line('p50', measured.p50),
    line('p99', measured.p99),
    line('mean', measured.mean),
    line('the first, with nothing remembered', measured.cold),
    '',
    `remembered: ${(100 * median(measured.hitRate)).toFixed(2)} % of decisions; ${measured.slice.toFixed(1)} statements apply to a request`,
    `decisions: ${decisions.join(', ')}`,
    `reading all policies: ${formatSpread(spread(measured.compileMs))} ms; loading Cedar: ${measured.loadMs.toFixed(0)} ms`,
  ].join('\n');
}
