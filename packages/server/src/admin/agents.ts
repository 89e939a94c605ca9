import { z } from 'zod';
import { type Agent, agentKinds, isNarrower } from '../agents/agent.ts';
import { findAgent, insertAgent, selectAgents, updateAgent } from '../agents/store.ts';
import { credentialIds } from '../credentials/store.ts';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import {
  endSubject,
  narrowSubject,
  registerSubject,
  resumeSubject,
  setSubjectEnd,
  suspendSubject,
} from '../liveness/liveness.ts';
import type { HeldRole } from '../resources/role.ts';
import { activeHolders, grantsOf, rolesOf, rolesOfAgents } from '../resources/role-store.ts';
import { findGuardOfAgent } from '../resources/store.ts';
import { spiffeId } from '../tokens/claims.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, invalid } from '../web/problem.ts';
import {
  flag,
  idOf,
  line,
  oneOf,
  record,
  scopeName,
  setOf,
  shownTime,
  slug,
  text,
  time,
  wholeNumber,
} from './fields.ts';
import {
  governedAgent,
  keepsAnOperator,
  knownOwner,
  knownResource,
  mustHold,
  notRetired,
  selectedReference,
  within,
} from './reach.ts';
import { type Call, read, type WriteCall, write } from './route.ts';
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

export const grantTypes = ['client_credentials'] as const;
export const ownerId = z.union([idOf('person'), idOf('team')], { error: 'must be the id of a person or a team' });

const entry = z.strictObject({
  resource: line(512, 1).meta({ description: 'Id or identifier of the resource; shown as its id.' }),
  default: flag.default(false).meta({ description: 'Meant when a token request names no resource.' }),
  scope: setOf(scopeName, 200, 'scopes')
    .default([])
    .meta({ description: 'Meant when a token request names no scope. Empty: requests must name theirs.' }),
});

const writable = {
  owner: ownerId.meta({ description: 'Who answers for it.' }),
  purpose: text(2000).default('').meta({ description: 'What it is for, in words for people.' }),
  environment: slug.default('production'),
  expires_at: time.optional().meta({ description: 'After it, it may not act.' }),
  grants: setOf(oneOf(grantTypes), 20, 'grant types').default(['client_credentials']),
  resources: setOf(entry, 100, 'resources')
    .refine((entries) => entries.filter((one) => one.default).length <= 1, 'must have at most one default')
    .default([])
    .meta({ description: 'What it may ask tokens for. Its roles say which scopes.' }),
  limits: z
    .strictObject({
      tokens_per_minute: wholeNumber(1, 1_000_000).optional(),
      token_lifetime_seconds: wholeNumber(1, 900).optional(),
    })
    .default({}),
};

export const shownAgent = z.strictObject({
  ...common('agent'),
  name: slug,
  kind: oneOf(agentKinds),
  subject: z.string().meta({ description: 'Its SPIFFE ID, the `sub` of its tokens.' }),
  owner: ownerId,
  purpose: z.string(),
  environment: z.string(),
  expires_at: shownTime.optional(),
  grants: z.array(z.string()),
  resources: z.array(z.strictObject({ resource: idOf('resource'), default: z.boolean(), scope: z.array(z.string()) })),
  limits: z.strictObject({ tokens_per_minute: z.number().optional(), token_lifetime_seconds: z.number().optional() }),
  roles: z.array(z.strictObject({ id: idOf('role'), name: slug, grant: idOf('grant') })),
  status: oneOf(['active', 'suspended', 'retired']),
  updated_at: shownTime,
});

/** The members that a patch may change, as they are written. */
const written = (agent: Agent) => ({
  owner: agent.owner,
  purpose: agent.purpose,
  environment: agent.environment,
  ...(agent.expiresAt !== undefined && { expires_at: rfc3339(agent.expiresAt) }),
  grants: agent.grants as (typeof grantTypes)[number][],
  resources: agent.resources,
  limits: agent.limits,
});

export function showAgent(call: Call, agent: Agent, roles: readonly HeldRole[]): z.output<typeof shownAgent> {
  return {
    id: agent.id,
    organization: agent.org,
    name: agent.name,
    kind: agent.kind,
    subject: spiffeId(call.deps.config, agent),
    ...written(agent),
    roles: roles.map(({ role, roleName, grant }) => ({ id: role, name: roleName, grant })),
    status: agent.status,
    created_at: rfc3339(agent.createdAt),
    updated_at: rfc3339(agent.updatedAt),
  };
}

const found = async (call: Call, id: string) => within(call, 'agent', id, await findAgent(call.q, id));

/** The agent as it stands now, read again inside the transaction. */
export async function agentNow(call: Call, id: string): Promise<z.output<typeof shownAgent>> {
  return showAgent(call, await found(call, id), await rolesOf(call.q, id));
}

type Written = z.output<z.ZodObject<typeof writable>>;

/**
 * The resources of an agent with their references resolved. What was there before stays, even if it has ended since.
 * @throws Problem 422 naming the entry, 403 for scopes of the admin API that the caller lacks
 */
async function resolved(call: Call, org: string, wanted: Written['resources'], before: Agent['resources']) {
  const entries: Agent['resources'] = [];
  for (const [index, one] of wanted.entries()) {
    const field = `resources[${index}]`;
    const known = before.find(
      (kept) =>
        JSON.stringify(kept) === JSON.stringify({ resource: one.resource, default: one.default, scope: one.scope }),
    );
    if (known) {
      entries.push(known);
      continue;
    }
    const resource = await knownResource(call, org, one.resource, `${field}.resource`);
    const unknown = one.scope.filter((scope) => !resource.scopes.some(({ name }) => name === scope));
    if (unknown.length > 0)
      throw invalid(`${field}.scope`, `must be scopes of ${resource.name}: it has no ${unknown.join(', ')}`);
    if (resource.system) mustHold(call, one.scope, 'this default scope');
    entries.push({ resource: resource.id, default: one.default, scope: one.scope });
  }
  if (new Set(entries.map(({ resource }) => resource)).size < entries.length) {
    throw invalid('resources', 'must name each resource once');
  }
  return entries;
}

function futureTime(call: Call, field: string, wanted: string | undefined): number | undefined {
  if (wanted === undefined) return undefined;
  const at = Date.parse(wanted);
  if (at <= call.now) throw invalid(field, 'must lie in the future');
  return at;
}

/** Makes an agent of what was written. Shared with guards, which are agents too. */
export async function registerAgent(
  call: WriteCall,
  org: { id: string; name: string },
  wanted: Written & { name: string; kind: Agent['kind'] },
): Promise<Agent> {
  const { tx, deps, now } = call;
  const agent: Agent = {
    id: newId(deps, 'agent'),
    org: org.id,
    orgName: org.name,
    name: wanted.name,
    kind: wanted.kind,
    owner: await knownOwner(call, org.id, wanted.owner),
    purpose: wanted.purpose,
    environment: wanted.environment,
    expiresAt: futureTime(call, 'expires_at', wanted.expires_at),
    grants: wanted.grants,
    resources: await resolved(call, org.id, wanted.resources, []),
    limits: wanted.limits,
    status: 'active',
    orgStatus: 'active',
    createdAt: now,
    updatedAt: now,
  };
  if (!(await insertAgent(tx, agent))) {
    throw conflict('name', 'is or was the name of another agent here, and names are never used again');
  }
  await registerSubject(tx, { id: agent.id, kind: 'agent', parent: org.id, endsAt: agent.expiresAt, now });
  return agent;
}

/** Ends an agent for good, with everything that rests on it. Shared with guards. */
export async function endAgent(call: WriteCall, agent: string, reason: string): Promise<void> {
  const { tx, now } = call;
  const by = call.caller.agent;
  const guard = await findGuardOfAgent(tx, agent);
  const resting = [
    ...(await credentialIds(tx, agent)),
    ...(await grantsOf(tx, { agent })),
    ...(guard ? [guard.id] : []),
  ];
  for (const id of [agent, ...resting]) await endSubject(tx, { id, reason, by, now });
}

const lastOperator = (call: WriteCall, agent: string) =>
  keepsAnOperator(call, agent, (role) => activeHolders(call.tx, role, { except: agent, now: call.now }));

const detailsOf = ({ owner, purpose }: { owner?: unknown; purpose?: unknown }) => ({
  ...(owner !== undefined && { owner }),
  ...(purpose !== undefined && { purpose }),
});

function openOf(changed: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { owner: _owner, purpose: _purpose, ...open } = changed;
  return open;
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
      ...writable,
    }),
    response: shownAgent,
    async handler(call, { body }) {
      const agent = await registerAgent(call, call.org, body);
      const after = showAgent(call, agent, []);
      const { name, kind } = agent;
      const changed = { name, kind, ...openOf(written(agent)) };
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
    body: patchOf(writable),
    response: shownAgent,
    async handler(call, { params, body }) {
      const { tx, now } = call;
      const agent = await governedAgent(call, params.id);
      const roles = await rolesOf(tx, agent.id);
      checkMatch(call, showAgent(call, agent, roles));
      const wanted = patchedBy(z.strictObject(writable), written(agent), body);
      const sameEnd = wanted.expires_at !== undefined && Date.parse(wanted.expires_at) === agent.expiresAt;
      const after: Agent = {
        ...agent,
        owner: wanted.owner === agent.owner ? agent.owner : await knownOwner(call, agent.org, wanted.owner),
        purpose: wanted.purpose,
        environment: wanted.environment,
        expiresAt: sameEnd ? agent.expiresAt : futureTime(call, 'expires_at', wanted.expires_at),
        grants: wanted.grants,
        resources: await resolved(call, agent.org, wanted.resources, agent.resources),
        limits: wanted.limits,
        updatedAt: now,
      };
      const changed = changes(written(agent), written(after));
      if (Object.keys(changed).length === 0) return { body: showAgent(call, agent, roles) };
      await updateAgent(tx, after);
      if (after.expiresAt !== agent.expiresAt) await setSubjectEnd(tx, { id: agent.id, endsAt: after.expiresAt, now });
      if (isNarrower(agent, after)) {
        await lastOperator(call, agent.id);
        await narrowSubject(tx, { id: agent.id, reason: 'narrowed by an administrator', by: call.caller.agent, now });
      }
      const event = {
        type: 'agent.updated' as const,
        org: agent.org,
        target: agent.id,
        changed: openOf(changed),
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
    response: shownAgent,
    async handler(call, { params, body }) {
      const { tx, now } = call;
      // stopping somebody mightier is allowed: it gives nothing, can be undone, and may be urgent
      const agent = await found(call, params.id);
      notRetired('agent', agent);
      await lastOperator(call, agent.id);
      const reason = body.reason || 'suspended by an administrator';
      const rev = await suspendSubject(tx, { id: agent.id, reason, by: call.caller.agent, now });
      const after = await agentNow(call, agent.id);
      if (rev === undefined) return { body: after };
      return { body: after, event: { type: 'agent.suspended', org: agent.org, target: agent.id, details: { reason } } };
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
    response: shownAgent,
    async handler(call, { params, body }) {
      const agent = await found(call, params.id);
      if (agent.status === 'retired') return { body: await agentNow(call, agent.id) };
      await governedAgent(call, agent.id); // unlike a suspension this can't be undone
      await lastOperator(call, agent.id);
      const reason = body.reason || 'retired by an administrator';
      await endAgent(call, agent.id, reason);
      const after = await agentNow(call, agent.id);
      return { body: after, event: { type: 'agent.retired', org: agent.org, target: agent.id, details: { reason } } };
    },
  }),
] as const;
