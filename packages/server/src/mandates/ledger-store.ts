import type { Queries, Tx } from '../store/database.ts';

export interface CounterRow {
  counter: string;
  spent: number;
  most: number;
}

export async function insertCounter(
  tx: Tx,
  mandate: string,
  { counter, most }: Omit<CounterRow, 'spent'>,
): Promise<void> {
  await tx.run('insert into mandate_ledger (mandate, counter, spent, most) values (?, ?, 0, ?)', [
    mandate,
    counter,
    most,
  ]);
}

export async function setMost(tx: Tx, mandate: string, { counter, most }: Omit<CounterRow, 'spent'>): Promise<void> {
  await tx.run('update mandate_ledger set most = ? where mandate = ? and counter = ?', [most, mandate, counter]);
}

/** Takes so much if that much is left; answers whether it was. */
export async function takeFromCounter(
  tx: Tx,
  one: { mandate: string; counter: string; take: number },
): Promise<boolean> {
  const row = await tx.get(
    'update mandate_ledger set spent = spent + ? where mandate = ? and counter = ? and spent + ? <= most returning spent',
    [one.take, one.mandate, one.counter, one.take],
  );
  return row !== undefined;
}

/** Gives back what this very transaction has taken. */
export async function giveBackToCounter(
  tx: Tx,
  one: { mandate: string; counter: string; take: number },
): Promise<void> {
  await tx.run('update mandate_ledger set spent = spent - ? where mandate = ? and counter = ?', [
    one.take,
    one.mandate,
    one.counter,
  ]);
}

export async function selectCounters(q: Queries, mandate: string): Promise<CounterRow[]> {
  return q.all('select counter, spent, most from mandate_ledger where mandate = ? order by counter', [mandate]);
}
