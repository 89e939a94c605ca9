import type { Queries, Tx } from '../store/database.ts';

/** The canary of an organization. `key` is sealed: what the canary and its guard prove themselves with. */
export interface CanaryRow {
  org: string;
  agent: string;
  resource: string;
  role: string;
  credential: string;
  key: string;
}

export async function findCanary(q: Queries, org: string): Promise<CanaryRow | undefined> {
  return q.get('select org, agent, resource, role, credential, key from drill_canaries where org = ?', [org]);
}

export async function putCanary(tx: Tx, row: CanaryRow, now: number): Promise<void> {
  await tx.run('delete from drill_canaries where org = ?', [row.org]);
  await tx.run(
    'insert into drill_canaries (org, agent, resource, role, credential, key, created_at) values (?, ?, ?, ?, ?, ?, ?)',
    [row.org, row.agent, row.resource, row.role, row.credential, row.key, now],
  );
}

/** Which organization's canary an agent is, if it is one. */
export async function canaryAgents(q: Queries): Promise<string[]> {
  return (await q.all<{ agent: string }>('select agent from drill_canaries')).map(({ agent }) => agent);
}

/** Takes a name until a time: true for one drill, on any node. */
export async function claim(
  tx: Tx,
  wanted: { name: string; drill: string; until: number; now: number },
): Promise<boolean> {
  const row = await tx.get(
    `insert into drill_claims (name, drill, until) values (?, ?, ?)
     on conflict (name) do update set drill = excluded.drill, until = excluded.until where drill_claims.until <= ?
     returning name`,
    [wanted.name, wanted.drill, wanted.until, wanted.now],
  );
  return row !== undefined;
}

/** Begins what was claimed: true once, for the first who comes. */
export async function begin(tx: Tx, name: string, drill: string): Promise<boolean> {
  return (
    (await tx.run('update drill_claims set drill = ? where name = ? and drill = ?', [begun(drill), name, drill])) > 0
  );
}

const begun = (drill: string) => `${drill} begun`;

/** Gives it back, unless it is another's by now. */
export async function release(tx: Tx, name: string, drill: string): Promise<void> {
  await tx.run('update drill_claims set until = 0 where name = ? and drill = ?', [name, begun(drill)]);
}

/** Until when a name is taken (milliseconds). */
export async function claimedUntil(q: Queries, name: string): Promise<number | undefined> {
  return (await q.get<{ until: number }>('select until from drill_claims where name = ?', [name]))?.until;
}

/** Resources of an organization that somebody guards: id, and what is registered of it. */
export async function guardedResources(q: Queries, org: string): Promise<string[]> {
  const rows = await q.all<{ resource: string }>(
    `select distinct g.resource as resource from guards g join subjects s on s.id = g.id join subjects r on r.id = g.resource
     where g.org = ? and s.state = 'active' and r.state = 'active' order by g.resource`,
    [org],
  );
  return rows.map(({ resource }) => resource);
}
