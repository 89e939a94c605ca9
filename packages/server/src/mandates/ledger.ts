/**
 * How much of what mandates limit was spent. Spent in the transaction that issues the token, each counter by one conditional statement:
 * exact, however many ask at once.
 */
import type { Queries, Tx } from '../store/database.ts';
import type { Mandate } from './mandate.ts';

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
  for (const { counter, most } of countersOf(limits)) {
    await tx.run('insert into mandate_ledger (mandate, counter, spent, most) values (?, ?, 0, ?)', [id, counter, most]);
  }
}

/**
 * Takes all of it or nothing. Answers the first that there isn't enough of.
 */
export async function spendLedger(tx: Tx, takes: readonly Take[]): Promise<Take | undefined> {
  // in one order, so that no two settlements wait for each other
  const ordered = takes.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  for (const [index, one] of ordered.entries()) {
    if (await takeOf(tx, one)) continue;
    for (const taken of ordered.slice(0, index)) await giveBack(tx, taken);
    return one;
  }
  return undefined;
}

/** What was spent of each counter, and what at most may be. */
export async function ledgerOf(
  q: Queries,
  mandate: string,
): Promise<{ counter: string; spent: number; most: number }[]> {
  return q.all('select counter, spent, most from mandate_ledger where mandate = ? order by counter', [mandate]);
}

function countersOf({ uses, amounts = [] }: Mandate['limits']): { counter: string; most: number }[] {
  return [
    ...(uses === undefined ? [] : [{ counter: 'uses', most: uses }]),
    ...amounts.map(({ total }, index) => ({ counter: `amount:${index}`, most: Math.round(total * partsPerUnit) })),
  ];
}

async function takeOf(tx: Tx, { mandate, counter, take }: Take): Promise<boolean> {
  const row = await tx.get(
    'update mandate_ledger set spent = spent + ? where mandate = ? and counter = ? and spent + ? <= most returning spent',
    [take, mandate, counter, take],
  );
  return row !== undefined;
}

async function giveBack(tx: Tx, { mandate, counter, take }: Take): Promise<void> {
  await tx.run('update mandate_ledger set spent = spent - ? where mandate = ? and counter = ?', [
    take,
    mandate,
    counter,
  ]);
}

const keyOf = ({ mandate, counter }: Take) => `${mandate} ${counter}`;
