import type { Queries, Tx } from '../store/database.ts';
import type { LogConsumerRow, LogDeadLetterRow } from '../store/log-tables.ts';

export async function insertConsumer(tx: Tx, name: string, position: number, now: number): Promise<void> {
  await tx.run(
    'insert into log_consumers (name, position, holder, beat, failures, delivered, created_at) values (?, ?, null, 0, 0, 0, ?) on conflict do nothing',
    [name, position, now],
  );
}

export async function deleteConsumer(tx: Tx, name: string): Promise<void> {
  await tx.run('delete from log_consumers where name = ?', [name]);
  await tx.run('delete from log_dead_letters where consumer = ?', [name]);
}

export async function findConsumer(q: Queries, name: string): Promise<LogConsumerRow | undefined> {
  return q.get<LogConsumerRow>('select * from log_consumers where name = ?', [name]);
}

export async function listConsumers(q: Queries): Promise<LogConsumerRow[]> {
  return q.all<LogConsumerRow>('select * from log_consumers order by name');
}

/** Takes a consumer for a node, if nobody moved its beat since; answers what it is taken over with. */
export async function claimConsumer(
  tx: Tx,
  { name, beat }: { name: string; beat: number },
  holder: string,
): Promise<LogConsumerRow | undefined> {
  return tx.get<LogConsumerRow>(
    'update log_consumers set holder = ?, beat = beat + 1 where name = ? and beat = ? returning *',
    [holder, name, beat],
  );
}

/** Says that a node still holds what it holds; answers what that is. */
export async function beatConsumers(tx: Tx, holder: string): Promise<string[]> {
  const rows = await tx.all<{ name: string }>(
    'update log_consumers set beat = beat + 1 where holder = ? returning name',
    [holder],
  );
  return rows.map(({ name }) => name);
}

/** Gives back one, or all. */
export async function releaseConsumers(tx: Tx, holder: string, name?: string): Promise<void> {
  if (name === undefined) {
    await tx.run('update log_consumers set holder = null, beat = beat + 1 where holder = ?', [holder]);
  } else {
    await tx.run('update log_consumers set holder = null, beat = beat + 1 where holder = ? and name = ?', [
      holder,
      name,
    ]);
  }
}

/** False: somebody else holds it by now, and nothing was written. */
export async function moveOn(
  tx: Tx,
  holder: string,
  { name, position, delivered, now }: { name: string; position: number; delivered: number; now: number },
): Promise<boolean> {
  const changed = await tx.run(
    `update log_consumers set position = ?, delivered = delivered + ?, delivered_at = ?, failures = 0, last_error = null
      where name = ? and holder = ? and position <= ?`,
    [position, delivered, now, name, holder, position],
  );
  return changed > 0;
}

/** Passes over what nobody wanted. */
export async function passOver(tx: Tx, holder: string, name: string, position: number): Promise<void> {
  await tx.run('update log_consumers set position = ? where name = ? and holder = ? and position <= ?', [
    position,
    name,
    holder,
    position,
  ]);
}

export async function noteFailure(tx: Tx, holder: string, name: string, error: string, now: number): Promise<void> {
  await tx.run(
    'update log_consumers set failures = failures + 1, last_error = ?, last_error_at = ? where name = ? and holder = ?',
    [error, now, name, holder],
  );
}

export async function insertDeadLetter(tx: Tx, row: Omit<LogDeadLetterRow, 'again'>): Promise<void> {
  await tx.run(
    'insert into log_dead_letters (consumer, arrival, event, reason, at, again) values (?, ?, ?, ?, ?, 0) on conflict do nothing',
    [row.consumer, row.arrival, row.event, row.reason, row.at],
  );
}

export async function deleteDeadLetter(tx: Tx, consumer: string, arrival: number): Promise<void> {
  await tx.run('delete from log_dead_letters where consumer = ? and arrival = ?', [consumer, arrival]);
}

/** Oldest first. */
export async function listDeadLetters(q: Queries, consumer: string, limit: number): Promise<LogDeadLetterRow[]> {
  return q.all<LogDeadLetterRow>('select * from log_dead_letters where consumer = ? order by arrival limit ?', [
    consumer,
    limit,
  ]);
}

export async function countDeadLetters(q: Queries, consumer: string): Promise<number> {
  const row = await q.get<{ count: number }>('select count(*) as count from log_dead_letters where consumer = ?', [
    consumer,
  ]);
  return row?.count ?? 0;
}

export async function findLetterToRetry(q: Queries, consumer: string): Promise<LogDeadLetterRow | undefined> {
  return q.get<LogDeadLetterRow>(
    'select * from log_dead_letters where consumer = ? and again = 1 order by arrival limit 1',
    [consumer],
  );
}

/** Has all of a consumer's tried once more; answers how many. */
export async function askAgain(tx: Tx, consumer: string): Promise<number> {
  return tx.run('update log_dead_letters set again = 1 where consumer = ?', [consumer]);
}

/** It was refused once more. */
export async function keepDeadLetter(
  tx: Tx,
  consumer: string,
  arrival: number,
  { reason, at }: { reason: string; at: number },
): Promise<void> {
  await tx.run('update log_dead_letters set again = 0, reason = ?, at = ? where consumer = ? and arrival = ?', [
    reason,
    at,
    consumer,
    arrival,
  ]);
}
