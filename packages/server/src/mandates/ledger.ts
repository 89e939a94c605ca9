/**
 * How much of what mandates limit was spent. Spent in the transaction that issues the token, each counter by one conditional statement:
 * exact, however many ask at once.
 */
import type { Queries, Tx } from '../store/database.ts';
import {
  type CounterRow,
  giveBackToCounter,
  insertCounter,
  selectCounters,
  setMost,
  takeFromCounter,
} from './ledger-store.ts';
import type { Mandate, MandateLimits } from './mandate.ts';

/** Something that a token takes of a mandate: a use, or so much (millionths) of an amount. */
export interface Take {
  mandate: string;
  /** `uses`, or `amount:` and its number among the mandate's limits. */
  counter: string;
  take: number;
}

/** Amounts are counted in these, so that sums are exact. */
export const partsPerUnit = 1_000_000;

/** Opens the counters of a mandate, in the transaction that inserts it. */
export async function openLedger(tx: Tx, { id, limits }: Pick<Mandate, 'id' | 'limits'>): Promise<void> {
  for (const counter of countersOf(limits)) await insertCounter(tx, id, counter);
}

/** Moves what may be spent, in the transaction that narrows a mandate: what was spent stays so. What wasn't counted is, from now on. */
export async function narrowLedger(tx: Tx, { id, limits }: Pick<Mandate, 'id' | 'limits'>): Promise<void> {
  const known = new Set((await selectCounters(tx, id)).map(({ counter }) => counter));
  for (const each of countersOf(limits)) {
    if (known.has(each.counter)) await setMost(tx, id, each);
    else await insertCounter(tx, id, each);
  }
}

/** Takes all of it or nothing. Answers the first that there isn't enough of. */
export async function spendLedger(tx: Tx, takes: readonly Take[]): Promise<Take | undefined> {
  // in one order, so that no two settlements wait for each other
  const ordered = takes.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  for (const [index, one] of ordered.entries()) {
    if (await takeFromCounter(tx, one)) continue;
    for (const taken of ordered.slice(0, index)) await giveBackToCounter(tx, taken);
    return one;
  }
  return undefined;
}

/** Gives back what this very transaction has taken, where it turns out to be a refusal. */
export async function giveBackLedger(tx: Tx, takes: readonly Take[]): Promise<void> {
  for (const one of takes) await giveBackToCounter(tx, one);
}

/** What was spent of what a mandate limits, in its own units. */
export async function ledgerOf(q: Queries, { id, limits }: Pick<Mandate, 'id' | 'limits'>): Promise<CounterRow[]> {
  if (countersOf(limits).length === 0) return [];
  const rows = await selectCounters(q, id);
  return rows.map(({ counter, spent, most }) => {
    const parts = counter === 'uses' ? 1 : partsPerUnit;
    return { counter, spent: spent / parts, most: most / parts };
  });
}

/** What is left of what a mandate limits. */
export async function leftOf(q: Queries, { id, limits }: Pick<Mandate, 'id' | 'limits'>): Promise<MandateLimits> {
  const rows = countersOf(limits).length === 0 ? [] : await selectCounters(q, id);
  const left = new Map(rows.map(({ counter, spent, most }) => [counter, Math.max(0, most - spent)]));
  const { uses, amounts } = limits;
  return {
    ...(uses !== undefined && { uses: left.get('uses') ?? 0 }),
    ...(amounts && {
      amounts: amounts.map((each, index) => ({ ...each, total: (left.get(`amount:${index}`) ?? 0) / partsPerUnit })),
    }),
  };
}

function countersOf({ uses, amounts = [] }: Mandate['limits']): { counter: string; most: number }[] {
  return [
    ...(uses === undefined ? [] : [{ counter: 'uses', most: uses }]),
    ...amounts.map(({ total }, index) => ({ counter: `amount:${index}`, most: Math.round(total * partsPerUnit) })),
  ];
}

const keyOf = ({ mandate, counter }: Take) => `${mandate} ${counter}`;
