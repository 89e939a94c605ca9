import type { Queries, Tx } from '../store/database.ts';

/** Ids of contents in their order, without those that are marked. */
export async function personalAfter(q: Queries, after: string, limit: number): Promise<string[]> {
  const rows = await q.all<{ id: string }>(
    'select id from personal where id > ? and orphaned_at is null order by id limit ?',
    [after, limit],
  );
  return rows.map(({ id }) => id);
}

/** Those that were marked at this time (ms) or before, oldest first. */
export async function selectOrphans(q: Queries, time: number, limit: number): Promise<string[]> {
  const rows = await q.all<{ id: string }>(
    'select id from personal where orphaned_at is not null and orphaned_at <= ? order by orphaned_at limit ?',
    [time, limit],
  );
  return rows.map(({ id }) => id);
}

/** To which contents events behind this arrival refer. */
export async function personalBehind(q: Queries, arrival: number): Promise<string[]> {
  const rows = await q.all<{ personal: string | null }>('select distinct personal from events where arrival > ?', [
    arrival,
  ]);
  return rows.flatMap(({ personal }) => (personal === null ? [] : [personal]));
}

const inUseText = {
  sqlite: `select given.value as term from json_each(?) given
     where exists (select 1 from event_terms t where t.term = given.value)`,
  postgres: `select given.value::bigint as term from jsonb_array_elements_text(cast(? as jsonb)) given
     where exists (select 1 from event_terms t where t.term = given.value::bigint)`,
};

/** Which of these terms stand for some event of the index. */
export async function termsInUse(q: Queries, terms: readonly number[]): Promise<Set<number>> {
  const rows = await q.all<{ term: number }>(inUseText[q.dialect], [JSON.stringify(terms)]);
  return new Set(rows.map(({ term }) => Number(term)));
}

export async function markOrphan(tx: Tx, id: string, now: number): Promise<void> {
  await tx.run('update personal set orphaned_at = ? where id = ? and orphaned_at is null', [now, id]);
}

export async function unmarkOrphan(tx: Tx, id: string): Promise<void> {
  await tx.run('update personal set orphaned_at = null where id = ?', [id]);
}

/** Unless it was marked later than that, or isn't any more. */
export async function deleteOrphan(tx: Tx, id: string, time: number): Promise<void> {
  await tx.run('delete from personal where id = ? and orphaned_at <= ?', [id, time]);
}
