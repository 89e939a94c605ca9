import type { Queries, Tx } from '../store/database.ts';
import type { MandateRequestRow } from '../store/registry-tables.ts';
import type { MandateRequest, RequestStatus, WantedRequest } from './request.ts';

export async function findRequest(q: Queries, id: string): Promise<MandateRequest | undefined> {
  const row = await q.get<MandateRequestRow>('select * from mandate_requests where id = ?', [id]);
  return row && requestOf(row);
}

/**
 * Writes a request if fewer than `atMost` of its agent are pending; answers whether it did. Two nodes that count at the same moment may be one
 * request apart.
 */
export async function insertRequest(tx: Tx, request: MandateRequest, atMost: number): Promise<boolean> {
  const row = await tx.get(
    `insert into mandate_requests (id, org, agent, instance, holder, wanted, why, rests_on, rev, created_at, answer_by)
     select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
      where (select count(*) from (select 1 as one from mandate_requests
              where agent = ? and state = 'pending' and answer_by > ? limit ?) as pending) < ?
     returning id`,
    [
      request.id,
      request.org,
      request.agent,
      request.instance ?? null,
      request.holder,
      JSON.stringify(request.wanted),
      request.why ?? null,
      JSON.stringify(request.restsOn),
      request.rev,
      request.createdAt,
      request.answerBy,
      request.agent,
      request.createdAt,
      atMost,
      atMost,
    ],
  );
  return row !== undefined;
}

/** What becomes of a request: once, whoever asks for something else at the same moment. */
export interface RequestAnswer {
  id: string;
  state: 'granted' | 'refused' | 'withdrawn';
  mandate?: string;
  reason?: string | undefined;
  now: number;
}

/** Answers whether it was still pending, and is answered now. */
export async function answerRequest(tx: Tx, { id, state, mandate, reason, now }: RequestAnswer): Promise<boolean> {
  const row = await tx.get(
    `update mandate_requests set state = ?, mandate = ?, reason = ?, answered_at = ?
      where id = ? and state = 'pending' and answer_by > ? returning id`,
    [state, mandate ?? null, reason ?? null, now, id, now],
  );
  return row !== undefined;
}

export interface RequestFilter {
  org: string;
  /** Who asks. */
  agent?: string | undefined;
  /** Only those that any running copy of the agent asks for, or one of these. */
  instances?: readonly string[] | undefined;
  /** Who is asked. */
  holder?: string | undefined;
  /** Only those by or to agents that this person or team answers for. */
  owner?: string | undefined;
  /** As far as a query can tell: what has been stopped from elsewhere counts as pending. */
  status?: Exclude<RequestStatus, 'stopped'> | undefined;
  /** Milliseconds: as of when they have expired or not. */
  now: number;
  after?: string | undefined;
  limit: number;
}

/** Oldest first. */
export async function selectRequests(q: Queries, filter: RequestFilter): Promise<MandateRequest[]> {
  const { agent, instances, holder, owner, status, now, after } = filter;
  let query = q.kysely
    .selectFrom('mandate_requests')
    .selectAll()
    .where('org', '=', filter.org)
    .orderBy('id')
    .limit(filter.limit);
  if (agent !== undefined) query = query.where('agent', '=', agent);
  if (holder !== undefined) query = query.where('holder', '=', holder);
  if (instances !== undefined) {
    query = query.where((where) =>
      where.or([where('instance', 'is', null), ...(instances.length > 0 ? [where('instance', 'in', instances)] : [])]),
    );
  }
  if (owner !== undefined) {
    query = query.where((where) => {
      const theirs = where.selectFrom('agents').select('agents.id').where('agents.owner', '=', owner);
      return where.or([where('agent', 'in', theirs), where('holder', 'in', theirs)]);
    });
  }
  if (status !== undefined) query = query.where('state', '=', status === 'expired' ? 'pending' : status);
  if (status === 'pending') query = query.where('answer_by', '>', now);
  if (status === 'expired') query = query.where('answer_by', '<=', now);
  if (after !== undefined) query = query.where('id', '>', after);
  return ((await query.execute()) as MandateRequestRow[]).map(requestOf);
}

/** Forgets what was wanted, and why, where a mandate came of it. */
export async function clearRequestsOf(tx: Tx, mandate: string): Promise<void> {
  await tx.run("update mandate_requests set wanted = '{}', why = null where mandate = ?", [mandate]);
}

/** Forgets those that were to be answered before `time` (ms), at most so many. Answers how many. */
export async function deleteRequestsBefore(tx: Tx, time: number, atMost: number): Promise<number> {
  const rows = await tx.all(
    `delete from mandate_requests
      where id in (select id from mandate_requests where answer_by < ? order by answer_by limit ?) returning id`,
    [time, atMost],
  );
  return rows.length;
}

function requestOf(row: MandateRequestRow): MandateRequest {
  return {
    id: row.id,
    org: row.org,
    agent: row.agent,
    instance: row.instance ?? undefined,
    holder: row.holder,
    wanted: JSON.parse(row.wanted) as WantedRequest,
    why: row.why ?? undefined,
    state: row.state as MandateRequest['state'],
    mandate: row.mandate ?? undefined,
    reason: row.reason ?? undefined,
    restsOn: JSON.parse(row.rests_on) as string[],
    rev: row.rev,
    createdAt: row.created_at,
    answerBy: row.answer_by,
    answeredAt: row.answered_at ?? undefined,
  };
}
