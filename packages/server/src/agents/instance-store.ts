import type { JwsAlgorithm, PublicJwk } from '@bailiwick/protocol';
import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { InstanceRow } from '../store/registry-tables.ts';
import type { Attribute, Instance } from './instance.ts';
import { forgetPlace } from './instance-count-store.ts';

/** The instance with this id, whether it still lives or not: the caller asks `instanceAlive`. */
export async function findInstance(q: Queries, id: string): Promise<Instance | undefined> {
  const row = await q.get<InstanceRow>('select * from instances where id = ?', [id]);
  return row && instanceOf(row);
}

/** The instance with this key (RFC 7638), living or not. A key that it had before it renewed finds nothing. */
export async function findInstanceByKey(q: Queries, thumbprint: string): Promise<Instance | undefined> {
  const row = await q.get<InstanceRow>('select * from instances where thumbprint = ?', [thumbprint]);
  return row && instanceOf(row);
}

/** The instance with this SPIFFE ID, living or not. */
export async function findInstanceBySpiffeId(q: Queries, spiffeId: string): Promise<Instance | undefined> {
  const found = await findInstance(q, spiffeId.slice(spiffeId.lastIndexOf('/') + 1)); // its last segment is its id
  return found?.spiffeId === spiffeId ? found : undefined;
}

/** Answers false if the key is, or lately was, another instance's. */
export async function insertInstance(tx: Tx, instance: Instance): Promise<boolean> {
  const row = await tx.get(
    `insert into instances
       (id, org, agent, parent, ancestors, name, spiffe_id, credential, rests_until, thumbprint, alg, jwk, attributes, allowed, rev,
        created_at, renewed_at, expires_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing returning id`,
    [
      instance.id,
      instance.org,
      instance.agent,
      instance.parent ?? null,
      JSON.stringify(instance.ancestors),
      instance.name ?? null,
      instance.spiffeId,
      instance.credential,
      instance.restsUntil ?? null,
      instance.thumbprint,
      instance.alg,
      JSON.stringify(instance.jwk),
      JSON.stringify(instance.attributes),
      instance.allowed === undefined ? null : JSON.stringify(instance.allowed),
      instance.rev,
      instance.createdAt,
      instance.renewedAt,
      instance.expiresAt,
    ],
  );
  return row !== undefined;
}

/**
 * Writes a renewal over what was read before. Answers false if somebody else was faster.
 * @throws Error when the new key is another instance's: ask `findInstanceByKey` before, under the agent's lock
 */
export async function renewInstance(tx: Tx, before: Instance, after: Instance): Promise<boolean> {
  const row = await tx.get(
    `update instances set thumbprint = ?, alg = ?, jwk = ?, attributes = ?, renewed_at = ?, expires_at = ?
      where id = ? and thumbprint = ? and renewed_at = ? and expires_at = ? returning id`,
    [
      after.thumbprint,
      after.alg,
      JSON.stringify(after.jwk),
      JSON.stringify(after.attributes),
      after.renewedAt,
      after.expiresAt,
      before.id,
      before.thumbprint,
      before.renewedAt,
      before.expiresAt,
    ],
  );
  return row !== undefined;
}

/** Whether a child of this name has not ended yet at `now` (ms), by time or because it was ended. */
export async function hasLivingChild(q: Queries, parent: string, name: string, now: number): Promise<boolean> {
  const row = await q.get(
    `select i.id from instances i join subjects s on s.id = i.id
      where i.parent = ? and i.name = ? and i.expires_at > ? and s.state = 'active' limit 1`,
    [parent, name, now],
  );
  return row !== undefined;
}

/** How many live below an instance at `now` (ms), in every generation. */
export async function countLivingBelow(q: Queries, id: string, now: number): Promise<number> {
  let count = 0;
  // one by one: how many there may be is bounded, and each is a look into an index, whatever the planner thinks
  for (const parents = [id]; parents.length > 0; ) {
    const rows = await q.all<{ id: string }>('select id from instances where parent = ? and expires_at > ?', [
      parents.pop() as string,
      now,
    ]);
    count += rows.length;
    parents.push(...rows.map((row) => row.id));
  }
  return count;
}

/** The children of an instance that have not ended at `now` (ms), their children, and so on. */
export async function livingDescendants(q: Queries, id: string, now: number): Promise<Instance[]> {
  const found: Instance[] = [];
  for (const parents = [id]; parents.length > 0; ) {
    const rows = await q.all<InstanceRow>('select * from instances where parent = ? and expires_at > ?', [
      parents.pop() as string,
      now,
    ]);
    found.push(...rows.map(instanceOf));
    parents.push(...rows.map((row) => row.id));
  }
  return found;
}

/** Says when an instance that was ended did so, which is what counts and lists look at; truth stands in `liveness/`. */
export async function setInstanceEnd(tx: Tx, id: string, endedAt: number): Promise<void> {
  await tx.run('update instances set expires_at = ? where id = ?', [endedAt, id]);
}

export type ListedInstance = Instance & { status: 'active' | 'ended' };

export interface InstanceFilter {
  id?: string | undefined;
  org?: string | undefined;
  agent?: string | undefined;
  parent?: string | undefined;
  status?: ListedInstance['status'] | undefined;
  /** Milliseconds: as of when they live or not. */
  now: number;
  after?: string | undefined;
  limit: number;
}

type ListedRow = InstanceRow & {
  state: SubjectState;
  agent_state: SubjectState;
  agent_ended: number | null;
  org_state: SubjectState;
  org_ended: number | null;
  credential_state: SubjectState;
};

/** Oldest first, each with how it stands: ended with its agent, organization or credential too. */
export async function selectInstances(q: Queries, filter: InstanceFilter): Promise<ListedInstance[]> {
  let query = q.kysely
    .selectFrom('instances as i')
    .innerJoin('subjects as s', 's.id', 'i.id')
    .innerJoin('subjects as a', 'a.id', 'i.agent')
    .innerJoin('subjects as o', 'o.id', 'i.org')
    .innerJoin('subjects as c', 'c.id', 'i.credential')
    .selectAll('i')
    .select([
      's.state as state',
      'a.state as agent_state',
      'a.ended_rev as agent_ended',
      'o.state as org_state',
      'o.ended_rev as org_ended',
      'c.state as credential_state',
    ])
    .orderBy('i.id')
    .limit(filter.limit);
  for (const column of ['id', 'org', 'agent', 'parent'] as const) {
    const value = filter[column];
    if (value !== undefined) query = query.where(`i.${column}`, '=', value);
  }
  if (filter.after !== undefined) query = query.where('i.id', '>', filter.after);
  if (filter.status !== undefined) {
    query = query.where((where) => {
      const lives = where.and([
        where('i.expires_at', '>', filter.now),
        ...(['s', 'a', 'o', 'c'] as const).map((each) => where(`${each}.state`, '=', 'active')),
        ...(['a', 'o'] as const).map((each) =>
          where.or([where(`${each}.ended_rev`, 'is', null), where(`${each}.ended_rev`, '<=', where.ref('i.rev'))]),
        ),
      ]);
      return filter.status === 'active' ? lives : where.not(lives);
    });
  }
  const rows = (await query.execute()) as ListedRow[];
  return rows.map((row) => ({ ...instanceOf(row), status: lives(row, filter.now) ? 'active' : 'ended' }));
}

function lives(row: ListedRow, now: number): boolean {
  const states = [row.state, row.agent_state, row.org_state, row.credential_state];
  return (
    row.expires_at > now &&
    states.every((state) => state === 'active') &&
    [row.agent_ended, row.org_ended].every((ended) => ended === null || ended <= row.rev)
  );
}

export function instanceOf(row: InstanceRow): Instance {
  return {
    id: row.id,
    org: row.org,
    agent: row.agent,
    parent: row.parent ?? undefined,
    ancestors: JSON.parse(row.ancestors) as string[],
    name: row.name ?? undefined,
    spiffeId: row.spiffe_id,
    credential: row.credential,
    restsUntil: row.rests_until ?? undefined,
    thumbprint: row.thumbprint,
    alg: row.alg as JwsAlgorithm,
    jwk: JSON.parse(row.jwk) as PublicJwk,
    attributes: JSON.parse(row.attributes) as Record<string, Attribute>,
    allowed: row.allowed === null ? undefined : (JSON.parse(row.allowed) as NonNullable<Instance['allowed']>),
    rev: row.rev,
    createdAt: row.created_at,
    renewedAt: row.renewed_at,
    expiresAt: row.expires_at,
  };
}

/** What was forgotten, and how far it was looked: the last id, or undefined at the end of what can have ended by then. */
export interface Forgotten {
  after: string | undefined;
  instances: string[];
  /** Ids of the credentials that they were enrolled with. */
  credentials: string[];
}

/**
 * Forgets, among the next `atMost` instances after `after`, those that ended before `time` (ms), in a transaction that no
 * settlement runs beside. Ids are in the order of creation: behind the first that was made after `time` nothing can have
 * ended before it, so that hardly anything that lives is read.
 */
export async function deleteInstancesAfter(tx: Tx, after: string, time: number, atMost: number): Promise<Forgotten> {
  const rows = await tx.all<Pick<InstanceRow, 'id' | 'agent' | 'credential' | 'created_at' | 'expires_at'>>(
    'select id, agent, credential, created_at, expires_at from instances where id > ? order by id limit ?',
    [after, atMost],
  );
  const ended = rows.filter((row) => row.expires_at < time);
  for (const { id, agent, expires_at } of ended) {
    await forgetPlace(tx, agent, expires_at);
    await tx.run('delete from instances where id = ?', [id]);
  }
  const last = rows.at(-1);
  const more = rows.length === atMost && last !== undefined && last.created_at < time;
  return {
    after: more ? last.id : undefined,
    instances: ended.map(({ id }) => id),
    credentials: ended.map(({ credential }) => credential),
  };
}
