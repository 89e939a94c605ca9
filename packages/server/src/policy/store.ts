import type { Queries, Tx } from '../store/database.ts';
import type { PolicyVersionRow } from '../store/registry-tables.ts';
import type { PolicySource } from './engine.ts';
import type { Policy, PolicyMode, PolicyVersion } from './policy.ts';

type JoinedRow = PolicyVersionRow & { name: string; policy_created_at: number };

/** The policy with this id as it is, removed or not. */
export async function findPolicy(q: Queries, id: string): Promise<Policy | undefined> {
  const row = await q.get<JoinedRow>(
    `select v.*, p.name as name, p.created_at as policy_created_at
       from policies p join policy_versions v on v.policy = p.id
      where p.id = ? order by v.revision desc limit 1`,
    [id],
  );
  return row && policyOf(row);
}

export interface PolicyFilter {
  org: string;
  name?: string | undefined;
  modes: readonly PolicyMode[];
  after?: string | undefined;
  limit: number;
}

/** Policies as they are, oldest first. */
export async function selectPolicies(q: Queries, filter: PolicyFilter): Promise<Policy[]> {
  let query = q.kysely
    .selectFrom('policies as p')
    .innerJoin('policy_versions as v', 'v.policy', 'p.id')
    .selectAll('v')
    .select(['p.name as name', 'p.created_at as policy_created_at'])
    .where('p.org', '=', filter.org)
    .where('v.revision', '=', (eb) =>
      eb
        .selectFrom('policy_versions as n')
        .select((each) => each.fn.max('n.revision').as('newest'))
        .whereRef('n.policy', '=', 'p.id'),
    )
    .where('v.mode', 'in', filter.modes)
    .orderBy('p.id')
    .limit(filter.limit);
  if (filter.name !== undefined) query = query.where('p.name', '=', filter.name);
  if (filter.after !== undefined) query = query.where('p.id', '>', filter.after);
  return ((await query.execute()) as JoinedRow[]).map(policyOf);
}

/** The number of the organization's last change; 0 if there was none. */
export async function lastRevision(q: Queries, org: string): Promise<number> {
  const row = await q.get<{ revision: number | null }>(
    'select max(revision) as revision from policy_versions where org = ?',
    [org],
  );
  return row?.revision ?? 0;
}

/** Ids, oldest first. */
export async function organizationsWithPolicies(q: Queries, limit: number): Promise<string[]> {
  const rows = await q.all<{ org: string }>('select distinct org from policies order by org limit ?', [limit]);
  return rows.map(({ org }) => org);
}

/** All that decides, or would, by name. @param revision as of which change: what came later is left out */
export async function selectSet(q: Queries, org: string, revision: number): Promise<PolicySource[]> {
  const rows = await q.all<{ name: string; text: string; mode: PolicySource['mode'] }>(
    `select p.name as name, v.text as text, v.mode as mode
       from policies p join policy_versions v on v.policy = p.id
      where p.org = ? and v.mode <> 'removed' and v.revision =
        (select max(n.revision) from policy_versions n where n.policy = p.id and n.revision <= ?)
      order by p.name`,
    [org, revision],
  );
  return rows.map(({ name, text, mode }) => ({ name, text, mode }));
}

/** Answers false if the name is, or was, another policy's of the organization. */
export async function insertPolicy(tx: Tx, policy: Omit<Policy, 'newest'>): Promise<boolean> {
  const row = await tx.get(
    'insert into policies (id, org, name, created_at) values (?, ?, ?, ?) on conflict do nothing returning id',
    [policy.id, policy.org, policy.name, policy.createdAt],
  );
  return row !== undefined;
}

/** Says what a policy says from now on. The revision is taken by the statement that writes it, so that no two have one. */
export async function insertVersion(tx: Tx, version: Omit<PolicyVersion, 'revision'>): Promise<PolicyVersion> {
  const row = await tx.get<{ revision: number }>(
    `insert into policy_versions (org, revision, policy, text, mode, author, reason, created_at)
     select cast(? as text), coalesce(max(revision), 0) + 1, cast(? as text), cast(? as text), cast(? as text),
            cast(? as text), cast(? as text), cast(? as bigint)
       from policy_versions where org = ? returning revision`,
    [version.org, version.policy, version.text, version.mode, version.author, version.reason, version.at, version.org],
  );
  if (!row) throw new Error('a version was not written');
  return { ...version, revision: row.revision };
}

/** What a policy said, newest first. */
export async function selectVersions(
  q: Queries,
  filter: { policy: string; before?: number | undefined; limit: number },
): Promise<PolicyVersion[]> {
  const rows = await q.all<PolicyVersionRow>(
    'select * from policy_versions where policy = ? and revision < ? order by revision desc limit ?',
    [filter.policy, filter.before ?? Number.MAX_SAFE_INTEGER, filter.limit],
  );
  return rows.map(versionOf);
}

/** What a policy said from exactly this revision on. */
export async function findVersion(q: Queries, policy: string, revision: number): Promise<PolicyVersion | undefined> {
  const row = await q.get<PolicyVersionRow>('select * from policy_versions where policy = ? and revision = ?', [
    policy,
    revision,
  ]);
  return row && versionOf(row);
}

/** Organizations that never had a policy: they are older than policies are. */
export async function organizationsWithoutPolicies(q: Queries): Promise<string[]> {
  const rows = await q.all<{ id: string }>(
    'select o.id as id from organizations o where not exists (select 1 from policies p where p.org = o.id) order by o.id',
  );
  return rows.map(({ id }) => id);
}

/** How many policies of the organization are not removed. */
export async function countPolicies(q: Queries, org: string): Promise<number> {
  const row = await q.get<{ count: number }>(
    `select count(*) as count from policies p join policy_versions v on v.policy = p.id
      where p.org = ? and v.mode <> 'removed'
        and v.revision = (select max(n.revision) from policy_versions n where n.policy = p.id)`,
    [org],
  );
  return Number(row?.count ?? 0);
}

const versionOf = (row: PolicyVersionRow): PolicyVersion => ({
  org: row.org,
  revision: row.revision,
  policy: row.policy,
  text: row.text,
  mode: row.mode as PolicyMode,
  author: row.author,
  reason: row.reason,
  at: row.created_at,
});

const policyOf = (row: JoinedRow): Policy => ({
  id: row.policy,
  org: row.org,
  name: row.name,
  createdAt: row.policy_created_at,
  newest: versionOf(row),
});
