import type { JwsAlgorithm, PublicJwk } from '@bailiwick/protocol';
import type { ExpressionBuilder } from 'kysely';
import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { CredentialRow } from '../store/registry-tables.ts';
import type { Tables } from '../store/tables.ts';
import {
  type Credential,
  type CredentialDetail,
  lastUseUnknownMs,
  type OtherCredential,
  type PublicKeyCredential,
  type Standing,
} from './credential.ts';

type SubjectsRow = Tables['subjects'];

/** A credential's row, with what `liveness/` says of it and of the agent that holds it. */
type JoinedRow = CredentialRow & { state: SubjectState; holder: SubjectState };

/**
 * What the agent may prove itself with at `now` (ms): neither removed nor expired, the oldest first. Enrolment tokens
 * aren't among them: they prove nothing of the agent, may be many, and are found by their hash.
 */
export async function liveCredentials(q: Queries, agent: string, now: number): Promise<Credential[]> {
  const rows = await q.all<JoinedRow>(
    `select c.*, s.state as state, h.state as holder
       from credentials c
       join subjects s on s.id = c.id
       join subjects h on h.id = c.agent
      where c.agent = ? and c.kind <> 'enrolment_token' and s.state = 'active'
        and (c.expires_at is null or c.expires_at > ?)
      order by c.id`,
    [agent, now],
  );
  return rows.map(credentialOf);
}

/**
 * Notes that a credential was used, at most once an hour each, or once a minute if it has an end: usually this changes no row. Not for the hot path:
 * call it after the answer, in its own transaction.
 */
export async function touchCredential(q: Queries, id: string, now: number): Promise<void> {
  const { lasting, ending } = lastUseUnknownMs;
  await q.run(
    `update credentials set last_used_at = ?
      where id = ? and (last_used_at is null or (expires_at is null and last_used_at < ?)
        or (expires_at is not null and last_used_at < ?))`,
    [now, id, now - lasting, now - ending],
  );
}

/** The credential with this id, whatever its status. */
export async function findCredential(q: Queries, id: string): Promise<Credential | undefined> {
  const row = await q.get<JoinedRow>(
    `select c.*, s.state as state, h.state as holder
       from credentials c
       join subjects s on s.id = c.id
       join subjects h on h.id = c.agent
      where c.id = ?`,
    [id],
  );
  return row && credentialOf(row);
}

/**
 * The secret or enrolment token with this hash, if it is neither removed nor expired at `now` (ms). One that was used
 * already is answered too, with `usedAt`: who asks may say so in the log, and `useOnce` alone decides.
 */
export async function findByHash<Kind extends 'secret' | 'enrolment_token'>(
  q: Queries,
  kind: Kind,
  hash: string,
  now: number,
): Promise<Extract<OtherCredential, { kind: Kind }> | undefined> {
  const row = await q.get<JoinedRow>(
    `select c.*, s.state as state, h.state as holder
       from credentials c
       join subjects s on s.id = c.id
       join subjects h on h.id = c.agent
      where c.thumbprint = ? and c.kind = ? and s.state = 'active' and (c.expires_at is null or c.expires_at > ?)`,
    [hash, kind, now],
  );
  return row && (credentialOf(row) as Extract<OtherCredential, { kind: Kind }>);
}

/** Spends what works once, and notes the use: true for exactly one caller, whoever else tries at the same time. */
export async function useOnce(tx: Tx, id: string, now: number): Promise<boolean> {
  const row = await tx.get(
    'update credentials set used_at = ?, last_used_at = ? where id = ? and used_at is null returning id',
    [now, now, id],
  );
  return row !== undefined;
}

/** How many thumbprints `findByThumbprints` takes. */
export const thumbprintsAtMost = 17;

/**
 * As `findByThumbprint`, for several at once: the same statement however many there are, and however many are found.
 * @throws RangeError for more than `thumbprintsAtMost`
 */
export async function findByThumbprints(q: Queries, thumbprints: readonly string[]): Promise<Credential[]> {
  if (thumbprints.length > thumbprintsAtMost) throw new RangeError('too many thumbprints at once');
  const values = Array.from({ length: thumbprintsAtMost }, (_, i) => thumbprints[i] ?? '');
  const rows = await q.all<JoinedRow>(
    `select c.*, s.state as state, h.state as holder
       from credentials c
       join subjects s on s.id = c.id
       join subjects h on h.id = c.agent
      where c.thumbprint in (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    values,
  );
  return rows.map(credentialOf);
}

/** Whose this is, or was, and whether it has ended for good. */
export async function findByThumbprint(q: Queries, thumbprint: string): Promise<Credential | undefined> {
  const row = await q.get<JoinedRow>(
    `select c.*, s.state as state, h.state as holder
       from credentials c
       join subjects s on s.id = c.id
       join subjects h on h.id = c.agent
      where c.thumbprint = ?`,
    [thumbprint],
  );
  return row && credentialOf(row);
}

/**
 * SPIFFE IDs and patterns of a trust domain that stand for agents of other organizations. Expired ones are among them: as
 * long as they aren't removed, their end can be moved.
 */
export async function spiffeIdsElsewhere(q: Queries, org: string, trustDomain: string): Promise<string[]> {
  const rows = await q.all<{ detail: string }>(
    `select c.detail from credentials c join subjects s on s.id = c.id
      where c.kind = 'spiffe_id' and c.org <> ? and s.state = 'active'`,
    [org],
  );
  const names = rows.map(({ detail }) => (JSON.parse(detail) as { spiffe_id: string }).spiffe_id);
  return names.filter((name) => name.startsWith(`spiffe://${trustDomain}/`));
}

/** How many enrolment tokens of an agent could be used at `now` (ms). */
export async function countUnusedTokens(q: Queries, agent: string, now: number): Promise<number> {
  const row = await q.get<{ n: number }>(
    `select count(*) as n from credentials c join subjects s on s.id = c.id
      where c.agent = ? and c.kind = 'enrolment_token' and c.used_at is null and c.expires_at > ? and s.state = 'active'`,
    [agent, now],
  );
  return Number(row?.n ?? 0);
}

export interface CredentialFilter {
  org: string;
  agent?: string | undefined;
  kid?: string | undefined;
  kind?: Credential['kind'] | undefined;
  standing?: Standing | undefined;
  /** Milliseconds: surely not used since then, nor made since then. */
  staleSince?: number | undefined;
  /** Milliseconds: ends by itself before then. */
  expiringBefore?: number | undefined;
  /** Milliseconds: as of when `standing` is meant. */
  now: number;
  after?: string | undefined;
  limit: number;
}

/** Oldest first. */
export async function selectCredentials(q: Queries, filter: CredentialFilter): Promise<Credential[]> {
  const { agent, kid, kind, standing, staleSince, expiringBefore, after } = filter;
  let query = q.kysely
    .selectFrom('credentials as c')
    .innerJoin('subjects as s', 's.id', 'c.id')
    .innerJoin('subjects as h', 'h.id', 'c.agent')
    .selectAll('c')
    .select(['s.state as state', 'h.state as holder'])
    .where('c.org', '=', filter.org)
    .orderBy('c.id')
    .limit(filter.limit);
  if (agent !== undefined) query = query.where('c.agent', '=', agent);
  if (kid !== undefined) query = query.where('c.kid', '=', kid);
  if (kind !== undefined) query = query.where('c.kind', '=', kind);
  if (expiringBefore !== undefined) query = query.where('c.expires_at', '<', expiringBefore);
  if (staleSince !== undefined) {
    query = query.where('c.created_at', '<', staleSince);
    const noted = staleSince - lastUseUnknownMs.lasting; // it may have been used an hour later, and not be stale
    query = query.where((is) => is.or([is('c.last_used_at', 'is', null), is('c.last_used_at', '<', noted)]));
  }
  if (standing !== undefined) query = query.where((is) => standingIs(is, standing, filter.now));
  if (after !== undefined) query = query.where('c.id', '>', after);
  return ((await query.execute()) as JoinedRow[]).map(credentialOf);
}

type Joined = ExpressionBuilder<Tables & { c: CredentialRow; s: SubjectsRow; h: SubjectsRow }, 'c' | 's' | 'h'>;

/** The same distinctions as `standingOf`. */
function standingIs(is: Joined, standing: Standing, now: number) {
  if (standing === 'removed') return is('s.state', '!=', 'active');
  const living = is('s.state', '=', 'active');
  if (standing === 'used') return is.and([living, is('c.used_at', 'is not', null)]);
  const unused = is.and([living, is('c.used_at', 'is', null)]);
  if (standing === 'expired') return is.and([unused, is('c.expires_at', '<=', now)]);
  const inTime = is.or([is('c.expires_at', 'is', null), is('c.expires_at', '>', now)]);
  return is.and([unused, inTime, is('h.state', standing === 'active' ? '=' : '!=', 'active')]);
}

/** A credential as it is inserted: alive, whatever is said of it. */
export type Unregistered = Omit<PublicKeyCredential, 'status'> | Omit<OtherCredential, 'status'>;

/**
 * Frees the thumbprint of a credential that was removed, so that it can be registered again: for names, which may be
 * given anew, and never for keys.
 */
export async function freeThumbprint(tx: Tx, id: string): Promise<void> {
  await tx.run("update credentials set thumbprint = thumbprint || '~' || id where id = ?", [id]);
}

/** Answers false if the key is known already, whoever's it is. */
export async function insertCredential(tx: Tx, credential: Unregistered): Promise<boolean> {
  const row = await tx.get(
    `insert into credentials
       (id, agent, org, kind, thumbprint, kid, alg, jwk, detail, label, created_at, expires_at, last_used_at, used_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, null, null) on conflict do nothing returning id`,
    [
      credential.id,
      credential.agent,
      credential.org,
      credential.kind,
      credential.thumbprint,
      ...(credential.kind === 'public_key'
        ? [credential.kid, credential.alg, JSON.stringify(credential.jwk), null]
        : [null, null, null, JSON.stringify(credential.detail)]),
      credential.label,
      credential.createdAt,
      credential.expiresAt ?? null,
    ],
  );
  return row !== undefined;
}

export async function updateCredential(
  tx: Tx,
  credential: { id: string; label: string; expiresAt?: number | undefined },
): Promise<void> {
  await tx.run('update credentials set label = ?, expires_at = ? where id = ?', [
    credential.label,
    credential.expiresAt ?? null,
    credential.id,
  ]);
}

/** Ids of all of an agent's credentials that were not removed: expired and used ones too, since something may rest on them. */
export async function credentialIds(q: Queries, agent: string): Promise<string[]> {
  const rows = await q.all<{ id: string }>(
    `select c.id from credentials c join subjects s on s.id = c.id where c.agent = ? and s.state = 'active' order by c.id`,
    [agent],
  );
  return rows.map(({ id }) => id);
}

function credentialOf(row: JoinedRow): Credential {
  return {
    id: row.id,
    agent: row.agent,
    org: row.org,
    ...kindOf(row),
    thumbprint: row.thumbprint.replace(/~.*/, ''), // as it was before `freeThumbprint`
    label: row.label,
    createdAt: row.created_at,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at }),
    ...(row.used_at === null ? {} : { usedAt: row.used_at }),
    status: row.state !== 'active' ? 'removed' : row.holder === 'active' ? 'active' : 'suspended',
  };
}

function kindOf(row: CredentialRow): Pick<PublicKeyCredential, 'kind' | 'kid' | 'alg' | 'jwk'> | CredentialDetail {
  if (row.kind !== 'public_key') {
    return { kind: row.kind, detail: JSON.parse(row.detail ?? '{}') } as CredentialDetail;
  }
  return {
    kind: 'public_key',
    kid: row.kid as string,
    alg: row.alg as JwsAlgorithm,
    jwk: JSON.parse(row.jwk as string) as PublicJwk,
  };
}
