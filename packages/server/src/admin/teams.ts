import { z } from 'zod';
import { ownsAgents } from '../agents/store.ts';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { endSubject, registerSubject } from '../liveness/liveness.ts';
import type { Team } from '../people/people.ts';
import {
  deleteMember,
  deleteMembers,
  findPerson,
  findTeam,
  insertMember,
  insertTeam,
  selectMembers,
  selectTeams,
  updateTeam,
} from '../people/store.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, notFound } from '../web/problem.ts';
import { idOf, line, oneOf, record, slug } from './fields.ts';
import { shownPerson, showPerson } from './person.ts';
import { notRetired, within } from './reach.ts';
import { type Call, read, write } from './route.ts';
import {
  byId,
  checkMatch,
  common,
  listQuery,
  pageFilter,
  pageOfSchema,
  patchedBy,
  patchOf,
  stopBody,
} from './shapes.ts';

const writable = { display_name: line(200).default('') };

const shown = z.strictObject({
  ...common('team'),
  name: slug,
  display_name: z.string(),
  status: oneOf(['active', 'retired']),
});

const show = (team: Team): z.output<typeof shown> => ({
  id: team.id,
  organization: team.org,
  name: team.name,
  display_name: team.displayName,
  status: team.status,
  created_at: rfc3339(team.createdAt),
});

const membership = z.strictObject({ id: idOf('team'), person_id: idOf('person') });

const found = async (call: Call, id: string) => within(call, 'team', id, await findTeam(call.q, id));

async function living(call: Call, id: string): Promise<Team> {
  const team = await found(call, id);
  notRetired('team', team);
  return team;
}

export const teamRoutes = [
  read({
    id: 'listTeams',
    path: '/teams',
    summary: 'List teams',
    scopes: ['teams:read'],
    query: listQuery({ name: slug.optional() }),
    response: pageOfSchema(shown),
    async handler(call, { query }) {
      const page = pageFilter('team', query);
      return pageOf(await selectTeams(call.q, { org: call.org.id, name: query.name, ...page }), page.shown, show);
    },
  }),
  write('POST', {
    id: 'createTeam',
    path: '/teams',
    summary: 'Make a team',
    scopes: ['teams:write'],
    status: 201,
    body: record({ name: slug, ...writable }),
    example: { name: 'support', display_name: 'Customer support' },
    response: shown,
    async handler({ tx, deps, org, now }, { body }) {
      const team = {
        id: newId(deps, 'team'),
        org: org.id,
        name: body.name,
        displayName: body.display_name,
        createdAt: now,
      };
      if (!(await insertTeam(tx, team))) throw conflict('name', 'is or was the name of another team here');
      await registerSubject(tx, { id: team.id, kind: 'team', parent: org.id, now });
      const after = show({ ...team, status: 'active' });
      return {
        body: after,
        event: { type: 'team.created' as const, org: org.id, target: team.id, changed: { name: team.name } },
      };
    },
  }),
  read({
    id: 'getTeam',
    path: '/teams/{id}',
    summary: 'Show a team',
    scopes: ['teams:read'],
    params: byId('team'),
    response: shown,
    handler: async (call, { params }) => show(await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateTeam',
    path: '/teams/{id}',
    summary: 'Change a team',
    scopes: ['teams:write'],
    params: byId('team'),
    body: patchOf(writable),
    example: { display_name: 'Support' },
    response: shown,
    async handler(call, { params, body }) {
      const team = await living(call, params.id);
      const before = show(team);
      checkMatch(call, before);
      const { display_name } = patchedBy(z.strictObject(writable), { display_name: before.display_name }, body);
      if (display_name === before.display_name) return { body: before };
      await updateTeam(call.tx, { id: team.id, displayName: display_name });
      const event = { type: 'team.updated' as const, org: team.org, target: team.id, changed: { display_name } };
      return { body: { ...before, display_name }, event };
    },
  }),
  write('POST', {
    id: 'retireTeam',
    path: '/teams/{id}/retire',
    summary: 'End a team for good',
    description: 'Its name is never used again. Refused while it answers for an agent.',
    scopes: ['teams:write'],
    params: byId('team'),
    body: stopBody,
    example: { reason: 'merged with another' },
    response: shown,
    async handler(call, { params, body }) {
      const { tx, now } = call;
      const team = await found(call, params.id);
      if (team.status === 'retired') return { body: show(team) };
      if (await ownsAgents(tx, team.id)) {
        throw conflict('id', 'answers for agents that have not been retired: give these another owner first');
      }
      await deleteMembers(tx, team.id);
      const reason = body.reason || 'retired by an administrator';
      await endSubject(tx, { id: team.id, reason, by: call.caller.agent, now });
      const event = { type: 'team.retired' as const, org: team.org, target: team.id, details: { reason } };
      return { body: show({ ...team, status: 'retired' }), event };
    },
  }),
  read({
    id: 'listTeamMembers',
    path: '/teams/{id}/members',
    summary: 'List the members of a team',
    scopes: ['teams:read', 'people:read'],
    params: byId('team'),
    query: listQuery({}),
    response: pageOfSchema(shownPerson),
    async handler(call, { params, query }) {
      const team = await found(call, params.id);
      const page = pageFilter('person', query);
      return pageOf(await selectMembers(call.q, { team: team.id, ...page }), page.shown, (each) => showPerson(each));
    },
  }),
  write('PUT', {
    id: 'addTeamMember',
    path: '/teams/{id}/members/{person_id}',
    summary: 'Put a person into a team',
    scopes: ['teams:write'],
    params: membership,
    async handler(call, { params }) {
      const team = await living(call, params.id);
      const person = await findPerson(call.q, params.person_id);
      if (person?.org !== team.org || person.status !== 'active') throw notFound('person', params.person_id);
      if (!(await insertMember(call.tx, team.id, person.id))) return { body: undefined };
      const event = {
        type: 'team.updated' as const,
        org: team.org,
        target: team.id,
        details: { member_added: person.id },
      };
      return { body: undefined, event };
    },
  }),
  write('DELETE', {
    id: 'removeTeamMember',
    path: '/teams/{id}/members/{person_id}',
    summary: 'Take a person out of a team',
    scopes: ['teams:write'],
    params: membership,
    async handler(call, { params }) {
      const team = await living(call, params.id);
      if (!(await deleteMember(call.tx, team.id, params.person_id))) throw notFound('member', params.person_id);
      const event = {
        type: 'team.updated' as const,
        org: team.org,
        target: team.id,
        details: { member_removed: params.person_id },
      };
      return { body: undefined, event };
    },
  }),
] as const;
