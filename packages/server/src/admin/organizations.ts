import { isTimeZone } from '@bailiwick/protocol';
import { z } from 'zod';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { registerSubject, resumeSubject, touchRegistry } from '../liveness/liveness.ts';
import type { Organization } from '../people/people.ts';
import { findOrganization, insertOrganization, selectOrganizations, updateOrganization } from '../people/store.ts';
import { writeStarterPolicies } from '../policy/starter.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, notFound } from '../web/problem.ts';
import { line, oneOf, record, shownTime, slug } from './fields.ts';
import { reaches, reachesAny } from './reach.ts';
import { revokedById } from './revoke.ts';
import { type Call, read, write } from './route.ts';
import {
  byId,
  changes,
  checkMatch,
  common,
  listQuery,
  pageFilter,
  pageOfSchema,
  patchedBy,
  patchOf,
  stopBody,
} from './shapes.ts';

const timeZoneMessage = 'must be the IANA name of a time zone, such as Europe/Berlin';

const writable = {
  display_name: line(200).default('').meta({ description: 'As people call it.' }),
  time_zone: z
    .string({ error: timeZoneMessage })
    .refine(isTimeZone, timeZoneMessage)
    .default('UTC')
    .meta({ description: 'What its policies call local time.', examples: ['Europe/Berlin'] }),
};

const shown = z.strictObject({
  id: common('organization').id,
  name: slug,
  display_name: z.string(),
  time_zone: z.string(),
  status: oneOf(['active', 'suspended', 'retired']),
  created_at: shownTime,
});

const show = (organization: Organization): z.output<typeof shown> => ({
  id: organization.id,
  name: organization.name,
  display_name: organization.displayName,
  time_zone: organization.timeZone,
  status: organization.status,
  created_at: rfc3339(organization.createdAt),
});

async function found(call: Call, id: string): Promise<Organization> {
  const organization = await findOrganization(call.q, id);
  if (organization && reaches(call.caller, organization.id)) return organization;
  throw notFound('organization', id);
}

export const organizationRoutes = [
  read({
    id: 'listOrganizations',
    path: '/organizations',
    summary: 'List the organizations within reach',
    scopes: ['organizations:read'],
    query: listQuery({ name: slug.optional() }),
    response: pageOfSchema(shown),
    async handler(call, { query }) {
      const page = pageFilter('organization', query);
      const only = reachesAny(call.caller) ? undefined : call.caller.org;
      return pageOf(await selectOrganizations(call.q, { only, name: query.name, ...page }), page.shown, show);
    },
  }),
  write('POST', {
    id: 'createOrganization',
    path: '/organizations',
    summary: 'Make an organization',
    description: 'It begins with the starter policies, under which roles do what they say.',
    scopes: ['organizations:write', 'organizations:any'],
    status: 201,
    body: record({
      name: slug.meta({ description: 'Stands in the names of its agents; never used again.' }),
      ...writable,
    }),
    example: { name: 'acme', display_name: 'Acme' },
    response: shown,
    async handler(call, { body }) {
      const { tx, deps, now } = call;
      const organization = {
        id: newId(deps, 'organization'),
        name: body.name,
        displayName: body.display_name,
        timeZone: body.time_zone,
        createdAt: now,
      };
      if (!(await insertOrganization(tx, organization))) throw conflict('name', 'is taken by another organization');
      await registerSubject(tx, { id: organization.id, kind: 'organization', now });
      await writeStarterPolicies(tx, deps, organization.id);
      const after = show({ ...organization, status: 'active' });
      const event = {
        type: 'organization.created' as const,
        org: after.id,
        target: after.id,
        changed: { name: after.name },
      };
      return { body: after, event };
    },
  }),
  read({
    id: 'getOrganization',
    path: '/organizations/{id}',
    summary: 'Show an organization',
    scopes: ['organizations:read'],
    params: byId('organization'),
    response: shown,
    handler: async (call, { params }) => show(await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateOrganization',
    path: '/organizations/{id}',
    summary: 'Change an organization',
    scopes: ['organizations:write'],
    params: byId('organization'),
    body: patchOf(writable),
    example: { display_name: 'Acme Inc.' },
    response: shown,
    async handler(call, { params, body }) {
      const before = show(await found(call, params.id));
      checkMatch(call, before);
      const { display_name, time_zone } = before;
      const wanted = patchedBy(z.strictObject(writable), { display_name, time_zone }, body);
      const after = { ...before, ...wanted };
      const changed = changes(before, after);
      if (Object.keys(changed).length === 0) return { body: before };
      await updateOrganization(call.tx, {
        id: params.id,
        displayName: wanted.display_name,
        timeZone: wanted.time_zone,
      });
      await touchRegistry(call.tx);
      const event = {
        type: 'organization.updated' as const,
        org: params.id,
        target: params.id,
        changed,
      };
      return { body: after, event };
    },
  }),
  write('POST', {
    id: 'suspendOrganization',
    path: '/organizations/{id}/suspend',
    summary: 'Stop an organization and all that acts in it',
    scopes: ['organizations:write', 'organizations:any'],
    params: byId('organization'),
    body: stopBody,
    example: { reason: 'contract ended' },
    response: shown,
    async handler(call, { params, body }) {
      const { id } = await found(call, params.id);
      const reason = body.reason || 'suspended by an administrator';
      const event = await revokedById(call, 'organization', id, { effect: 'suspend', reason });
      return { body: show(await found(call, id)), event };
    },
  }),
  write('POST', {
    id: 'resumeOrganization',
    path: '/organizations/{id}/resume',
    summary: 'Let an organization act again',
    scopes: ['organizations:write', 'organizations:any'],
    params: byId('organization'),
    response: shown,
    async handler(call, { params }) {
      const { id } = await found(call, params.id);
      if (!(await resumeSubject(call.tx, { id, now: call.now }))) return { body: show(await found(call, id)) };
      const event = { type: 'organization.resumed' as const, org: id, target: id };
      return { body: show(await found(call, id)), event };
    },
  }),
] as const;
