import type { JwsAlgorithm, PublicJwk } from '@bailiwick/protocol';
import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries } from '../store/database.ts';
import type { CredentialRow } from '../store/registry-tables.ts';
import type { Credential } from './credential.ts';

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

/** A row of `credentials`, joined with what `liveness/` says of it. */
export function credentialOf(row: JoinedRow): Credential {
  return {
    id: row.id,
    agent: row.agent,
    org: row.org,
    kind: 'public_key',
    kid: row.kid,
    alg: row.alg as JwsAlgorithm,
    jwk: JSON.parse(row.jwk) as PublicJwk,
    label: row.label,
    createdAt: row.created_at,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at }),
    status: row.state === 'active' ? 'active' : 'removed',
  };
}
