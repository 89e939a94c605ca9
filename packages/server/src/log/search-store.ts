/**
 * The statements of a search. Their texts are put together from a few parts, by how many terms each group has: there are few of them, so each is
 * prepared once.
 */
import type { Queries, Value } from '../store/database.ts';

/** Where an event may be found: under any of these. */
export interface Places {
  open: readonly number[];
  personal: readonly number[];
  eventId?: string | undefined;
}

export type Order = 'newest' | 'oldest';

/** A stretch of the log, both ends inclusive, by arrival. */
export interface Stretch {
  from: number;
  to: number;
}

interface Sql {
  text: string;
  params: Value[];
}

const direction = (order: Order) => (order === 'newest' ? 'desc' : 'asc');

/** Repeats the last until there are 1, 2, 4, 8 … of them, so that there are few texts. */
function padded(terms: readonly number[]): readonly number[] {
  if (terms.length < 3) return terms;
  const size = 2 ** Math.ceil(Math.log2(terms.length));
  return [...terms, ...Array<number>(size - terms.length).fill(terms.at(-1) as number)];
}

/** Each part reads no further than it must: the limit stands in each of them. */
function candidates({ open, personal, eventId }: Places, { from, to }: Stretch, order: Order, limit: number): Sql {
  const parts: Sql[] = [];
  for (const [table, terms] of [
    ['event_terms', open],
    ['personal_terms', personal],
  ] as const) {
    for (const term of padded(terms)) {
      parts.push({
        text: `select arrival from (select arrival from ${table} where term = ? and arrival >= ? and arrival <= ? order by arrival ${direction(order)} limit ?) as one`,
        params: [term, from, to, limit],
      });
    }
  }
  if (eventId !== undefined) {
    parts.push({
      text: 'select arrival from events where id = ? and arrival >= ? and arrival <= ?',
      params: [eventId, from, to],
    });
  }
  if (parts.length === 1) return parts[0] as Sql;
  return {
    text: `${parts.map(({ text }) => text).join(' union ')} order by arrival ${direction(order)} limit ?`,
    params: [...parts.flatMap(({ params }) => params), limit],
  };
}

function isThere({ open, personal, eventId }: Places): Sql {
  const parts: Sql[] = [];
  for (const [table, terms] of [
    ['event_terms', open],
    ['personal_terms', personal],
  ] as const) {
    if (terms.length === 0) continue;
    const some = padded(terms);
    const marks = some.map(() => '?').join(', ');
    parts.push({
      text: `exists (select 1 from ${table} where term in (${marks}) and arrival = c.arrival)`,
      params: [...some],
    });
  }
  if (eventId !== undefined) {
    parts.push({ text: 'exists (select 1 from events where id = ? and arrival = c.arrival)', params: [eventId] });
  }
  return { text: `(${parts.map(({ text }) => text).join(' or ')})`, params: parts.flatMap(({ params }) => params) };
}

/**
 * The next `limit` candidates of `driver` in this stretch, in order, and of each whether it is found under all others, too.
 */
export async function lookThrough(
  q: Queries,
  driver: Places,
  others: readonly Places[],
  stretch: Stretch,
  order: Order,
  limit: number,
): Promise<{ arrival: number; found: boolean }[]> {
  const { text, params } = candidates(driver, stretch, order, limit);
  if (others.length === 0) {
    const rows = await q.all<{ arrival: number }>(text, params);
    return rows.map(({ arrival }) => ({ arrival, found: true }));
  }
  const conditions = others.map(isThere);
  const rows = await q.all<{ arrival: number; found: number }>(
    `select c.arrival as arrival, case when ${conditions.map((one) => one.text).join(' and ')} then 1 else 0 end as found
       from (${text}) as c order by c.arrival ${direction(order)}`,
    [...conditions.flatMap((one) => one.params), ...params],
  );
  return rows.map(({ arrival, found }) => ({ arrival, found: found === 1 }));
}

/** How many there are in this stretch, at most `limit`, and how far one gets with them. */
export async function density(
  q: Queries,
  places: Places,
  stretch: Stretch,
  order: Order,
  limit: number,
): Promise<{ count: number; last: number | undefined }> {
  const { text, params } = candidates(places, stretch, order, limit);
  const end = order === 'newest' ? 'min' : 'max';
  const row = await q.get<{ n: number; last: number | null }>(
    `select count(*) as n, ${end}(arrival) as last from (${text}) as c`,
    params,
  );
  return { count: row?.n ?? 0, last: row?.last ?? undefined };
}

/** Where the first of them is, in order. */
export async function firstIn(q: Queries, places: Places, stretch: Stretch, order: Order): Promise<number | undefined> {
  const { text, params } = candidates(places, stretch, order, 1);
  return (await q.get<{ arrival: number }>(text, params))?.arrival;
}
