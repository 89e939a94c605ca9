/** Agents: registered, changed, stopped, ended. */
import { z } from 'zod';
import { type Agent, agentKinds, isNarrower } from '../agents/agent.ts';
import { selectAgents, updateAgent } from '../agents/store.ts';
import { limitedBy, readContext } from '../lib/context-fields.ts';
import { narrowSubject, resumeSubject, setSubjectEnd } from '../liveness/liveness.ts';
import { rolesOf, rolesOfAgents } from '../resources/role-store.ts';
import { pageOf } from '../web/paging.ts';
import {
  agentNow,
  foundAgent,
  futureTime,
  ownerId,
  registerAgent,
  resolvedResources,
  showAgent,
  shownAgent,
  writableAgent,
  writtenAgent,
} from './agent.ts';
import { idOf, line, oneOf, record, slug } from './fields.ts';
import { governedAgent, keepingAnOperator, knownOwner, notRetired, selectedReference } from './reach.ts';
import { revokedById } from './revoke.ts';
import { read, write } from './route.ts';
import {
  byId,
  changes,
  checkMatch,
  exampleId,
  listQuery,
  pageFilter,
  pageOfSchema,
  patchedBy,
  patchOf,
  stopBody,
} from './shapes.ts';
import { allowedTemplate } from './template.ts';

const detailsOf = ({ owner, purpose, context }: { owner?: unknown; purpose?: unknown; context?: unknown }) => ({
  ...(owner !== undefined && { owner }),
  ...(purpose !== undefined && { purpose }),
  ...(limitedBy(context).length > 0 && { context }),
});

function openOf(changed: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { owner: _owner, purpose: _purpose, context, ...open } = changed;
  return { ...open, ...(context !== undefined && { context: limitedBy(context) }) };
}

export const agentRoutes = [
  read({
    id: 'listAgents',
    path: '/agents',
    summary: 'List agents',
    scopes: ['agents:read'],
    query: listQuery({
      name: slug.optional(),
      kind: oneOf(agentKinds).optional(),
      owner: ownerId.optional(),
      environment: slug.optional(),
      status: oneOf(['active', 'suspended', 'retired']).optional(),
      resource: line(512, 1)
        .optional()
        .meta({ description: 'Id or identifier of a resource that it may ask tokens for.' }),
      role: idOf('role').optional().meta({ description: 'A role that it holds.' }),
    }),
    response: pageOfSchema(shownAgent),
    async handler(call, { query }) {
      const page = pageFilter('agent', query);
      const { name, kind, owner, environment, status, role } = query;
      const resource = await selectedReference(call, query.resource);
      const filter = { org: call.org.id, name, kind, owner, environment, status, role, resource, ...page };
      const agents = await selectAgents(call.q, filter);
      const roles = await rolesOfAgents(
        call.q,
        agents.map(({ id }) => id),
      );
      return pageOf(agents, page.shown, (agent) => showAgent(call, agent, roles.get(agent.id) ?? []));
    },
  }),
  write('POST', {
    id: 'createAgent',
    path: '/agents',
    summary: 'Register an agent',
    scopes: ['agents:write'],
    status: 201,
    body: record({
      name: slug.meta({ description: 'Stands in its SPIFFE ID; never used again, even after it was retired.' }),
      kind: oneOf(agentKinds),
      ...writableAgent,
    }),
    example: {
      name: 'desk',
      kind: 'ai_agent',
      owner: exampleId('team'),
      purpose: 'Answers tickets',
      resources: [{ resource: 'https://tickets.example.com/api', default: true, scope: ['tickets:read'] }],
      limits: { tokens_per_minute: 60 },
    },
    response: shownAgent,
    async handler(call, { body }) {
      const agent = await registerAgent(call, call.org, body);
      const after = showAgent(call, agent, []);
      const { name, kind } = agent;
      const changed = { name, kind, ...openOf(writtenAgent(agent)) };
      return {
        body: after,
        event: { type: 'agent.created', org: agent.org, target: agent.id, changed, details: detailsOf(agent) },
      };
    },
  }),
  read({
    id: 'getAgent',
    path: '/agents/{id}',
    summary: 'Show an agent',
    scopes: ['agents:read'],
    params: byId('agent'),
    response: shownAgent,
    handler: (call, { params }) => agentNow(call, params.id),
  }),
  write('PATCH', {
    id: 'updateAgent',
    path: '/agents/{id}',
    summary: 'Change an agent',
    description: 'What is taken away ends the tokens that rest on it.',
    scopes: ['agents:write'],
    params: byId('agent'),
    body: patchOf(writableAgent),
    example: {
      purpose: 'Answers tickets at night',
      expires_at: '2030-01-31T12:00:00Z',
      limits: { tokens_per_minute: null },
    },
    response: shownAgent,
    async handler(call, { params, body }) {
      const { tx, now } = call;
      const agent = await governedAgent(call, params.id);
      const roles = await rolesOf(tx, agent.id);
      checkMatch(call, showAgent(call, agent, roles));
      const wanted = patchedBy(z.strictObject(writableAgent), writtenAgent(agent), body);
      const sameEnd = wanted.expires_at !== undefined && Date.parse(wanted.expires_at) === agent.expiresAt;
      const after: Agent = {
        ...agent,
        owner: wanted.owner === agent.owner ? agent.owner : await knownOwner(call, agent.org, wanted.owner),
        purpose: wanted.purpose,
        environment: wanted.environment,
        expiresAt: sameEnd ? agent.expiresAt : futureTime(call, 'expires_at', wanted.expires_at),
        grants: wanted.grants,
        resources: await resolvedResources(call, agent.org, wanted.resources, agent.resources),
        limits: wanted.limits,
        context: readContext(wanted.context),
        instances: allowedTemplate(call, wanted.instances, agent.instances),
        updatedAt: now,
      };
      const changed = changes(writtenAgent(agent), writtenAgent(after));
      if (Object.keys(changed).length === 0) return { body: showAgent(call, agent, roles) };
      const change = async () => {
        await updateAgent(tx, after);
        if (after.expiresAt === agent.expiresAt) return;
        await setSubjectEnd(tx, { id: agent.id, endsAt: after.expiresAt, now });
      };
      let rev: number | undefined;
      if (!isNarrower(agent, after)) await change();
      else {
        await keepingAnOperator(call, agent.id, change);
        const by = call.caller.agent;
        rev = await narrowSubject(tx, { id: agent.id, reason: 'narrowed by an administrator', by, now });
      }
      const event = {
        type: 'agent.updated' as const,
        org: agent.org,
        target: agent.id,
        changed: { ...openOf(changed), ...(rev !== undefined && { rev }) },
        details: detailsOf(changed),
      };
      return { body: showAgent(call, after, roles), event };
    },
  }),
  write('POST', {
    id: 'suspendAgent',
    path: '/agents/{id}/suspend',
    summary: 'Stop an agent until it is resumed',
    description: 'Its tokens end at once, for good.',
    scopes: ['agents:write'],
    params: byId('agent'),
    body: stopBody,
    example: { reason: 'calls that nobody can explain' },
    response: shownAgent,
    async handler(call, { params, body }) {
      const agent = await foundAgent(call, params.id);
      notRetired('agent', agent);
      const reason = body.reason || 'suspended by an administrator';
      const event = await revokedById(call, 'agent', agent.id, { effect: 'suspend', reason });
      return { body: await agentNow(call, agent.id), event };
    },
  }),
  write('POST', {
    id: 'resumeAgent',
    path: '/agents/{id}/resume',
    summary: 'Let an agent act again',
    description: 'Its earlier tokens stay dead.',
    scopes: ['agents:write'],
    params: byId('agent'),
    response: shownAgent,
    async handler(call, { params }) {
      const agent = await governedAgent(call, params.id);
      const resumed = await resumeSubject(call.tx, { id: agent.id, now: call.now });
      const after = await agentNow(call, agent.id);
      return resumed
        ? { body: after, event: { type: 'agent.resumed', org: agent.org, target: agent.id } }
        : { body: after };
    },
  }),
  write('POST', {
    id: 'retireAgent',
    path: '/agents/{id}/retire',
    summary: 'End an agent for good',
    description: 'Its tokens, credentials and role grants end with it. Its name and keys are never used again.',
    scopes: ['agents:write'],
    params: byId('agent'),
    body: stopBody,
    example: { reason: 'replaced' },
    response: shownAgent,
    async handler(call, { params, body }) {
      const agent = await foundAgent(call, params.id);
      const reason = body.reason || 'retired by an administrator';
      const event = await revokedById(call, 'agent', agent.id, { effect: 'end', reason });
      return { body: await agentNow(call, agent.id), event };
    },
  }),
] as const;
