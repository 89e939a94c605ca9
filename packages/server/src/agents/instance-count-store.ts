/**
 * How many instances of an agent live, exactly, at a cost that grows with neither the living nor the past: a counter of
 * those that end after `counted_to`. Who counts anew subtracts what has ended since, each once. What was stopped with its
 * agent or credential is only found when the count says that no place is left.
 *
 * Every function here needs the agent's lock (`Database.settle`, `placesOf`) or a transaction that no settlement runs beside.
 */
import type { Tx } from '../store/database.ts';
import type { Tables } from '../store/tables.ts';

/** The lock that settlements hold who count an agent's instances. */
export const placesOf = (agent: string): string => `instances of ${agent}`;

type Count = Tables['instance_counts'];

const countOf = (tx: Tx, agent: string) => tx.get<Count>('select * from instance_counts where agent = ?', [agent]);

/** Up to so many living ones are looked at whenever something was stopped; of more only now and then. */
const lookedAtOnce = 1000;

/**
 * Takes a place for one more instance if fewer than `atMost` live at `now` (ms).
 * @param rev the number of the last revocation
 */
export async function takePlace(
  tx: Tx,
  agent: string,
  { atMost, now, rev }: { atMost: number; now: number; rev: number },
): Promise<boolean> {
  const before = await countOf(tx, agent);
  if (!before) {
    await tx.run(
      'insert into instance_counts (agent, living, counted_to, looked_at, looked_rev) values (?, 1, ?, ?, ?)',
      [agent, now, now, rev],
    );
    return true;
  }
  const count = { ...before, counted_to: Math.max(now, before.counted_to) }; // another node's clock may be ahead
  count.living -= await endedBetween(tx, agent, before.counted_to, count.counted_to);
  if (count.living >= atMost && isWorthLooking(before, now, rev)) {
    count.living -= await strikeOutStopped(tx, agent, count.counted_to);
    count.looked_at = now;
    count.looked_rev = rev;
  }
  const taken = count.living < atMost;
  await tx.run('update instance_counts set living = ?, counted_to = ?, looked_at = ?, looked_rev = ? where agent = ?', [
    taken ? count.living + 1 : count.living,
    count.counted_to,
    count.looked_at,
    count.looked_rev,
    agent,
  ]);
  return taken;
}

/** Whoever is refused for want of a place can't make us look at a million others each time. */
const isWorthLooking = ({ living, looked_at, looked_rev }: Count, now: number, rev: number): boolean =>
  rev !== looked_rev && (living <= lookedAtOnce || now - looked_at > living);

/** Counts on with an instance whose end has moved (both in milliseconds). */
export async function keepPlace(tx: Tx, agent: string, before: number, after: number): Promise<void> {
  const counted = (await countOf(tx, agent))?.counted_to ?? 0;
  const moved = (after > counted ? 1 : 0) - (before > counted ? 1 : 0);
  if (moved !== 0) await tx.run('update instance_counts set living = living + ? where agent = ?', [moved, agent]);
}

/**
 * Gives the place of an instance back that ends before its time, at `now`: whoever counts next will see that it has
 * ended since, unless that moment was counted already.
 */
export async function freePlace(
  tx: Tx,
  agent: string,
  { endsAt, now }: { endsAt: number; now: number },
): Promise<void> {
  const counted = (await countOf(tx, agent))?.counted_to ?? 0;
  if (endsAt > counted && now <= counted) {
    await tx.run('update instance_counts set living = living - 1 where agent = ?', [agent]);
  }
}

/** Forgets an instance that nobody may have counted as ended yet. */
export async function forgetPlace(tx: Tx, agent: string, endedAt: number): Promise<void> {
  await tx.run('update instance_counts set living = living - 1 where agent = ? and counted_to < ?', [agent, endedAt]);
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
