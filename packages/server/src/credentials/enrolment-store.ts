import type { Tx } from '../store/database.ts';

/** Forgets those of these credentials that are enrolment tokens: what they enrolled is gone. Answers their ids. */
export async function deleteEnrolmentTokens(tx: Tx, ids: readonly string[]): Promise<string[]> {
  const deleted: string[] = [];
  for (const id of new Set(ids)) {
    const row = await tx.get("delete from credentials where id = ? and kind = 'enrolment_token' returning id", [id]);
    if (row !== undefined) deleted.push(id);
  }
  return deleted;
}

/** Forgets at most so many enrolment tokens that nobody has used and that ended before `time` (ms). Answers their ids. */
export async function deleteUnusedTokens(tx: Tx, time: number, atMost: number): Promise<string[]> {
  const rows = await tx.all<{ id: string }>(
    `select id from credentials
      where kind = 'enrolment_token' and used_at is null and expires_at < ? limit ?`,
    [time, atMost],
  );
  return deleteEnrolmentTokens(
    tx,
    rows.map(({ id }) => id),
  );
}
