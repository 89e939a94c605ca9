import type { Queries, Tx } from '../store/database.ts';

/** A report as it is known again. */
export interface ReportKey {
  /** The day on which it happened, counted from 1970. */
  day: number;
  id: string;
}

// both databases read a list from one JSON text, so that a batch is one statement
const insertReportedText = {
  sqlite: `insert into reported (day, id)
     select value ->> 'day', value ->> 'id' from json_each(?) where true order by 1, 2
     on conflict do nothing returning id`,
  postgres: `insert into reported (day, id)
     select day, id from jsonb_to_recordset(cast(? as jsonb)) as given (day bigint, id text) order by 1, 2
     on conflict do nothing returning id`,
};

/** Takes reports that were not taken before. Answers the ids of those; in one order, so that two batches never wait for each other. */
export async function insertReported(tx: Tx, keys: readonly ReportKey[]): Promise<Set<string>> {
  const rows = await tx.all<{ id: string }>(insertReportedText[tx.dialect], [JSON.stringify(keys)]);
  return new Set(rows.map(({ id }) => id));
}

/** Forgets reports of days before this one, at most so many. Answers how many. */
export function deleteReportedBefore(tx: Tx, day: number, atMost: number): Promise<number> {
  return tx.run(
    'delete from reported where (day, id) in (select day, id from reported where day < ? order by day, id limit ?)',
    [day, atMost],
  );
}

const issuesText = {
  sqlite: `select id, leaf from events
     where id in (select value from json_each(?)) and type = 'token.issued'`,
  postgres: `select id, leaf from events
     where id in (select jsonb_array_elements_text(cast(? as jsonb))) and type = 'token.issued'`,
};

/** The leaves of the events with these ids that tell of a token's issue. */
export function selectIssues(q: Queries, ids: readonly string[]): Promise<{ id: string; leaf: string }[]> {
  return q.all(issuesText[q.dialect], [JSON.stringify(ids)]);
}
