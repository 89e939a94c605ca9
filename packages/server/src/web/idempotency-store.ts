import type { Queries, Tx } from '../store/database.ts';

/** Answers true for exactly one caller; expired keys are free again. */
export async function claimIdempotencyKey(
  tx: Tx,
  claim: { key: string; requestHash: string; now: number; expiresAt: number },
): Promise<boolean> {
  await tx.run('delete from idempotency where expires_at <= ?', [claim.now]);
  const row = await tx.get(
    `insert into idempotency (key, request_hash, status, body, expires_at) values (?, ?, null, null, ?)
     on conflict do nothing returning key`,
    [claim.key, claim.requestHash, claim.expiresAt],
  );
  return row !== undefined;
}

export async function findAnswer(
  q: Queries,
  key: string,
): Promise<{ requestHash: string; status: number; body: string } | undefined> {
  const row = await q.get<{ request_hash: string; status: number; body: string }>(
    'select request_hash, status, body from idempotency where key = ? and status is not null',
    [key],
  );
  return row && { requestHash: row.request_hash, status: row.status, body: row.body };
}

export async function keepAnswer(tx: Tx, key: string, status: number, body: string): Promise<void> {
  await tx.run('update idempotency set status = ?, body = ? where key = ?', [status, body, key]);
}

/** Forgets the answers that show this id. They can't be given again: a repeated request is a new one. */
export async function forgetAnswersShowing(tx: Tx, id: string): Promise<void> {
  await tx.run('delete from idempotency where body like ?', [`%${id}%`]); // an id has no wildcard but its `_`
}

/** Forgets what is older than answers are kept. */
export async function forgetOldAnswers(tx: Tx, now: number): Promise<void> {
  await tx.run('delete from idempotency where expires_at <= ?', [now]);
}
