/** What a drill says of each, and of the whole. */
import type { ProbeName } from './probes.ts';

export type Outcome = 'refused' | 'acknowledged' | 'lapsed' | 'still_accepts' | 'waiting' | 'not_asked';

/** One thing that was asked, or somebody who was waited for. */
export interface Row {
  probe: ProbeName | 'guard';
  /** By name, where there are several. */
  what?: string;
  /** Of a guard. */
  id?: string;
  outcome: Outcome;
  /** Milliseconds from the order to the refusal, or to the acknowledgement. */
  after_ms?: number;
  note?: string;
}

/**
 * `passed`: everybody who was asked refuses, and everybody who holds a lease has acknowledged it or lost it. `failed`: somebody still accepts, or is
 * waited for. `incomplete`: nobody is known to accept, but too little was asked to say more.
 */
export type Verdict = 'passed' | 'failed' | 'incomplete';

/** Who nobody saw refuse has not been rehearsed: a drill that asked nobody, or left out something of our own, has shown nothing. */
export function verdictOf(rows: readonly Row[], needed: readonly ProbeName[]): Verdict {
  if (rows.some(({ outcome }) => outcome === 'still_accepts' || outcome === 'waiting')) return 'failed';
  const answered = rows.filter(({ outcome }) => outcome !== 'not_asked');
  const seen = new Set(answered.map(({ probe }) => probe));
  return answered.length > 0 && needed.every((probe) => seen.has(probe)) ? 'passed' : 'incomplete';
}

export const verdictWords: Readonly<Record<Verdict, string>> = {
  passed: 'everybody who was asked refused',
  failed: 'somebody still accepts, or has not acknowledged it',
  incomplete: 'not enough could be asked to show anything',
};
