import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { TaskRow } from '../store/registry-tables.ts';
import type { Task, TaskResource } from './task.ts';

/** The task with this id, whether it is still open or not: the caller asks `taskOpen`. */
export async function findTask(q: Queries, id: string): Promise<Task | undefined> {
  const row = await q.get<TaskRow>('select * from tasks where id = ?', [id]);
  return row && taskOf(row);
}

/**
 * Writes a task if fewer than `atMost` of its agent are open. Answers what stood in the way: a task of this id, or how many there
 * are. Two nodes that count at the same moment may be one task apart; the id is taken once.
 */
export async function insertTask(tx: Tx, task: Task, atMost: number): Promise<'known' | 'full' | undefined> {
  const row = await tx.get(
    `insert into tasks
       (id, org, agent, orchestrator, workflow, step, environment, purpose, resources, rests_on, rev, created_at, ends_at)
     select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
      where (select count(*) from (select 1 as one from tasks where agent = ? and ends_at > ? and ended_at is null limit ?) as living) < ?
     on conflict do nothing returning id`,
    [
      task.id,
      task.org,
      task.agent,
      task.orchestrator,
      task.workflow,
      task.step ?? null,
      task.environment ?? null,
      task.purpose,
      task.resources === undefined ? null : JSON.stringify(task.resources),
      JSON.stringify(task.restsOn),
      task.rev,
      task.createdAt,
      task.endsAt,
      task.agent,
      task.createdAt,
      atMost,
      atMost,
    ],
  );
  if (row !== undefined) return undefined;
  return (await findTask(tx, task.id)) ? 'known' : 'full';
}

/** Takes a task back that this very transaction has written and nobody has heard of. */
export async function deleteTask(tx: Tx, id: string): Promise<void> {
  await tx.run('delete from tasks where id = ?', [id]);
}

/** Says when a task was ended before its time, which is what counts and lists look at; truth stands in `liveness/`. */
export async function setTaskEnded(tx: Tx, id: string, endedAt: number): Promise<void> {
  await tx.run('update tasks set ended_at = ? where id = ?', [endedAt, id]);
}

/** Forgets tasks whose time was up before `time` (ms), at most so many. Answers their ids. */
export async function deleteTasksBefore(tx: Tx, time: number, atMost: number): Promise<string[]> {
  const rows = await tx.all<{ id: string }>('select id from tasks where ends_at < ? order by ends_at limit ?', [
    time,
    atMost,
  ]);
  for (const { id } of rows) await tx.run('delete from tasks where id = ?', [id]);
  return rows.map(({ id }) => id);
}

export interface TaskFilter {
  org: string;
  agent?: string | undefined;
  orchestrator?: string | undefined;
  workflow?: string | undefined;
  status?: 'open' | 'ended' | undefined;
  /** Milliseconds: as of when they are open or not. */
  now: number;
  after?: string | undefined;
  limit: number;
}

/**
 * By id: those that were opened here in the order in which they were, signed ones anywhere among them. `status` looks at what a
 * query can: the task's own end, its agent, orchestrator and organization; `taskOpen` at everything.
 */
export async function selectTasks(q: Queries, filter: TaskFilter): Promise<Task[]> {
  let query = q.kysely
    .selectFrom('tasks as k')
    .innerJoin('subjects as s', 's.id', 'k.id')
    .innerJoin('subjects as a', 'a.id', 'k.agent')
    .innerJoin('subjects as o', 'o.id', 'k.orchestrator')
    .innerJoin('subjects as g', 'g.id', 'k.org')
    .selectAll('k')
    .where('k.org', '=', filter.org)
    .orderBy('k.id')
    .limit(filter.limit);
  for (const column of ['agent', 'orchestrator', 'workflow'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(`k.${column}`, '=', value);
  }
  if (filter.after !== undefined) query = query.where('k.id', '>', filter.after);
  if (filter.status !== undefined) {
    query = query.where((where) => {
      const active: SubjectState = 'active';
      const open = where.and([
        where('k.ends_at', '>', filter.now),
        ...(['s', 'a', 'o', 'g'] as const).map((each) => where(`${each}.state`, '=', active)),
        ...(['a', 'o', 'g'] as const).map((each) =>
          where.or([where(`${each}.ended_rev`, 'is', null), where(`${each}.ended_rev`, '<=', where.ref('k.rev'))]),
        ),
      ]);
      return filter.status === 'open' ? open : where.not(open);
    });
  }
  return ((await query.execute()) as TaskRow[]).map(taskOf);
}

function taskOf(row: TaskRow): Task {
  return {
    id: row.id,
    org: row.org,
    agent: row.agent,
    orchestrator: row.orchestrator,
    workflow: row.workflow,
    step: row.step ?? undefined,
    environment: row.environment ?? undefined,
    purpose: row.purpose,
    resources: row.resources === null ? undefined : (JSON.parse(row.resources) as TaskResource[]),
    restsOn: JSON.parse(row.rests_on) as string[],
    rev: row.rev,
    createdAt: row.created_at,
    endsAt: row.ends_at,
    endedAt: row.ended_at ?? undefined,
  };
}
