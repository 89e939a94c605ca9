import type { Queries, Tx } from '../store/database.ts';

/** Spends `id`: true for exactly one caller, ever, on any node. */
export async function insertSpent(tx: Tx, id: string, expiresAt: number): Promise<boolean> {
  return (
    (await tx.run('insert into spent (id, expires_at) values (?, ?) on conflict do nothing', [id, expiresAt])) === 1
  );
}

export async function findSpent(q: Queries, id: string): Promise<boolean> {
  return (await q.get('select 1 as found from spent where id = ?', [id])) !== undefined;
}

/**
 * Forgets what expired before `time` among the next `atMost` rows after `after`, in the order of their ids. Answers the
 * last id that was looked at, or undefined at the end of the table.
 */
export async function deleteSpentAfter(
  tx: Tx,
  after: string,
  time: number,
  atMost: number,
): Promise<string | undefined> {
  const last = await tx.get<{ id: string }>('select id from spent where id > ? order by id limit 1 offset ?', [
    after,
    atMost - 1,
  ]);
  if (last) {
    await tx.run('delete from spent where id > ? and id <= ? and expires_at < ?', [after, last.id, time]);
    return last.id;
  }
  await tx.run('delete from spent where id > ? and expires_at < ?', [after, time]);
  return undefined;
}
