import type { Queries, Tx } from '../store/database.ts';

/** Spends `id`: true for exactly one caller, ever, on any node. */
export async function insertSpent(tx: Tx, id: string, expiresAt: number): Promise<boolean> {
  return (
    (await tx.run('insert into spent (id, expires_at) values (?, ?) on conflict do nothing', [id, expiresAt])) === 1
  );
}

/** Forgets what would be refused as expired anyway. Answers how many rows went. */
export async function deleteSpentBefore(tx: Tx, time: number, atMost: number): Promise<number> {
  return tx.run('delete from spent where id in (select id from spent where expires_at < ? limit ?)', [time, atMost]);
}

export async function countSpent(q: Queries): Promise<number> {
  return (await q.get<{ n: number }>('select count(*) as n from spent'))?.n ?? 0;
}
