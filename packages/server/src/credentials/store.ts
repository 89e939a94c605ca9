import type { JwsAlgorithm, PublicJwk } from '@bailiwick/protocol';
import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { CredentialRow } from '../store/registry-tables.ts';
import type { Credential, CredentialDetail, OtherCredential, PublicKeyCredential } from './credential.ts';

type JoinedRow = CredentialRow & { state: SubjectState };

/** How stale `last_used_at` may be: nobody needs it to the second, and every write of it costs the disk. Milliseconds. */
const touchedAtMostEvery = 60 * 60 * 1000;

/**
 * The keys with which the agent may prove itself at `now` (ms): neither removed nor expired, the oldest first.
 */
export async function liveCredentials(q: Queries, agent: string, now: number): Promise<Credential[]> {
  const rows = await q.all<JoinedRow>(
    `select c.*, s.state as state
       from credentials c
       join subjects s on s.id = c.id
      where c.agent = ? and s.state = 'active' and (c.expires_at is null or c.expires_at > ?)
      order by c.id`,
    [agent, now],
  );
  return rows.map(credentialOf);
}

/**
 * Notes that a credential was used, at most once an hour each: usually this changes no row. Not for the hot path:
 * call it after the answer, in its own transaction.
 */
export async function touchCredential(q: Queries, id: string, now: number): Promise<void> {
  await q.run('update credentials set last_used_at = ? where id = ? and (last_used_at is null or last_used_at < ?)', [
    now,
    id,
    now - touchedAtMostEvery,
  ]);
}

/** The credential with this id, whatever its status. */
export async function findCredential(q: Queries, id: string): Promise<Credential | undefined> {
  const row = await q.get<JoinedRow>(
    'select c.*, s.state as state from credentials c join subjects s on s.id = c.id where c.id = ?',
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
    `select c.*, s.state as state
       from credentials c
       join subjects s on s.id = c.id
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

/** Whose key this is, or was. */
export async function findKeyHolder(q: Queries, thumbprint: string): Promise<{ agent: string } | undefined> {
  return q.get('select agent from credentials where thumbprint = ?', [thumbprint]);
}

export interface CredentialFilter {
  org: string;
  agent?: string | undefined;
  kid?: string | undefined;
  status?: Credential['status'] | undefined;
  after?: string | undefined;
  limit: number;
}

/** Oldest first. */
export async function selectCredentials(q: Queries, filter: CredentialFilter): Promise<Credential[]> {
  let query = q.kysely
    .selectFrom('credentials as c')
    .innerJoin('subjects as s', 's.id', 'c.id')
    .selectAll('c')
    .select('s.state as state')
    .where('c.org', '=', filter.org)
    .orderBy('c.id')
    .limit(filter.limit);
  if (filter.agent !== undefined) query = query.where('c.agent', '=', filter.agent);
  if (filter.kid !== undefined) query = query.where('c.kid', '=', filter.kid);
  if (filter.status === 'active') query = query.where('s.state', '=', 'active');
  if (filter.status === 'removed') query = query.where('s.state', '!=', 'active');
  if (filter.after !== undefined) query = query.where('c.id', '>', filter.after);
  return ((await query.execute()) as JoinedRow[]).map(credentialOf);
}

/** A credential as it is inserted: alive, whatever is said of it. */
type Unregistered = Omit<PublicKeyCredential, 'status'> | Omit<OtherCredential, 'status'>;

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

/** Ids of all of an agent's credentials, removed ones too. */
export async function credentialIds(q: Queries, agent: string): Promise<string[]> {
  const rows = await q.all<{ id: string }>('select id from credentials where agent = ? order by id', [agent]);
  return rows.map(({ id }) => id);
}

/** A row of `credentials`, joined with what `liveness/` says of it. */
function credentialOf(row: JoinedRow): Credential {
  return {
    id: row.id,
    agent: row.agent,
    org: row.org,
    ...kindOf(row),
    thumbprint: row.thumbprint,
    label: row.label,
    createdAt: row.created_at,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at }),
    ...(row.used_at === null ? {} : { usedAt: row.used_at }),
    status: row.state === 'active' ? 'active' : 'removed',
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
