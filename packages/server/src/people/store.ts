import { isId } from '../lib/ids.ts';
import type { SubjectState } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { OrganizationRow, PersonRow, TeamRow } from '../store/registry-tables.ts';
import type { Organization, Person, Team } from './people.ts';

type Joined<Row> = Row & { state: SubjectState };

interface PageFilter {
  org: string;
  after?: string | undefined;
  limit: number;
}

// organizations

/** The organization with this id or name, whatever its status. */
export async function findOrganization(q: Queries, idOrName: string): Promise<Organization | undefined> {
  // a name may look like an id: whatever has the shape of one is one
  const row = await q.get<Joined<OrganizationRow>>(
    isId('organization', idOrName)
      ? 'select o.*, s.state as state from organizations o join subjects s on s.id = o.id where o.id = ?'
      : 'select o.*, s.state as state from organizations o join subjects s on s.id = o.id where o.name = ?',
    [idOrName],
  );
  return row && organizationOf(row);
}

/** Oldest first. @param filter `only`: the one organization that may be seen */
export async function selectOrganizations(
  q: Queries,
  filter: { only?: string | undefined; name?: string | undefined; after?: string | undefined; limit: number },
): Promise<Organization[]> {
  let query = q.kysely
    .selectFrom('organizations as o')
    .innerJoin('subjects as s', 's.id', 'o.id')
    .selectAll('o')
    .select('s.state as state')
    .orderBy('o.id')
    .limit(filter.limit);
  if (filter.only !== undefined) query = query.where('o.id', '=', filter.only);
  if (filter.name !== undefined) query = query.where('o.name', '=', filter.name);
  if (filter.after !== undefined) query = query.where('o.id', '>', filter.after);
  return ((await query.execute()) as Joined<OrganizationRow>[]).map(organizationOf);
}

/** Answers false if the name is taken. */
export async function insertOrganization(tx: Tx, organization: Omit<Organization, 'status'>): Promise<boolean> {
  const row = await tx.get(
    'insert into organizations (id, name, display_name, time_zone, created_at) values (?, ?, ?, ?, ?) on conflict do nothing returning id',
    [organization.id, organization.name, organization.displayName, organization.timeZone, organization.createdAt],
  );
  return row !== undefined;
}

export async function updateOrganization(
  tx: Tx,
  { id, displayName, timeZone }: Pick<Organization, 'id' | 'displayName' | 'timeZone'>,
): Promise<void> {
  await tx.run('update organizations set display_name = ?, time_zone = ? where id = ?', [displayName, timeZone, id]);
}

// people

/** The person with this id, erased or not. */
export async function findPerson(q: Queries, id: string): Promise<Person | undefined> {
  const row = await q.get<Joined<PersonRow>>(
    'select p.*, s.state as state from people p join subjects s on s.id = p.id where p.id = ?',
    [id],
  );
  return row && personOf(row);
}

/** Oldest first. */
export async function selectPeople(q: Queries, filter: PageFilter & { email?: string | undefined }): Promise<Person[]> {
  let query = q.kysely
    .selectFrom('people as p')
    .innerJoin('subjects as s', 's.id', 'p.id')
    .selectAll('p')
    .select('s.state as state')
    .where('p.org', '=', filter.org)
    .orderBy('p.id')
    .limit(filter.limit);
  if (filter.email !== undefined) query = query.where('p.email', '=', filter.email);
  if (filter.after !== undefined) query = query.where('p.id', '>', filter.after);
  return ((await query.execute()) as Joined<PersonRow>[]).map(personOf);
}

export async function insertPerson(tx: Tx, person: Omit<Person, 'status'>): Promise<void> {
  await tx.run('insert into people (id, org, name, email, created_at) values (?, ?, ?, ?, ?)', [
    person.id,
    person.org,
    person.name,
    person.email ?? null,
    person.createdAt,
  ]);
}

export async function updatePerson(tx: Tx, person: { id: string; name: string; email?: string | undefined }) {
  await tx.run('update people set name = ?, email = ? where id = ?', [person.name, person.email ?? null, person.id]);
}

/** Forgets name and address and takes the person out of every team. The id stays. */
export async function erasePerson(tx: Tx, id: string): Promise<void> {
  await tx.run("update people set name = '', email = null where id = ?", [id]);
  await tx.run('delete from team_members where person = ?', [id]);
}

// teams

/** The team with this id, whatever its status. */
export async function findTeam(q: Queries, id: string): Promise<Team | undefined> {
  const row = await q.get<Joined<TeamRow>>(
    'select t.*, s.state as state from teams t join subjects s on s.id = t.id where t.id = ?',
    [id],
  );
  return row && teamOf(row);
}

/** Oldest first. */
export async function selectTeams(q: Queries, filter: PageFilter & { name?: string | undefined }): Promise<Team[]> {
  let query = q.kysely
    .selectFrom('teams as t')
    .innerJoin('subjects as s', 's.id', 't.id')
    .selectAll('t')
    .select('s.state as state')
    .where('t.org', '=', filter.org)
    .orderBy('t.id')
    .limit(filter.limit);
  if (filter.name !== undefined) query = query.where('t.name', '=', filter.name);
  if (filter.after !== undefined) query = query.where('t.id', '>', filter.after);
  return ((await query.execute()) as Joined<TeamRow>[]).map(teamOf);
}

/** Answers false if the name is, or was, another team's of the organization. */
export async function insertTeam(tx: Tx, team: Omit<Team, 'status'>): Promise<boolean> {
  const row = await tx.get(
    `insert into teams (id, org, name, display_name, created_at) values (?, ?, ?, ?, ?)
     on conflict do nothing returning id`,
    [team.id, team.org, team.name, team.displayName, team.createdAt],
  );
  return row !== undefined;
}

export async function updateTeam(tx: Tx, { id, displayName }: { id: string; displayName: string }): Promise<void> {
  await tx.run('update teams set display_name = ? where id = ?', [displayName, id]);
}

/** The members of a team, in the order in which they were registered as people. */
export async function selectMembers(
  q: Queries,
  filter: { team: string; after?: string | undefined; limit: number },
): Promise<Person[]> {
  let query = q.kysely
    .selectFrom('team_members as m')
    .innerJoin('people as p', 'p.id', 'm.person')
    .innerJoin('subjects as s', 's.id', 'p.id')
    .selectAll('p')
    .select('s.state as state')
    .where('m.team', '=', filter.team)
    .orderBy('p.id')
    .limit(filter.limit);
  if (filter.after !== undefined) query = query.where('p.id', '>', filter.after);
  return ((await query.execute()) as Joined<PersonRow>[]).map(personOf);
}

/** Answers false if the person is a member already. */
export async function insertMember(tx: Tx, team: string, person: string): Promise<boolean> {
  const row = await tx.get(
    'insert into team_members (team, person) values (?, ?) on conflict do nothing returning person',
    [team, person],
  );
  return row !== undefined;
}

/** Answers false if the person was no member. */
export async function deleteMember(tx: Tx, team: string, person: string): Promise<boolean> {
  return (await tx.run('delete from team_members where team = ? and person = ?', [team, person])) > 0;
}

export async function deleteMembers(tx: Tx, team: string): Promise<void> {
  await tx.run('delete from team_members where team = ?', [team]);
}

function organizationOf(row: Joined<OrganizationRow>): Organization {
  return {
    id: row.id,
    name: row.name,
    displayName: row.display_name,
    timeZone: row.time_zone,
    status: row.state === 'ended' ? 'retired' : row.state,
    createdAt: row.created_at,
  };
}

function personOf(row: Joined<PersonRow>): Person {
  return {
    id: row.id,
    org: row.org,
    name: row.name,
    ...(row.email === null ? {} : { email: row.email }),
    status: row.state === 'ended' ? 'erased' : 'active',
    createdAt: row.created_at,
  };
}

function teamOf(row: Joined<TeamRow>): Team {
  return {
    id: row.id,
    org: row.org,
    name: row.name,
    displayName: row.display_name,
    status: row.state === 'ended' ? 'retired' : 'active',
    createdAt: row.created_at,
  };
}
