import type { JwsAlgorithm } from '@bailiwick/protocol';
import type { Queries, Tx } from '../store/database.ts';
import type { TrustedIssuerRow } from '../store/registry-tables.ts';
import type { IssuerRule, TokenKind, TrustedIssuer } from './trusted-issuer.ts';

type Joined = TrustedIssuerRow & { state: string };

/** A trusted issuer by its id, suspended or not. */
export async function findTrustedIssuer(q: Queries, id: string): Promise<TrustedIssuer | undefined> {
  const row = await q.get<Joined>(
    'select i.*, s.state as state from trusted_issuers i join subjects s on s.id = i.id where i.id = ?',
    [id],
  );
  return row && issuerOf(row);
}

/** By what its tokens carry as `iss`, as this organization knows it. */
export async function findTrustedIssuerOf(q: Queries, org: string, issuer: string): Promise<TrustedIssuer | undefined> {
  const row = await q.get<Joined>(
    'select i.*, s.state as state from trusted_issuers i join subjects s on s.id = i.id where i.org = ? and i.issuer = ?',
    [org, issuer],
  );
  return row && issuerOf(row);
}

export interface TrustedIssuerFilter {
  org: string;
  issuer?: string | undefined;
  after?: string | undefined;
  limit: number;
}

/** Oldest first. */
export async function selectTrustedIssuers(q: Queries, filter: TrustedIssuerFilter): Promise<TrustedIssuer[]> {
  let query = q.kysely
    .selectFrom('trusted_issuers as i')
    .innerJoin('subjects as s', 's.id', 'i.id')
    .selectAll('i')
    .select('s.state as state')
    .where('i.org', '=', filter.org)
    .orderBy('i.id')
    .limit(filter.limit);
  if (filter.issuer !== undefined) query = query.where('i.issuer', '=', filter.issuer);
  if (filter.after !== undefined) query = query.where('i.id', '>', filter.after);
  return ((await query.execute()) as Joined[]).map(issuerOf);
}

/** Answers false if the organization trusts it already. */
export async function insertTrustedIssuer(tx: Tx, issuer: TrustedIssuer): Promise<boolean> {
  const row = await tx.get(
    `insert into trusted_issuers
       (id, org, issuer, jwks_uri, algorithms, accepts, audiences, max_age_seconds, rules, jwks, jwks_at, jwks_until, jwks_tried_at, fault,
        created_at, updated_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing returning id`,
    [issuer.id, issuer.org, issuer.issuer, ...changeable(issuer), issuer.createdAt, issuer.updatedAt],
  );
  return row !== undefined;
}

/** Everything but whom it means. */
export async function updateTrustedIssuer(tx: Tx, issuer: TrustedIssuer): Promise<void> {
  await tx.run(
    `update trusted_issuers set jwks_uri = ?, algorithms = ?, accepts = ?, audiences = ?, max_age_seconds = ?, rules = ?, jwks = ?, jwks_at = ?,
       jwks_until = ?, jwks_tried_at = ?, fault = ?, updated_at = ? where id = ?`,
    [...changeable(issuer), issuer.updatedAt, issuer.id],
  );
}

export async function deleteTrustedIssuer(tx: Tx, id: string): Promise<void> {
  await tx.run('delete from trusted_issuers where id = ?', [id]);
}

/** Takes the right to fetch its keys: true for one of all who try, on any node, unless that was tried after `since` (ms). */
export async function claimKeyFetch(
  tx: Tx,
  id: string,
  { now, since }: { now: number; since: number },
): Promise<boolean> {
  const row = await tx.get(
    'update trusted_issuers set jwks_tried_at = ? where id = ? and (jwks_tried_at is null or jwks_tried_at <= ?) returning id',
    [now, id, since],
  );
  return row !== undefined;
}

/** Keeps what was fetched, unless its address was changed meanwhile. */
export async function keepIssuerKeys(
  tx: Tx,
  issuer: Pick<TrustedIssuer, 'id' | 'jwksUri'>,
  { jwks, now, until }: { jwks: string; now: number; until: number },
): Promise<void> {
  await tx.run(
    'update trusted_issuers set jwks = ?, jwks_at = ?, jwks_until = ?, fault = null where id = ? and jwks_uri = ?',
    [jwks, now, until, issuer.id, issuer.jwksUri],
  );
}

export async function noteIssuerFault(
  tx: Tx,
  issuer: Pick<TrustedIssuer, 'id' | 'jwksUri'>,
  fault: string,
): Promise<void> {
  await tx.run('update trusted_issuers set fault = ? where id = ? and jwks_uri = ?', [
    fault,
    issuer.id,
    issuer.jwksUri,
  ]);
}

const changeable = (issuer: TrustedIssuer) => [
  issuer.jwksUri,
  JSON.stringify(issuer.algorithms),
  JSON.stringify(issuer.accepts),
  JSON.stringify(issuer.audiences),
  issuer.maxAgeSeconds,
  JSON.stringify(issuer.rules),
  issuer.jwks ?? null,
  issuer.jwksAt ?? null,
  issuer.jwksUntil ?? null,
  issuer.jwksTriedAt ?? null,
  issuer.fault ?? null,
];

const issuerOf = (row: Joined): TrustedIssuer => ({
  id: row.id,
  org: row.org,
  issuer: row.issuer,
  jwksUri: row.jwks_uri,
  algorithms: JSON.parse(row.algorithms) as JwsAlgorithm[],
  accepts: JSON.parse(row.accepts) as TokenKind[],
  audiences: JSON.parse(row.audiences) as string[],
  maxAgeSeconds: row.max_age_seconds,
  rules: JSON.parse(row.rules) as IssuerRule[],
  jwks: row.jwks ?? undefined,
  jwksAt: row.jwks_at ?? undefined,
  jwksUntil: row.jwks_until ?? undefined,
  jwksTriedAt: row.jwks_tried_at ?? undefined,
  fault: row.fault ?? undefined,
  status: row.state === 'suspended' ? 'suspended' : 'active',
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});
