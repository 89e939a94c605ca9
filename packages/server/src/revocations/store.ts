import { linkTag } from '@bailiwick/protocol';
import type { Queries, Tx } from '../store/database.ts';
import type { RevocableKind } from './subjects.ts';

/** A token as the event of its issue tells of it. */
export interface IssuedToken {
  org: string;
  agent: string;
  instance: string | undefined;
  /** Milliseconds. */
  endsAt: number;
  /** Id and identifier of what it is for. */
  resource: string;
  identifier: string;
}

/** @param event the id of the event of its issue */
export async function findIssue(q: Queries, event: string): Promise<IssuedToken | undefined> {
  const row = await q.get<{ leaf: string }>("select leaf from events where id = ? and type = 'token.issued'", [event]);
  if (!row) return undefined;
  const { org, agent, instance, resource, decided_on } = JSON.parse(row.leaf) as {
    org: string;
    agent: string;
    instance?: string;
    resource: string;
    decided_on: { expires_at: number; resource_id: string };
  };
  // the token says whole seconds
  const endsAt = Math.floor(decided_on.expires_at / 1000) * 1000;
  return { org, agent, instance, endsAt, resource: decided_on.resource_id, identifier: resource };
}

/** Says which revocations were ordered with one, by the number of the first. */
export async function setCause(tx: Tx, { first, last }: { first: number; last: number }): Promise<void> {
  await tx.run('update revocations set cause = ? where rev >= ? and rev <= ?', [first, first, last]);
}

/** The number of the last revocation of this very subject. */
export async function lastRevocation(q: Queries, subject: string): Promise<number | undefined> {
  const row = await q.get<{ rev: number | null }>(
    'select max(rev) as rev from revocations where tag = ? and subject = ?',
    [linkTag(subject), subject],
  );
  return row?.rev ?? undefined;
}

/** A revocation as it stands in the list. */
export interface Revocation {
  rev: number;
  subject: string;
  kind: RevocableKind | (string & {});
  /** As `liveness/` calls it. */
  effect: 'ended' | 'suspended' | 'narrowed';
  reason: string;
  /** The agent whose doing it was. */
  by: string;
  at: number;
  org: string | undefined;
  /** The agent that the subject is or hangs on. */
  agent: string | undefined;
  /** The first that was ordered with it. */
  cause: number | undefined;
}

export interface RevocationFilter {
  rev?: number | undefined;
  /** The one organization that may be seen; what is the deployment's own is seen by whoever may see all. */
  org?: string | undefined;
  /** Only what hangs on agents that this person or team answers for. */
  owner?: string | undefined;
  subject?: string | undefined;
  kind?: string | undefined;
  agent?: string | undefined;
  by?: string | undefined;
  /** Milliseconds, inclusive and exclusive. */
  since?: number | undefined;
  until?: number | undefined;
  before?: number | undefined;
  limit: number;
}

/** Newest first. What came with another is not listed by itself, unless it is asked for by its number or subject. */
export async function selectRevocations(q: Queries, filter: RevocationFilter): Promise<Revocation[]> {
  let query = q.kysely.selectFrom('revocations').selectAll().orderBy('rev', 'desc').limit(filter.limit);
  for (const [column, value] of [
    ['rev', filter.rev],
    ['org', filter.org],
    ['subject', filter.subject],
    ['kind', filter.kind],
    ['agent', filter.agent],
    ['by_agent', filter.by],
  ] as const) {
    if (value !== undefined) query = query.where(column, '=', value as never);
  }
  if (filter.since !== undefined) query = query.where('at', '>=', filter.since);
  if (filter.until !== undefined) query = query.where('at', '<', filter.until);
  if (filter.before !== undefined) query = query.where('rev', '<', filter.before);
  if (filter.owner !== undefined) {
    query = query.where('agent', 'in', q.kysely.selectFrom('agents').select('id').where('owner', '=', filter.owner));
  }
  if (filter.rev === undefined && filter.subject === undefined) {
    query = query.where((or) => or.or([or('cause', 'is', null), or('cause', '=', or.ref('rev'))]));
  }
  const rows = await query.execute();
  return rows.map((row) => ({
    rev: row.rev,
    subject: row.subject,
    kind: row.kind === null ? 'unknown' : kindOf(row.kind),
    effect: row.effect as Revocation['effect'],
    reason: row.reason,
    by: row.by_agent,
    at: row.at,
    org: row.org ?? undefined,
    agent: row.agent ?? undefined,
    cause: row.cause ?? undefined,
  }));
}

/** What `liveness/` calls a grant is the grant of a role, and an enrolment token is a credential. */
const kindOf = (kind: string): string =>
  kind === 'grant' ? 'role_grant' : kind === 'enrolment_token' ? 'credential' : kind;

/** What was ordered with a revocation, itself included. */
export async function selectOrdered(
  q: Queries,
  first: number,
): Promise<{ rev: number; subject: string; kind: string }[]> {
  const rows = await q.all<{ rev: number; subject: string; kind: string | null }>(
    'select rev, subject, kind from revocations where rev >= ? and cause = ? order by rev',
    [first, first],
  );
  return rows.map(({ rev, subject, kind }) => ({ rev, subject, kind: kindOf(kind ?? 'unknown') }));
}

/** Forgets why a person, what came with that, and agents that they answer for were revoked: there they may be named. */
export async function forgetReasons(tx: Tx, person: string): Promise<void> {
  await tx.run(
    `update revocations set reason = ''
     where subject = ? or agent in (select id from agents where owner = ?)
       or cause in (select rev from revocations where tag = ? and subject = ?)`,
    [person, person, linkTag(person), person],
  );
}
