import { sql } from 'kysely';
import type { Queries } from '../store/database.ts';

/** Running copies at `now` (ms) of what these columns say, and when the last of them would end. */
export async function countInstances(
  q: Queries,
  of: { column: 'agent' | 'org' | 'credential'; id: string; now: number },
): Promise<{ count: number; last: number | undefined }> {
  const row = await q.kysely
    .selectFrom('instances as i')
    .innerJoin('subjects as s', 's.id', 'i.id')
    .select((make) => [make.fn.countAll<number>().as('count'), make.fn.max('i.expires_at').as('last')])
    .where(`i.${of.column}`, '=', of.id)
    .where('i.expires_at', '>', of.now)
    .where('s.state', '=', 'active')
    .executeTakeFirst();
  return { count: Number(row?.count ?? 0), last: row?.last ?? undefined };
}

/** Open tasks at `now` (ms) that an agent works on or has opened. */
export async function countTasks(
  q: Queries,
  of: { column: 'agent' | 'orchestrator' | 'org'; id: string; now: number },
): Promise<number> {
  const row = await q.kysely
    .selectFrom('tasks')
    .select((make) => make.fn.countAll<number>().as('count'))
    .where(of.column, '=', of.id)
    .where('ends_at', '>', of.now)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return Number(row?.count ?? 0);
}

/** Mandates at `now` (ms) that an agent holds, or that a person gave, passed on or not. */
export async function countMandates(
  q: Queries,
  of: { column: 'agent' | 'person' | 'org'; id: string; now: number },
): Promise<number> {
  const row = await q.kysely
    .selectFrom('mandates')
    .select((make) => make.fn.countAll<number>().as('count'))
    .where(of.column, '=', of.id)
    .where('ends_at', '>', of.now)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return Number(row?.count ?? 0);
}

/** What proves an agent (or those of an organization) and was not removed. */
export async function countCredentials(q: Queries, of: { column: 'agent' | 'org'; id: string }): Promise<number> {
  const row = await q.kysely
    .selectFrom('credentials as c')
    .innerJoin('subjects as s', 's.id', 'c.id')
    .select((make) => make.fn.countAll<number>().as('count'))
    .where(`c.${of.column}`, '=', of.id)
    .where('s.state', '=', 'active')
    .executeTakeFirst();
  return Number(row?.count ?? 0);
}

/** Agents of an organization that have not been retired, oldest first, at most so many. The server's own canary is nobody whom it would stop. */
export async function livingAgents(
  q: Queries,
  filter: { org: string; limit: number; role?: string; resource?: string },
): Promise<{ id: string; name: string }[]> {
  let query = q.kysely
    .selectFrom('agents as a')
    .innerJoin('subjects as s', 's.id', 'a.id')
    .select(['a.id as id', 'a.name as name'])
    .where('a.org', '=', filter.org)
    .where('s.state', '<>', 'ended')
    .where(sql<boolean>`a.id not in (select agent from drill_canaries)`)
    .orderBy('a.id')
    .limit(filter.limit);
  if (filter.role !== undefined) {
    const { role } = filter;
    query = query.where('a.id', 'in', (make) =>
      make.selectFrom('role_grants').select('role_grants.agent').where('role_grants.role', '=', role),
    );
  }
  if (filter.resource !== undefined) query = query.where('a.resources', 'like', `%"${filter.resource}"%`);
  return query.execute();
}

/** A page of what the index of the log has under a number, newest first, before an arrival. */
export async function eventsUnder(
  q: Queries,
  of: { term: number; before: number; limit: number },
): Promise<{ arrival: number; id: string; type: string; leaf: string }[]> {
  return q.all(
    `select e.arrival as arrival, e.id as id, e.type as type, e.leaf as leaf
     from (select arrival from event_terms where term = ? and arrival < ? order by arrival desc limit ?) t
     join events e on e.arrival = t.arrival order by e.arrival desc`,
    [of.term, of.before, of.limit],
  );
}
