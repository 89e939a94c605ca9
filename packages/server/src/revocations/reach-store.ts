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

/** Agents of an organization that have not been retired, oldest first, at most so many. */
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

/**
 * Tokens of an organization that were issued after an event of this id, newest first, as the log tells of them. Looks at so many events of
 * the deployment at most.
 */
export async function tokensIssued(
  q: Queries,
  of: { org: string; after: string; atMost: number },
): Promise<{ leaves: string[]; more: boolean }> {
  const rows = await q.all<{ org: string; type: string; leaf: string }>(
    'select org, type, leaf from events where id > ? order by id desc limit ?',
    [of.after, of.atMost],
  );
  const leaves = rows.filter(({ org, type }) => org === of.org && type === 'token.issued').map(({ leaf }) => leaf);
  return { leaves, more: rows.length === of.atMost };
}
