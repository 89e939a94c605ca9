import type { PrivateJwk } from '@bailiwick/protocol';
import { z } from 'zod';
import { ensureSigningKey, keyStates, newSigningKey } from '../keys/keys.ts';
import { newId } from '../lib/ids.ts';
import { narrowSubject, registerSubject } from '../liveness/liveness.ts';
import { isNarrower, type Resource } from '../resources/resource.ts';
import { findResource, insertResource, selectResources, updateResource } from '../resources/store.ts';
import { pageOf } from '../web/paging.ts';
import { conflict } from '../web/problem.ts';
import { line, oneOf, record } from './fields.ts';
import { notBuiltIn, notRetired, within } from './reach.ts';
import { checkResource } from './resource-check.ts';
import { resourceIdentifier, shownResource, showResource, writableResource } from './resource-shape.ts';
import { revokedById } from './revoke.ts';
import { type Call, read, type WriteCall, write } from './route.ts';
import {
  byId,
  changes,
  checkMatch,
  listQuery,
  pageFilter,
  pageOfSchema,
  patchedBy,
  patchOf,
  stopBody,
} from './shapes.ts';

const found = async (call: Call, id: string) => within(call, 'resource', id, await findResource(call.q, id));

async function changeable(call: Call, id: string): Promise<Resource> {
  const resource = notBuiltIn('resource', await found(call, id));
  notRetired('resource', resource);
  return resource;
}

/** What was written, as a resource has it. The shape of an operation's details is checked after. */
function fromBody<Body extends { details_types: Resource['detailsTypes']; operations: object[]; served_by: string[] }>(
  body: Body,
) {
  const { details_types, operations, served_by, ...members } = body;
  return {
    ...members,
    operations: operations as Resource['operations'],
    detailsTypes: details_types,
    servedBy: served_by,
  };
}

/** The first key of an algorithm is made when the first resource asks for it; before the transaction, since RSA takes its time. */
async function keyFor(call: Call, alg: Resource['token']['alg'] | null | undefined): Promise<PrivateJwk | undefined> {
  if (!alg || alg === 'ES256') return undefined; // null in a patch: back to the default
  const known = await keyStates(call.deps, call.caller.asOf.version);
  return known.some((key) => key.alg === alg) ? undefined : newSigningKey(alg);
}

async function haveKey(call: WriteCall, alg: Resource['token']['alg'], fresh: PrivateJwk | undefined) {
  if (fresh) await ensureSigningKey(call.tx, call.deps, alg, fresh);
}

export const resourceRoutes = [
  read({
    id: 'listResources',
    path: '/resources',
    summary: 'List resources',
    scopes: ['resources:read'],
    query: listQuery({
      identifier: line(512, 1).optional(),
      name: line(200, 1).optional(),
      status: oneOf(['active', 'suspended', 'retired']).optional(),
    }),
    response: pageOfSchema(shownResource),
    async handler(call, { query }) {
      const page = pageFilter('resource', query);
      const { identifier, name, status } = query;
      const filter = { org: call.org.id, identifier, name, status, ...page };
      return pageOf(await selectResources(call.q, filter), page.shown, showResource);
    },
  }),
  write('POST', {
    id: 'createResource',
    path: '/resources',
    summary: 'Register a resource',
    description: 'An API or MCP server that tokens are for.',
    scopes: ['resources:write'],
    status: 201,
    body: record({ identifier: resourceIdentifier, ...writableResource }),
    example: {
      identifier: 'https://tickets.example.com/api',
      name: 'Tickets',
      scopes: [{ name: 'tickets:read', description: 'Read tickets' }],
      operations: [
        { name: 'read a ticket', method: 'GET', path: '/tickets/{id}', scope: ['tickets:read'], sensitivity: 'low' },
      ],
    },
    response: shownResource,
    prepare: (call, { body }) => keyFor(call, body.token.alg),
    async handler(call, { body }, fresh) {
      const { tx, deps, org, now } = call;
      const resource: Resource = {
        id: newId(deps, 'resource'),
        org: org.id,
        ...fromBody(body),
        status: 'active',
        system: undefined,
        createdAt: now,
        updatedAt: now,
      };
      await checkResource(call, resource);
      if (!(await insertResource(tx, resource))) {
        throw conflict('identifier', 'is or was the identifier of another resource');
      }
      await registerSubject(tx, { id: resource.id, kind: 'resource', parent: org.id, now });
      await haveKey(call, resource.token.alg, fresh);
      const after = showResource(resource);
      const { identifier, name, scopes, operations, details_types, token, feed, served_by } = after;
      const changed = { identifier, name, scopes, operations, details_types, token, feed, served_by };
      return { body: after, event: { type: 'resource.created', org: org.id, target: resource.id, changed } };
    },
  }),
  read({
    id: 'getResource',
    path: '/resources/{id}',
    summary: 'Show a resource',
    scopes: ['resources:read'],
    params: byId('resource'),
    response: shownResource,
    handler: async (call, { params }) => showResource(await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateResource',
    path: '/resources/{id}',
    summary: 'Change a resource',
    description:
      'What is taken away (a scope, the freedom to be used without a key, lifetime, an agent of served_by, a resource of token.transactions) ends the tokens for it, and so does changing what an operation or a type of details means.',
    scopes: ['resources:write'],
    params: byId('resource'),
    body: patchOf(writableResource),
    example: { token: { lifetime_seconds: 120 } },
    response: shownResource,
    prepare: (call, { body }) =>
      keyFor(call, (body.token as { alg?: Resource['token']['alg'] | null } | undefined)?.alg),
    async handler(call, { params, body }, fresh) {
      const { tx, now } = call;
      const resource = await changeable(call, params.id);
      const before = showResource(resource);
      checkMatch(call, before);
      const { name, scopes, operations, details_types, feed, served_by } = before;
      const token = before.token as z.output<typeof writableResource.token>;
      const wanted = patchedBy(
        z.strictObject(writableResource),
        { name, scopes, operations, details_types, token, feed, served_by },
        body,
      );
      const changed: Resource = { ...resource, ...fromBody(wanted), updatedAt: now };
      const differences = changes(before, showResource(changed));
      if (Object.keys(differences).length === 0) return { body: before };
      await checkResource(call, changed);
      await updateResource(tx, changed);
      await haveKey(call, changed.token.alg, fresh);
      const { agent: by } = call.caller;
      const rev =
        isNarrower(resource, changed) &&
        (await narrowSubject(tx, { id: resource.id, reason: 'narrowed by an administrator', by, now }));
      const event = {
        type: 'resource.updated' as const,
        org: resource.org,
        target: resource.id,
        changed: { ...differences, ...(rev !== false && { rev }) },
      };
      return { body: showResource(changed), event };
    },
  }),
  write('POST', {
    id: 'retireResource',
    path: '/resources/{id}/retire',
    summary: 'End a resource for good',
    description:
      'No more tokens are made for it, and those that there are end at once. Its identifier is never used again.',
    scopes: ['resources:write'],
    params: byId('resource'),
    body: stopBody,
    example: { reason: 'switched off' },
    response: shownResource,
    async handler(call, { params, body }) {
      const resource = await found(call, params.id);
      const reason = body.reason || 'retired by an administrator';
      const event = await revokedById(call, 'resource', resource.id, { effect: 'end', reason });
      return { body: showResource({ ...resource, status: 'retired' }), event };
    },
  }),
] as const;
