/** An agent as the admin API writes, shows, registers and ends it. Guards are agents too. */
import { z } from 'zod';
import { type Agent, agentKinds } from '../agents/agent.ts';
import { findAgent, insertAgent } from '../agents/store.ts';
import { grants } from '../grants/index.ts';
import { rfc3339 } from '../lib/clock.ts';
import { readContext, shownContext, writableContext } from '../lib/context-fields.ts';
import { newId } from '../lib/ids.ts';
import { registerSubject } from '../liveness/liveness.ts';
import type { HeldRole } from '../resources/role.ts';
import { rolesOf } from '../resources/role-store.ts';
import { spiffeId } from '../tokens/claims.ts';
import { conflict, invalid } from '../web/problem.ts';
import { flag, idOf, line, oneOf, scopeName, setOf, shownTime, slug, text, time, wholeNumber } from './fields.ts';
import { knownOwner, knownResource, mustHold, within } from './reach.ts';
import type { Call, WriteCall } from './route.ts';
import { common } from './shapes.ts';
import { allowedTemplate, shownTemplate, writableTemplate } from './template.ts';

type GrantType = (typeof grants)[number]['type'];
const grantTypes = grants.map(({ type }) => type) as [GrantType, ...GrantType[]];

export const ownerId = z.union([idOf('person'), idOf('team')], { error: 'must be the id of a person or a team' });

const entry = z.strictObject({
  resource: line(512, 1).meta({ description: 'Id or identifier of the resource; shown as its id.' }),
  default: flag.default(false).meta({ description: 'Meant when a token request names no resource.' }),
  scope: setOf(scopeName, 200, 'scopes')
    .default([])
    .meta({ description: 'Meant when a token request names no scope. Empty: requests must name theirs.' }),
});

export const writableAgent = {
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
  context: writableContext,
  instances: writableTemplate,
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
  context: shownContext,
  instances: shownTemplate,
  roles: z.array(z.strictObject({ id: idOf('role'), name: slug, grant: idOf('grant') })),
  status: oneOf(['active', 'suspended', 'retired']),
  updated_at: shownTime,
});

/** The members that a patch may change, as they are written. */
export const writtenAgent = (agent: Agent) => ({
  owner: agent.owner,
  purpose: agent.purpose,
  environment: agent.environment,
  ...(agent.expiresAt !== undefined && { expires_at: rfc3339(agent.expiresAt) }),
  grants: agent.grants as GrantType[],
  resources: agent.resources,
  limits: agent.limits,
  context: agent.context as z.output<typeof shownContext>,
  instances: agent.instances,
});

export function showAgent(call: Call, agent: Agent, roles: readonly HeldRole[]): z.output<typeof shownAgent> {
  return {
    id: agent.id,
    organization: agent.org,
    name: agent.name,
    kind: agent.kind,
    subject: spiffeId(call.deps.config, agent),
    ...writtenAgent(agent),
    roles: roles
      .filter(({ via }) => via === undefined) // what these inherit, they say themselves
      .map(({ role, roleName, grant }) => ({ id: role, name: roleName, grant })),
    status: agent.status,
    created_at: rfc3339(agent.createdAt),
    updated_at: rfc3339(agent.updatedAt),
  };
}

export const foundAgent = async (call: Call, id: string) => within(call, 'agent', id, await findAgent(call.q, id));

/** The agent as it stands now, read again inside the transaction. */
export async function agentNow(call: Call, id: string): Promise<z.output<typeof shownAgent>> {
  return showAgent(call, await foundAgent(call, id), await rolesOf(call.q, id));
}

type Written = z.output<z.ZodObject<typeof writableAgent>>;

/**
 * The resources of an agent with their references resolved. What was there before stays, even if it has ended since.
 * @throws Problem 422 naming the entry, 403 for scopes of the admin API that the caller lacks
 */
export async function resolvedResources(
  call: Call,
  org: string,
  wanted: Written['resources'],
  before: Agent['resources'],
) {
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
    if (resource.system === 'admin') mustHold(call, one.scope, 'this default scope');
    entries.push({ resource: resource.id, default: one.default, scope: one.scope });
  }
  if (new Set(entries.map(({ resource }) => resource)).size < entries.length) {
    throw invalid('resources', 'must name each resource once');
  }
  return entries;
}

export function futureTime(call: Call, field: string, wanted: string | undefined): number | undefined {
  if (wanted === undefined) return undefined;
  const at = Date.parse(wanted);
  if (at <= call.now) throw invalid(field, 'must lie in the future');
  return at;
}

/** Makes an agent of what was written. Shared with guards, which are agents too. */
export async function registerAgent(
  call: WriteCall,
  org: { id: string; name: string; timeZone: string },
  wanted: Omit<Written, 'context'> & { name: string; kind: Agent['kind']; context?: Written['context'] },
): Promise<Agent> {
  const { tx, deps, now } = call;
  const agent: Agent = {
    id: newId(deps, 'agent'),
    org: org.id,
    orgName: org.name,
    orgTimeZone: org.timeZone,
    name: wanted.name,
    kind: wanted.kind,
    owner: await knownOwner(call, org.id, wanted.owner),
    purpose: wanted.purpose,
    environment: wanted.environment,
    expiresAt: futureTime(call, 'expires_at', wanted.expires_at),
    grants: wanted.grants,
    resources: await resolvedResources(call, org.id, wanted.resources, []),
    limits: wanted.limits,
    instances: allowedTemplate(call, wanted.instances, {}),
    context: readContext(wanted.context ?? {}),
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
