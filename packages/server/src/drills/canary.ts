/**
 * The agent that rehearsed revocations are tried on: made when it is first needed, owned by the team `operators`, with a role made for it
 * and a key that never leaves this server. It may as little as can be asked about: ping a resource that is nowhere, one scope of each
 * guarded resource (that of its least sensitive operation, and none that is highly sensitive), open tasks for itself, and see the public keys.
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
import { selectRevocations } from '../revocations/store.ts';
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
  /** Guarded resources of the organization, with the scope that it has there: none where every scope allows something highly sensitive. */
  guarded: { resource: Resource; scope: string | undefined }[];
  key: Keyed;
  /** Who may ask about tokens for the canary's resource. */
  guard: Keyed;
}

export const pingScope = 'drill:ping';
const purpose = 'Rehearses revocations (bailiwick drill revoke): its key never leaves the server';

/** What the reason of every suspension by a drill begins with. */
export const rehearsalReason = 'a rehearsal: ';

/** Somebody has stopped the canary, or what it rehearses on: that is not a drill's to undo. */
export class CanaryStoppedError extends Error {
  constructor() {
    super(
      'the canary was suspended by somebody, for a reason that is theirs: once it is resumed, revocations can be rehearsed again',
    );
    this.name = 'CanaryStoppedError';
  }
}

/**
 * The canary of an organization, made or brought up to date, and awake. It sleeps (suspended) between drills.
 * @param org id and name
 * @param by whose doing it is; the canary's own where nobody ordered it
 * @throws CanaryStoppedError
 */
export async function canaryOf(
  deps: Deps,
  org: { id: string; name: string; timeZone: string },
  by: string | undefined,
): Promise<Canary> {
  const known = await findCanary(deps.db, org.id);
  const agent = known && (await findAgent(deps.db, known.agent));
  const usable = agent !== undefined && agent.status !== 'retired' && agent.orgStatus === 'active';
  const row = known && usable ? known : await makeCanary(deps, org);
  const guarded = await upToDate(deps, org.id, row, by);
  const keys = JSON.parse(deps.encryption.open(canaryKeyName(org.id), row.key)) as { canary: Keyed; guard: Keyed };
  const [resource, now] = await Promise.all([findResource(deps.db, row.resource), findAgent(deps.db, row.agent)]);
  if (!resource || !now) throw new Error('the canary is not complete');
  return { agent: row.agent, owner: now.owner, resource, guarded, key: keys.canary, guard: keys.guard };
}

/** What its role and registration have to say: resources come and go. A canary that a drill left suspended acts again. */
async function upToDate(
  deps: Deps,
  org: string,
  row: { agent: string; resource: string; role: string },
  by: string | undefined,
) {
  const { db, clock } = deps;
  const found = await Promise.all((await guardedResources(db, org)).map((id) => findResource(db, id)));
  const guarded = found.flatMap((resource) =>
    resource && resource.id !== row.resource && !resource.system ? [{ resource, scope: leastScope(resource) }] : [],
  );
  const [admin, service] = await Promise.all([findSystemResource(db), findSystemResource(db, 'service')]);
  if (!admin || !service) throw new Error('the server has not started yet');
  const permissions = [
    { resource: row.resource, scopes: [pingScope] },
    { resource: service.id, scopes: ['tasks:open'] },
    { resource: admin.id, scopes: ['keys:read'] },
    ...guarded.flatMap(({ resource, scope }) =>
      scope === undefined ? [] : [{ resource: resource.id, scopes: [scope] }],
    ),
  ];
  const owner = (await findAgent(db, row.agent))?.owner ?? org;
  const sealing = await sealingFor(deps, (await asOf(db)).version, owner);
  await db.transaction(async (tx) => {
    const now = clock.now();
    const record = (event: Pick<AuditEvent, 'type' | 'target'>, reason: string) =>
      appendEvent(tx, deps, sealing, {
        outcome: 'allowed',
        org,
        agent: by ?? row.agent,
        reason,
        personal: { owner },
        ...event,
      });
    const [role, agent] = [await findRole(tx, row.role), await findAgent(tx, row.agent)];
    if (!role || !agent) throw new Error('the canary is not complete');
    if (agent.status === 'suspended' && !(await suspendedByDrill(tx, row.agent))) throw new CanaryStoppedError();
    if (await resumeSubject(tx, { id: row.agent, now })) {
      await record({ type: 'agent.resumed', target: row.agent }, 'a revocation is rehearsed on it');
    }
    if (JSON.stringify(role.permissions) === JSON.stringify(permissions)) return;
    await updateRole(tx, { ...role, permissions, updatedAt: now });
    await record({ type: 'role.updated', target: row.role }, 'the canary goes with what is guarded');
    const resources = permissions.map(({ resource, scopes }) => ({ resource, default: false, scope: scopes }));
    await updateAgent(tx, { ...agent, resources, updatedAt: now });
    await record({ type: 'agent.updated', target: row.agent }, 'the canary goes with what is guarded');
    await touchRegistry(tx);
  });
  return guarded;
}

/** Whether what stopped it last was a drill, and nobody else since. */
async function suspendedByDrill(tx: Tx, id: string): Promise<boolean> {
  const [last] = await selectRevocations(tx, { subject: id, limit: 1 });
  return last?.effect === 'suspended' && last.reason.startsWith(rehearsalReason);
}

const sensitivities = ['low', 'medium'];

/** The scope of the least sensitive operation that takes no more than one, if there is one that isn't highly sensitive. */
function leastScope({ operations }: Resource): string | undefined {
  const rank = ({ sensitivity = 'medium' }: Resource['operations'][number]) => sensitivities.indexOf(sensitivity);
  const harmless = operations.filter((one) => one.scope.length === 1 && one.details === undefined && rank(one) !== -1);
  const high = new Set(operations.filter((one) => rank(one) === -1).flatMap(({ scope }) => scope));
  return harmless.filter(({ scope }) => !high.has(scope[0] as string)).toSorted((a, b) => rank(a) - rank(b))[0]
    ?.scope[0];
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
    servedBy: [],
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
