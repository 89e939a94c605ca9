/** Guards: agents of kind workload that stand before one resource. */
import { z } from 'zod';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { registerSubject } from '../liveness/liveness.ts';
import type { Guard } from '../resources/resource.ts';
import { findSystemRole } from '../resources/role-store.ts';
import {
  findGuard,
  findGuardOfAgent,
  findResource,
  findSystemResource,
  insertGuard,
  selectGuards,
} from '../resources/store.ts';
import { pageOf } from '../web/paging.ts';
import { invalid, notFound } from '../web/problem.ts';
import { guardScopes } from '../web/service.ts';
import { ownerId, registerAgent } from './agent.ts';
import { giveRole } from './agent-roles.ts';
import { jwkBody } from './credential.ts';
import { idOf, line, oneOf, record, slug, text } from './fields.ts';
import { addCredential } from './new-credential.ts';
import { knownResource, selectedReference, within } from './reach.ts';
import { shownResource, showResource } from './resource-shape.ts';
import { revokedById } from './revoke.ts';
import { type Call, read, write } from './route.ts';
import { guardScope } from './scopes.ts';
import { byId, common, exampleId, listQuery, pageFilter, pageOfSchema } from './shapes.ts';

const shown = z.strictObject({
  ...common('guard'),
  name: slug,
  agent: idOf('agent').meta({ description: 'Its own identity: the client_id.' }),
  resource: idOf('resource').meta({ description: 'What it guards.' }),
  status: oneOf(['active', 'retired']),
});

const show = (guard: Guard): z.output<typeof shown> => ({
  id: guard.id,
  organization: guard.org,
  name: guard.name,
  agent: guard.agent,
  resource: guard.resource,
  status: guard.status,
  created_at: rfc3339(guard.createdAt),
});

const self = z.strictObject({
  id: idOf('guard'),
  agent_id: idOf('agent'),
  resource: shownResource,
});

const found = async (call: Call, id: string) => within(call, 'guard', id, await findGuard(call.q, id));

export const guardRoutes = [
  read({
    id: 'listGuards',
    path: '/guards',
    summary: 'List guards',
    scopes: ['guards:read'],
    query: listQuery({
      resource: line(512, 1).optional().meta({ description: 'Id or identifier of what they guard.' }),
    }),
    response: pageOfSchema(shown),
    async handler(call, { query }) {
      const page = pageFilter('guard', query);
      const resource = await selectedReference(call, query.resource);
      return pageOf(await selectGuards(call.q, { org: call.org.id, resource, ...page }), page.shown, show);
    },
  }),
  write('POST', {
    id: 'createGuard',
    path: '/guards',
    summary: 'Register a guard of a resource',
    description:
      'Makes an agent of kind workload with this public key, which may learn what to guard and ask about tokens.',
    scopes: ['guards:write'],
    status: 201,
    body: record({
      name: slug.meta({ description: 'The name of its agent; never used again.' }),
      resource: line(512, 1).meta({ description: 'Id or identifier of what it guards.' }),
      owner: ownerId,
      jwk: jwkBody,
      label: line(200).default(''),
      purpose: text(2000).default(''),
      environment: slug.default('production'),
    }),
    example: {
      name: 'tickets-guard',
      resource: 'https://tickets.example.com/api',
      owner: exampleId('team'),
      jwk: { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
    },
    response: shown,
    async handler(call, { body }) {
      const { tx, deps, org, now } = call;
      const resource = await knownResource(call, org.id, body.resource, 'resource');
      // whoever guards a resource may ask about its tokens: ours are nobody's business
      if (resource.system) throw invalid('resource', 'is the server’s own, which guards itself');
      const [admin, service] = [await findSystemResource(tx, 'admin'), await findSystemResource(tx, 'service')];
      const role = await findSystemRole(tx, 'guard');
      if (!admin || !service || !role) throw new Error('the built-in resource and roles are missing');
      const agent = await registerAgent(call, org, {
        name: body.name,
        kind: 'workload',
        owner: body.owner,
        purpose: body.purpose || `guards ${resource.name}`,
        environment: body.environment,
        grants: ['client_credentials'],
        resources: [
          { resource: admin.id, default: true, scope: [guardScope] },
          { resource: service.id, default: false, scope: [...guardScopes] },
        ],
        limits: {},
        instances: {},
      });
      await giveRole(call, agent, role);
      const { jwk, label } = body;
      const { credential } = await addCredential(call, agent, { jwk, label });
      const guard: Guard = {
        id: newId(deps, 'guard'),
        org: org.id,
        resource: resource.id,
        agent: agent.id,
        name: agent.name,
        status: 'active',
        createdAt: now,
      };
      await insertGuard(tx, guard);
      await registerSubject(tx, { id: guard.id, kind: 'guard', parent: resource.id, now });
      const changed = { agent: agent.id, name: agent.name, resource: resource.id, thumbprint: credential.thumbprint };
      const details = { owner: agent.owner, purpose: agent.purpose };
      return { body: show(guard), event: { type: 'guard.created', org: org.id, target: guard.id, changed, details } };
    },
  }),
  read({
    id: 'getOwnGuard',
    path: '/guards/self',
    summary: 'Learn, as a guard, what to guard',
    scopes: [guardScope],
    response: self,
    async handler(call) {
      const guard = await findGuardOfAgent(call.q, call.caller.agent);
      const resource = guard?.status === 'active' ? await findResource(call.q, guard.resource) : undefined;
      if (!guard || !resource) throw notFound('guard', call.caller.agent);
      return { id: guard.id, agent_id: guard.agent, resource: showResource(resource) };
    },
  }),
  read({
    id: 'getGuard',
    path: '/guards/{id}',
    summary: 'Show a guard',
    scopes: ['guards:read'],
    params: byId('guard'),
    response: shown,
    handler: async (call, { params }) => show(await found(call, params.id)),
  }),
  write('DELETE', {
    id: 'endGuard',
    path: '/guards/{id}',
    summary: 'End a guard for good',
    description: 'Its agent is retired with it.',
    scopes: ['guards:write'],
    params: byId('guard'),
    async handler(call, { params }) {
      const guard = await found(call, params.id);
      if (guard.status === 'retired') return { body: undefined };
      // its agent may have been given more than guarding: that takes power over it
      await revokedById(call, 'agent', guard.agent, { effect: 'end', reason: 'guard ended' });
      const changed = { agent: guard.agent };
      return { body: undefined, event: { type: 'guard.ended', org: guard.org, target: guard.id, changed } };
    },
  }),
] as const;
