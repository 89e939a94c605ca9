import type { Queries, Tx } from '../store/database.ts';
import type { TrustDomainRow } from '../store/registry-tables.ts';
import type { BundleEndpoint, TrustDomain } from './trust-domain.ts';

/** A foreign trust domain by its id. */
export async function findTrustDomain(q: Queries, id: string): Promise<TrustDomain | undefined> {
  const row = await q.get<TrustDomainRow>('select * from trust_domains where id = ?', [id]);
  return row && domainOf(row);
}

/** By its name, as this organization knows it. */
export async function findTrustDomainOf(q: Queries, org: string, name: string): Promise<TrustDomain | undefined> {
  const row = await q.get<TrustDomainRow>('select * from trust_domains where org = ? and name = ?', [org, name]);
  return row && domainOf(row);
}

export interface TrustDomainFilter {
  org: string;
  name?: string | undefined;
  after?: string | undefined;
  limit: number;
}

/** Oldest first. */
export async function selectTrustDomains(q: Queries, filter: TrustDomainFilter): Promise<TrustDomain[]> {
  let query = q.kysely
    .selectFrom('trust_domains')
    .selectAll()
    .where('org', '=', filter.org)
    .orderBy('id')
    .limit(filter.limit);
  if (filter.name !== undefined) query = query.where('name', '=', filter.name);
  if (filter.after !== undefined) query = query.where('id', '>', filter.after);
  return ((await query.execute()) as TrustDomainRow[]).map(domainOf);
}

/** Those whose endpoint is to be asked by now (ms), of every organization; the longest due first. */
export async function selectDue(q: Queries, now: number, limit: number): Promise<TrustDomain[]> {
  const rows = await q.all<TrustDomainRow>(
    'select * from trust_domains where due_at is not null and due_at <= ? order by due_at limit ?',
    [now, limit],
  );
  return rows.map(domainOf);
}

/** Answers false if the organization knows one of this name. */
export async function insertTrustDomain(tx: Tx, domain: TrustDomain): Promise<boolean> {
  const row = await tx.get(
    `insert into trust_domains
       (id, org, name, url, profile, endpoint_id, bundle, sequence, confirmed_at, tried_at, due_at, fault, created_at, updated_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing returning id`,
    [domain.id, domain.org, domain.name, ...changeable(domain), domain.createdAt, domain.updatedAt],
  );
  return row !== undefined;
}

/** Everything but its name. */
export async function updateTrustDomain(tx: Tx, domain: TrustDomain): Promise<void> {
  await tx.run(
    `update trust_domains set url = ?, profile = ?, endpoint_id = ?, bundle = ?, sequence = ?, confirmed_at = ?, tried_at = ?,
       due_at = ?, fault = ?, updated_at = ? where id = ?`,
    [...changeable(domain), domain.updatedAt, domain.id],
  );
}

export async function deleteTrustDomain(tx: Tx, id: string): Promise<void> {
  await tx.run('delete from trust_domains where id = ?', [id]);
}

/**
 * Takes the right to ask the endpoint: true for exactly one of all who try at once, on any node.
 * @param attempt unless it was asked after `since` (ms); the next regular round is then at `dueAt`
 */
export async function claimAttempt(
  tx: Tx,
  id: string,
  attempt: { now: number; since: number; dueAt: number },
): Promise<boolean> {
  const row = await tx.get(
    `update trust_domains set tried_at = ?, due_at = ?
      where id = ? and url is not null and (tried_at is null or tried_at <= ?) returning id`,
    [attempt.now, attempt.dueAt, id, attempt.since],
  );
  return row !== undefined;
}

export interface Confirmation {
  bundle: string;
  sequence: number | undefined;
  now: number;
  dueAt: number;
}

/**
 * Keeps what the endpoint said. Answers false, and keeps nothing, if an operator changed the trust domain after it was read, or
 * a bundle with a greater sequence number has come meanwhile.
 */
export async function confirmBundle(tx: Tx, domain: TrustDomain, news: Confirmation): Promise<boolean> {
  const { bundle, sequence = null, now, dueAt } = news;
  const row = await tx.get(
    `update trust_domains set bundle = ?, sequence = ?, confirmed_at = ?, tried_at = ?, due_at = ?, fault = null
      where id = ? and updated_at = ?
        and (sequence is null or cast(? as bigint) is null or sequence <= cast(? as bigint)) returning id`,
    [bundle, sequence, now, now, dueAt, domain.id, domain.updatedAt, sequence, sequence],
  );
  return row !== undefined;
}

/** Notes why the endpoint gave nothing; what is known stays. */
export async function noteFault(tx: Tx, domain: TrustDomain, fault: string): Promise<void> {
  await tx.run('update trust_domains set fault = ? where id = ? and updated_at = ?', [
    fault,
    domain.id,
    domain.updatedAt,
  ]);
}

const changeable = (domain: TrustDomain) => [
  domain.endpoint?.url ?? null,
  domain.endpoint?.profile ?? null,
  domain.endpoint?.spiffeId ?? null,
  domain.bundle ?? null,
  domain.sequence ?? null,
  domain.confirmedAt ?? null,
  domain.triedAt ?? null,
  domain.dueAt ?? null,
  domain.fault ?? null,
];

function domainOf(row: TrustDomainRow): TrustDomain {
  return {
    id: row.id,
    org: row.org,
    name: row.name,
    endpoint:
      row.url === null
        ? undefined
        : {
            url: row.url,
            profile: row.profile as BundleEndpoint['profile'],
            ...(row.endpoint_id !== null && { spiffeId: row.endpoint_id }),
          },
    bundle: row.bundle ?? undefined,
    sequence: row.sequence ?? undefined,
    confirmedAt: row.confirmed_at ?? undefined,
    triedAt: row.tried_at ?? undefined,
    dueAt: row.due_at ?? undefined,
    fault: row.fault ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
