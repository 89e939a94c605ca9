import type { Queries, Tx } from '../store/database.ts';
import type { SignalSetRow, SignalStreamRow } from '../store/signal-tables.ts';
import type { SetClaims, Stream, WaitingSet } from './stream.ts';
import { streamOf } from './stream-store.ts';

/**
 * Puts SETs into a stream, in their order; one that waits there already stays where it is. The row of the stream is locked until the
 * transaction ends, so that no number is given twice, and whoever delivers sees that there is something new.
 */
export async function enqueue(
  tx: Tx,
  stream: string,
  sets: readonly { claims: SetClaims; event: string; control?: boolean }[],
  now: number,
): Promise<number> {
  const row = await tx.get<{ last: number }>(
    "update signal_streams set last = last + ?, due_at = case when method = 'push' then coalesce(due_at, ?) else null end where id = ? returning last",
    [sets.length, now, stream],
  );
  if (!row) return 0;
  let seq = row.last - sets.length;
  let added = 0;
  for (const { claims, event, control } of sets) {
    seq += 1;
    added += await tx.run(
      `insert into signal_sets (stream, seq, jti, event, claims, control, attempts, created_at) values (?, ?, ?, ?, ?, ?, 0, ?)
       on conflict do nothing`,
      [stream, seq, claims.jti, event, JSON.stringify(claims), control ? 1 : 0, now],
    );
  }
  return added;
}

/** What waits, the oldest first; of a stream that is not enabled only what is about the stream itself. */
export async function waitingSets(q: Queries, stream: Stream, limit: number): Promise<WaitingSet[]> {
  const rows = await q.all<SignalSetRow>(
    stream.status === 'enabled'
      ? 'select * from signal_sets where stream = ? order by seq limit ?'
      : 'select * from signal_sets where stream = ? and control = 1 order by seq limit ?',
    [stream.id, limit],
  );
  return rows.map((row) => ({
    seq: row.seq,
    jti: row.jti,
    event: row.event,
    claims: JSON.parse(row.claims) as SetClaims,
    attempts: row.attempts,
    createdAt: row.created_at,
  }));
}

export async function countSets(q: Queries, stream: string): Promise<number> {
  return (
    (await q.get<{ count: number }>('select count(*) as count from signal_sets where stream = ?', [stream]))?.count ?? 0
  );
}

/** Whether an event of this type waits in a stream. */
export async function isWaiting(q: Queries, stream: string, event: string): Promise<boolean> {
  return (
    (await q.get('select 1 as found from signal_sets where stream = ? and event = ? limit 1', [stream, event])) !==
    undefined
  );
}

/** The receiver has it: answers whether it was still there. */
export async function takeSet(tx: Tx, stream: string, jti: string): Promise<boolean> {
  return (await tx.run('delete from signal_sets where stream = ? and jti = ?', [stream, jti])) > 0;
}

/** Drops what is held of a stream; what is about the stream itself stays. */
export async function dropSets(tx: Tx, stream: string): Promise<void> {
  await tx.run('delete from signal_sets where stream = ? and control = 0', [stream]);
}

/** The ids of pushing streams with something to do by now (ms), of every organization; the longest due first. */
export async function dueStreams(q: Queries, now: number, limit: number): Promise<string[]> {
  const rows = await q.all<{ id: string }>(
    'select id from signal_streams where due_at is not null and due_at <= ? order by due_at limit ?',
    [now, limit],
  );
  return rows.map(({ id }) => id);
}

/** When the next of them is due (ms). */
export async function nextDue(q: Queries): Promise<number | undefined> {
  const row = await q.get<{ due: number | null }>(
    'select min(due_at) as due from signal_streams where due_at is not null',
  );
  return row?.due ?? undefined;
}

/** Takes a stream for pushing, until `until` (ms): of all nodes that try exactly one gets it. */
export async function claimStream(
  tx: Tx,
  id: string,
  { now, until }: { now: number; until: number },
): Promise<Stream | undefined> {
  const row = await tx.get<SignalStreamRow>(
    'update signal_streams set due_at = ? where id = ? and due_at is not null and due_at <= ? returning *',
    [until, id, now],
  );
  return row && streamOf(row);
}

/** The receiver has it, and the stream is held on until `until` (ms). False: another node has the stream by now. */
export async function pushed(
  tx: Tx,
  stream: { id: string; heldUntil: number },
  { jti, now, until, fault }: { jti: string; now: number; until: number; fault: string | undefined },
): Promise<boolean> {
  const held = await tx.run(
    'update signal_streams set due_at = ?, failures = 0, fault = ?, delivered_at = ? where id = ? and due_at = ?',
    [until, fault ?? null, now, stream.id, stream.heldUntil],
  );
  await takeSet(tx, stream.id, jti);
  return held > 0;
}

/** Lets a stream go that has nothing to send as of number `last`: if something came meanwhile, it is due at once. */
export async function releaseStream(
  tx: Tx,
  stream: { id: string; heldUntil: number; last: number },
  now: number,
): Promise<void> {
  await tx.run(
    'update signal_streams set due_at = case when last = ? then null else cast(? as bigint) end where id = ? and due_at = ?',
    [stream.last, now, stream.id, stream.heldUntil],
  );
}

/** Notes why something could not be delivered, and when it is tried again (ms). */
export async function noteFailure(
  tx: Tx,
  stream: { id: string; heldUntil: number },
  { jti, fault, again }: { jti: string; fault: string; again: number },
): Promise<void> {
  await tx.run('update signal_streams set due_at = ?, failures = failures + 1, fault = ? where id = ? and due_at = ?', [
    again,
    fault,
    stream.id,
    stream.heldUntil,
  ]);
  await tx.run('update signal_sets set attempts = attempts + 1 where stream = ? and jti = ?', [stream.id, jti]);
}

/** Lets a stream be whose receiver may not be told, until it is looked at again (ms). What waits in it stays, and nothing counts as failed. */
export async function parkStream(
  tx: Tx,
  stream: { id: string; heldUntil: number },
  { fault, again }: { fault: string; again: number },
): Promise<void> {
  await tx.run('update signal_streams set due_at = ?, fault = ? where id = ? and due_at = ?', [
    again,
    fault,
    stream.id,
    stream.heldUntil,
  ]);
}

/** A stream whose receiver asks (poll) has had something. */
export async function noteDelivered(tx: Tx, id: string, now: number, fault: string | undefined): Promise<void> {
  await tx.run('update signal_streams set delivered_at = ?, failures = 0, fault = ? where id = ?', [
    now,
    fault ?? null,
    id,
  ]);
}

/** Has what waits tried at once: its status or its address has changed. */
export async function makeDue(tx: Tx, id: string, now: number): Promise<void> {
  await tx.run(
    "update signal_streams set due_at = case when method = 'push' then cast(? as bigint) else null end where id = ?",
    [now, id],
  );
}
