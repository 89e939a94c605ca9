import type { Queries, Tx } from '../store/database.ts';
import type { MandateRow } from '../store/registry-tables.ts';
import type { Given, Mandate, MandateLimits, MandateResource, MandateTask, Passing } from './mandate.ts';

/** The mandate with this id, whether it may still be used or not: the caller asks `mandateStanding`. */
export async function findMandate(q: Queries, id: string): Promise<Mandate | undefined> {
  const row = await q.get<MandateRow>('select * from mandates where id = ?', [id]);
  return row && mandateOf(row);
}

export async function insertMandate(tx: Tx, mandate: Mandate): Promise<void> {
  await tx.run(
    `insert into mandates
       (id, org, person, agent, instance, parent, ancestors, name, resources, context, task, limits, passing, given, created_at, ends_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    [
      mandate.id,
      mandate.org,
      mandate.person,
      mandate.agent,
      mandate.instance ?? null,
      mandate.parent ?? null,
      JSON.stringify(mandate.ancestors),
      mandate.name ?? null,
      JSON.stringify(mandate.resources),
      json(mandate.context),
      json(mandate.task),
      JSON.stringify(mandate.limits),
      JSON.stringify(mandate.passing),
      JSON.stringify(mandate.given),
      mandate.createdAt,
      mandate.endsAt,
    ],
  );
}

/** Writes down what a mandate was narrowed to. Who it is for, and from whom it came, never changes. */
export async function updateMandate(tx: Tx, mandate: Mandate): Promise<void> {
  await tx.run(
    'update mandates set resources = ?, context = ?, task = ?, limits = ?, passing = ?, ends_at = ? where id = ?',
    [
      JSON.stringify(mandate.resources),
      json(mandate.context),
      json(mandate.task),
      JSON.stringify(mandate.limits),
      JSON.stringify(mandate.passing),
      mandate.endsAt,
      mandate.id,
    ],
  );
}

/** Says when a mandate was ended before its time, which is what lists look at; truth stands in `liveness/`. */
export async function setMandateEnded(tx: Tx, id: string, endedAt: number): Promise<void> {
  await tx.run('update mandates set ended_at = ? where id = ?', [endedAt, id]);
}

/** The one that has this name at `now` (ms): until its time is up, though it was ended before. */
export async function mandateCalled(q: Queries, org: string, name: string, now: number): Promise<Mandate | undefined> {
  const row = await q.get<MandateRow>('select * from mandates where org = ? and name = ? and ends_at > ?', [
    ...[org, name, now],
  ]);
  return row && mandateOf(row);
}

/** A mandate and those that it came from, up to the root: the mandate first. Undefined if one of them isn't there. */
export async function mandateWithAncestors(q: Queries, id: string): Promise<Mandate[] | undefined> {
  const first = await findMandate(q, id);
  if (!first) return undefined;
  const { ancestors } = first;
  if (ancestors.length === 0) return [first];
  const listed = ancestors.map(() => '?').join(', '); // four at most
  const rows = await q.all<MandateRow>(`select * from mandates where id in (${listed})`, ancestors);
  const above = ancestors.flatMap((ancestor) => rows.filter(({ id }) => id === ancestor).map(mandateOf));
  return above.length === ancestors.length ? [first, ...above] : undefined;
}

export interface MandateFilter {
  org: string;
  person?: string | undefined;
  agent?: string | undefined;
  /** Only those that any running copy of the agent may use, or one of these. */
  instances?: readonly string[] | undefined;
  parent?: string | undefined;
  /** Id of a resource that it is about. */
  resource?: string | undefined;
  /** Only those of agents that this person or team answers for. */
  owner?: string | undefined;
  /** Only those that have a name. */
  named?: boolean;
  /** Only those that are not over. */
  living?: boolean;
  /** As far as a query can tell: what has been stopped from elsewhere counts as active. */
  status?: 'active' | 'paused' | 'expired' | 'ended' | undefined;
  /** Milliseconds: as of when they have expired or not. */
  now: number;
  after?: string | undefined;
  limit: number;
}

/** Oldest first. */
export async function selectMandates(q: Queries, filter: MandateFilter): Promise<Mandate[]> {
  let query = q.kysely
    .selectFrom('mandates as m')
    .innerJoin('subjects as s', 's.id', 'm.id')
    .selectAll('m')
    .where('m.org', '=', filter.org)
    .orderBy('m.id')
    .limit(filter.limit);
  for (const column of ['person', 'agent', 'parent'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(`m.${column}`, '=', value);
  }
  const { instances, named, living, resource, owner, status, after, now } = filter;
  if (instances !== undefined) {
    query = query.where((where) =>
      where.or([
        where('m.instance', 'is', null),
        ...(instances.length > 0 ? [where('m.instance', 'in', instances)] : []),
      ]),
    );
  }
  if (named) query = query.where('m.name', 'is not', null);
  if (living) query = query.where('m.ended_at', 'is', null).where('m.ends_at', '>', now);
  if (resource !== undefined) query = query.where('m.resources', 'like', `%"${resource}"%`);
  if (owner !== undefined) {
    query = query.where('m.agent', 'in', (make) =>
      make.selectFrom('agents').select('agents.id').where('agents.owner', '=', owner),
    );
  }
  if (after !== undefined) query = query.where('m.id', '>', after);
  if (status === 'ended') query = query.where('m.ended_at', 'is not', null);
  else if (status !== undefined) {
    query = query.where('m.ended_at', 'is', null).where('m.ends_at', status === 'expired' ? '<=' : '>', now);
    if (status !== 'expired') query = query.where('s.state', '=', status === 'paused' ? 'suspended' : 'active');
  }
  return ((await query.execute()) as MandateRow[]).map(mandateOf);
}

/** Those that were passed on from one of these, oldest first. */
export async function mandatesBelow(q: Queries, parents: readonly string[], limit: number): Promise<Mandate[]> {
  if (parents.length === 0) return [];
  const rows = await q.kysely
    .selectFrom('mandates')
    .selectAll()
    .where('parent', 'in', parents)
    .orderBy('id')
    .limit(limit)
    .execute();
  return (rows as MandateRow[]).map(mandateOf);
}

/** All that are for this person, ended or not. */
export async function mandatesOfPerson(q: Queries, person: string): Promise<Mandate[]> {
  const rows = await q.all<MandateRow>('select * from mandates where person = ? order by id', [person]);
  return rows.map(mandateOf);
}

/** Forgets of one that has ended what the person saw and what they allowed in particular: which APIs and scopes it was for stays. */
export async function clearContent(tx: Tx, { id, given: { way, by, instance }, resources }: Mandate): Promise<void> {
  await tx.run(
    "update mandates set name = null, given = ?, resources = ?, context = null, limits = '{}' where id = ?",
    [JSON.stringify({ way, by, instance }), JSON.stringify(resources.map((each) => ({ ...each, details: [] }))), id],
  );
  await tx.run('delete from mandate_ledger where mandate = ?', [id]);
}

/**
 * Forgets mandates that ended before `time` (ms) and of which nothing is left that was passed on, at most so many, with what was counted.
 * One with a name is known until its time is up: the file that names it must not give it again. Answers their ids.
 */
export async function deleteMandatesBefore(tx: Tx, time: number, atMost: number): Promise<string[]> {
  const rows = await tx.all<{ id: string }>(
    `select id from mandates m
      where (ends_at < ? or (ended_at < ? and name is null)) and not exists (select 1 from mandates c where c.parent = m.id)
      limit ?`,
    [time, time, atMost],
  );
  for (const { id } of rows) {
    await tx.run('delete from mandate_ledger where mandate = ?', [id]);
    await tx.run('delete from mandates where id = ?', [id]);
  }
  return rows.map(({ id }) => id);
}

/** How many that are not over at `now` (ms) were passed on from this one; at most so many are counted. */
export async function countPassedOn(q: Queries, parent: string, now: number, atMost: number): Promise<number> {
  const row = await q.get<{ count: number }>(
    `select count(*) as count
       from (select 1 as one from mandates where parent = ? and ends_at > ? and ended_at is null limit ?) as living`,
    [parent, now, atMost],
  );
  return Number(row?.count ?? 0);
}

const json = (value: object | undefined): string | null => (value === undefined ? null : JSON.stringify(value));

export function mandateOf(row: MandateRow): Mandate {
  return {
    id: row.id,
    org: row.org,
    person: row.person,
    agent: row.agent,
    instance: row.instance ?? undefined,
    parent: row.parent ?? undefined,
    ancestors: JSON.parse(row.ancestors) as string[],
    resources: JSON.parse(row.resources) as MandateResource[],
    context: row.context === null ? undefined : (JSON.parse(row.context) as NonNullable<Mandate['context']>),
    task: row.task === null ? undefined : (JSON.parse(row.task) as MandateTask),
    limits: row.limits === null ? {} : (JSON.parse(row.limits) as MandateLimits),
    passing: JSON.parse(row.passing) as Passing,
    name: row.name ?? undefined,
    given: JSON.parse(row.given) as Given,
    createdAt: row.created_at,
    endsAt: row.ends_at,
    endedAt: row.ended_at ?? undefined,
  };
}
