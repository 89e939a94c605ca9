import type { Queries } from '../store/database.ts';
import type { EventRow } from '../store/tables.ts';

/** The greatest number that any event was given, committed or not: 0 before the first. */
export async function greatestArrival(q: Queries): Promise<number> {
  const row =
    q.dialect === 'postgres'
      ? await q.get<{ head: number }>(
          'select case when is_called then last_value else 0 end as head from events_arrival_seq',
        )
      : await q.get<{ head: number }>('select coalesce(max(arrival), 0) as head from events');
  return row?.head ?? 0;
}

/** Which events somebody reads on for: all members must hold, absent ones don't matter. */
export interface Wanted {
  org?: string | undefined;
  types?: readonly string[] | undefined;
  outcome?: string | undefined;
}

/** In the order of their arrival: what is behind `after` and not behind `upTo`. */
export async function selectArrived(
  q: Queries,
  range: { after: number; upTo: number; limit: number },
  { org, types, outcome }: Wanted,
): Promise<EventRow[]> {
  let query = q.kysely
    .selectFrom('events')
    .selectAll()
    .where('arrival', '>', range.after)
    .where('arrival', '<=', range.upTo)
    .orderBy('arrival')
    .limit(range.limit);
  if (org !== undefined) query = query.where('org', '=', org);
  if (types !== undefined) query = query.where('type', 'in', types);
  if (outcome !== undefined) query = query.where('outcome', '=', outcome);
  return query.execute();
}

export async function findArrived(q: Queries, arrival: number): Promise<EventRow | undefined> {
  return q.get<EventRow>('select * from events where arrival = ?', [arrival]);
}

/** How far back is looked for one that is wanted. */
const lookedBack = 20_000;

/** The last event that somebody would want, among the last ones. */
export async function newestEvent(q: Queries, { org, types, outcome }: Wanted): Promise<EventRow | undefined> {
  const head = await greatestArrival(q);
  let query = q.kysely
    .selectFrom('events')
    .selectAll()
    .where('arrival', '>', head - lookedBack)
    .orderBy('arrival', 'desc')
    .limit(1);
  if (org !== undefined) query = query.where('org', '=', org);
  if (types !== undefined) query = query.where('type', 'in', types);
  if (outcome !== undefined) query = query.where('outcome', '=', outcome);
  return query.executeTakeFirst();
}
