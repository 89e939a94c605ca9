/**
 * The agent that rehearsed revocations are tried on: made when it is first needed, owned by the team `operators`, with a role made for it
 * and a key that never leaves this server. It may as little as can be asked about: ping a resource that is nowhere, one scope of each
 * guarded resource (that of its least sensitive operation), open tasks for itself, and see the public keys.
 */
import { generateJwk, type PrivateJwk, publicJwk, thumbprint } from '@bailiwick/protocol';
import { findAgent, insertAgent, updateAgent } from '../agents/store.ts';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import { insertCredential } from '../credentials/store.ts';
import type { Deps } from '../deps.ts';
import { canaryKeyName } from '../keys/encryption.ts';
import { newId } from '../lib/ids.ts';
import { asOf, registerSubject, resumeSubject, touchRegistry } from '../liveness/liveness.ts';
import { insertTeam, selectTeams } from '../people/store.ts';
import { defaultFeedTerms, type Resource } from '../resources/resource.ts';
import { findRole, insertRole, insertRoleGrant, updateRole } from '../resources/role-store.ts';
import { findResource, findSystemResource, insertGuard, insertResource } from '../resources/store.ts';
import type { Tx } from '../store/database.ts';
import { findCanary, guardedResources, putCanary } from './store.ts';

interface Keyed {
  client_id: string;
  jwk: PrivateJwk;
}

/** What a drill acts with. */
export interface Canary {
  agent: string;
  owner: string;
  /** Its own resource, which nothing stands behind. */
  resource: Resource;
  /** Guarded resources of the organization, with the scope that it has there. */
  guarded: { resource: Resource; scope: string }[];
  key: Keyed;
  /** Who may ask about tokens for the canary's resource. */
  guard: Keyed;
}

export const pingScope = 'drill:ping';
const purpose = 'Rehearses revocations (bailiwick drill revoke): its key never leaves the server';

/** The canary of an organization, made or brought up to date. @param org id and name */
export async function canaryOf(deps: Deps, org: { id: string; name: string; timeZone: string }): Promise<Canary> {
  const known = await findCanary(deps.db, org.id);
  const agent = known && (await findAgent(deps.db, known.agent));
  const usable = agent !== undefined && agent.status !== 'retired' && agent.orgStatus === 'active';
  const row = known && usable ? known : await makeCanary(deps, org);
  const guarded = await upToDate(deps, org.id, row);
  const keys = JSON.parse(deps.encryption.open(canaryKeyName(org.id), row.key)) as { canary: Keyed; guard: Keyed };
  const [resource, now] = await Promise.all([findResource(deps.db, row.resource), findAgent(deps.db, row.agent)]);
  if (!resource || !now) throw new Error('the canary is not complete');
  return { agent: row.agent, owner: now.owner, resource, guarded, key: keys.canary, guard: keys.guard };
}

/** What its role and registration have to say: resources come and go. A canary that a drill left suspended acts again. */
async function upToDate(deps: Deps, org: string, row: { agent: string; resource: string; role: string }) {
  const { db, clock } = deps;
  const found = await Promise.all((await guardedResources(db, org)).map((id) => findResource(db, id)));
  const guarded = found.flatMap((resource) => {
    const scope = resource && resource.id !== row.resource && !resource.system ? leastScope(resource) : undefined;
    return resource && scope !== undefined ? [{ resource, scope }] : [];
  });
  const [admin, service] = await Promise.all([findSystemResource(db), findSystemResource(db, 'service')]);
  if (!admin || !service) throw new Error('the server has not started yet');
  const permissions = [
    { resource: row.resource, scopes: [pingScope] },
    { resource: service.id, scopes: ['tasks:open'] },
    { resource: admin.id, scopes: ['keys:read'] },
    ...guarded.map(({ resource, scope }) => ({ resource: resource.id, scopes: [scope] })),
  ];
  await db.transaction(async (tx) => {
    const now = clock.now();
    await resumeSubject(tx, { id: row.agent, now });
    const [role, agent] = [await findRole(tx, row.role), await findAgent(tx, row.agent)];
    if (!role || !agent) throw new Error('the canary is not complete');
    if (JSON.stringify(role.permissions) === JSON.stringify(permissions)) return;
    await updateRole(tx, { ...role, permissions, updatedAt: now });
    const resources = permissions.map(({ resource, scopes }) => ({ resource, default: false, scope: scopes }));
    await updateAgent(tx, { ...agent, resources, updatedAt: now });
    await touchRegistry(tx);
  });
  return guarded;
}

const sensitivities = ['low', 'medium', 'high'];

/** The scope of the least sensitive operation that takes no more than one. */
function leastScope({ operations }: Resource): string | undefined {
  const single = operations.filter(({ scope, details }) => scope.length === 1 && details === undefined);
  return single.toSorted(
    (a, b) => sensitivities.indexOf(a.sensitivity ?? 'medium') - sensitivities.indexOf(b.sensitivity ?? 'medium'),
  )[0]?.scope[0];
}

async function makeCanary(deps: Deps, org: { id: string; name: string; timeZone: string }) {
  const jwks = { canary: await generateJwk('ES256'), guard: await generateJwk('ES256') };
  const known = (await selectTeams(deps.db, { org: org.id, name: 'operators', limit: 1 }))[0];
  const team = known?.id ?? newId(deps, 'team');
  const sealing = await sealingFor(deps, (await asOf(deps.db)).version, team);
  const tag = deps.random.bytes(3).toString('hex');
  return deps.db.transaction(async (tx) => {
    const now = deps.clock.now();
    const ids = { canary: newId(deps, 'agent'), guard: newId(deps, 'agent') };
    const record = (event: Pick<AuditEvent, 'type' | 'target'>) =>
      appendEvent(tx, deps, sealing, {
        outcome: 'allowed',
        org: org.id,
        agent: ids.canary,
        reason: 'made to rehearse revocations on',
        personal: { owner: team },
        ...event,
      });
    if (!known) {
      await insertTeam(tx, { id: team, org: org.id, name: 'operators', displayName: 'Operators', createdAt: now });
      await registerSubject(tx, { id: team, kind: 'team', parent: org.id, now });
      await record({ type: 'team.created', target: team });
    }
    const resource = await insertOwnResource(tx, deps, org.id, tag);
    await record({ type: 'resource.created', target: resource });
    const role = newId(deps, 'role');
    const description = 'What the canary of rehearsed revocations may do';
    const permissions = [{ resource, scopes: [pingScope] }];
    const made = {
      id: role,
      org: org.id,
      description,
      permissions,
      inherits: [],
      system: false,
      createdAt: now,
      updatedAt: now,
    };
    if (!(await insertRole(tx, { ...made, name: 'drill-canary' })))
      await insertRole(tx, { ...made, name: `drill-canary-${tag}` });
    await registerSubject(tx, { id: role, kind: 'role', parent: org.id, now });
    await record({ type: 'role.created', target: role });
    const credentials: Record<string, string> = {};
    for (const [kind, id] of Object.entries(ids) as ['canary' | 'guard', string][]) {
      await insertOwnAgent(tx, deps, { id, org, owner: team, name: `drill-${kind}`, tag });
      await record({ type: 'agent.created', target: id });
      credentials[kind] = await insertKey(tx, deps, { id, org: org.id }, jwks[kind]);
      await record({ type: 'credential.created', target: credentials[kind] });
    }
    const grant = { id: newId(deps, 'grant'), org: org.id, agent: ids.canary, role, createdAt: now };
    await insertRoleGrant(tx, grant);
    await registerSubject(tx, { id: grant.id, kind: 'grant', parent: ids.canary, now });
    const guard = { id: newId(deps, 'guard'), org: org.id, resource, agent: ids.guard, createdAt: now };
    await insertGuard(tx, guard);
    await registerSubject(tx, { id: guard.id, kind: 'guard', parent: resource, now });
    await record({ type: 'guard.created', target: guard.id });
    const keys = {
      canary: { client_id: ids.canary, jwk: jwks.canary },
      guard: { client_id: ids.guard, jwk: jwks.guard },
    };
    const row = {
      org: org.id,
      agent: ids.canary,
      resource,
      role,
      credential: credentials.canary as string,
      key: deps.encryption.seal(canaryKeyName(org.id), JSON.stringify(keys)),
    };
    await putCanary(tx, row, now);
    await touchRegistry(tx);
    return row;
  });
}

/** Nothing answers there, and no name below `.invalid` ever will (RFC 6761 §6.4). */
async function insertOwnResource(tx: Tx, deps: Deps, org: string, tag: string): Promise<string> {
  const now = deps.clock.now();
  const id = newId(deps, 'resource');
  const made = await insertResource(tx, {
    id,
    org,
    identifier: `https://drill-${tag}.${org.slice(4)}.invalid/canary`,
    name: 'Canary of rehearsed revocations',
    scopes: [{ name: pingScope, description: 'Nothing' }],
    operations: [{ name: 'ping', method: 'GET', path: '/ping', scope: [pingScope], sensitivity: 'low' }],
    detailsTypes: [],
    token: { alg: 'ES256', typ: 'at+jwt', dangerously_bearer: false, status_list: true },
    feed: defaultFeedTerms,
    system: undefined,
    createdAt: now,
    updatedAt: now,
  });
  if (!made) throw new Error('the canary’s resource can not be made');
  await registerSubject(tx, { id, kind: 'resource', parent: org, now });
  return id;
}

async function insertOwnAgent(
  tx: Tx,
  deps: Deps,
  {
    id,
    org,
    owner,
    name,
    tag,
  }: { id: string; org: { id: string; name: string; timeZone: string }; owner: string; name: string; tag: string },
): Promise<void> {
  const now = deps.clock.now();
  const made = {
    id,
    org: org.id,
    kind: 'workload' as const,
    owner,
    purpose,
    environment: 'production',
    grants: ['client_credentials'],
    resources: [],
    limits: { tokens_per_minute: 10_000 },
    instances: {},
    context: {},
    createdAt: now,
    updatedAt: now,
  };
  // names are never used again: after one that was retired comes one with a tag
  if (!(await insertAgent(tx, { ...made, name })) && !(await insertAgent(tx, { ...made, name: `${name}-${tag}` }))) {
    throw new Error(`the agent ${name} can not be made`);
  }
  await registerSubject(tx, { id, kind: 'agent', parent: org.id, now });
}

async function insertKey(tx: Tx, deps: Deps, agent: { id: string; org: string }, jwk: PrivateJwk): Promise<string> {
  const now = deps.clock.now();
  const id = newId(deps, 'credential');
  const print = thumbprint(jwk);
  await insertCredential(tx, {
    id,
    agent: agent.id,
    org: agent.org,
    kind: 'public_key',
    thumbprint: print,
    kid: print,
    alg: 'ES256',
    jwk: { ...publicJwk(jwk), kid: print, alg: 'ES256', use: 'sig' },
    label: 'held by the server',
    createdAt: now,
  });
  await registerSubject(tx, { id, kind: 'credential', parent: agent.id, now });
  return id;
}
