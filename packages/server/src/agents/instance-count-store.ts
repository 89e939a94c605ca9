/**
 * How many instances of an agent live, exactly, at a cost that grows with neither the living nor the past: a counter of
 * those that end after `counted_to`. Who counts anew subtracts what has ended since, each once. What was stopped with its
 * agent or credential is only found when the count says that no place is left.
 *
 * Every function here but `freePlace` needs the agent's lock (`Database.settle`, `placesOf`).
 */
import type { Tx } from '../store/database.ts';

/** The lock that settlements hold who count an agent's instances. */
export const placesOf = (agent: string): string => `instances of ${agent}`;

interface Count {
  living: number;
  counted_to: number;
}

const countOf = (tx: Tx, agent: string) =>
  tx.get<Count>('select living, counted_to from instance_counts where agent = ?', [agent]);

/** Takes a place for one more instance if fewer than `atMost` live at `now` (ms). */
export async function takePlace(tx: Tx, agent: string, { atMost, now }: { atMost: number; now: number }) {
  const before = await countOf(tx, agent);
  if (!before) {
    await tx.run('insert into instance_counts (agent, living, counted_to) values (?, 1, ?)', [agent, now]);
    return atMost > 0;
  }
  const countedTo = Math.max(now, before.counted_to); // another node's clock may be ahead
  let living = before.living - (await endedBetween(tx, agent, before.counted_to, countedTo));
  if (living >= atMost) living -= await strikeOutStopped(tx, agent, countedTo);
  const taken = living < atMost;
  await tx.run('update instance_counts set living = ?, counted_to = ? where agent = ?', [
    taken ? living + 1 : living,
    countedTo,
    agent,
  ]);
  return taken;
}

/** Counts on with an instance whose end has moved (both in milliseconds). */
export async function keepPlace(tx: Tx, agent: string, before: number, after: number): Promise<void> {
  const counted = (await countOf(tx, agent))?.counted_to ?? 0;
  const moved = (after > counted ? 1 : 0) - (before > counted ? 1 : 0);
  if (moved !== 0) await tx.run('update instance_counts set living = living + ? where agent = ?', [moved, agent]);
}

/**
 * Gives the place of an instance back that ends before its time, in a transaction that no settlement runs beside. Answers
 * what to write as its end: `now`, or a moment that nobody will count any more.
 */
export async function freePlace(tx: Tx, agent: string, { endsAt, now }: { endsAt: number; now: number }) {
  const counted = (await countOf(tx, agent))?.counted_to ?? 0;
  if (endsAt > counted) await tx.run('update instance_counts set living = living - 1 where agent = ?', [agent]);
  return Math.min(now, counted, endsAt);
}

async function endedBetween(tx: Tx, agent: string, after: number, to: number): Promise<number> {
  const row = await tx.get<{ ended: number }>(
    'select count(*) as ended from instances where agent = ? and expires_at > ? and expires_at <= ?',
    [agent, after, to],
  );
  return row?.ended ?? 0;
}

/** Ends the rows of what was stopped with its agent, its organization or its credential. Answers how many. */
async function strikeOutStopped(tx: Tx, agent: string, countedTo: number): Promise<number> {
  return tx.run(
    `update instances set expires_at = ?
      where agent = ? and expires_at > ? and exists (
        select s.id from subjects s
         where s.id in (instances.id, instances.agent, instances.org, instances.credential)
           and (s.state <> 'active' or s.ended_rev > instances.rev or s.ends_at <= ?))`,
    [countedTo, agent, countedTo, countedTo],
  );
}
