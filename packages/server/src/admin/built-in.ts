/** What every deployment has from its first start: its own APIs as resources, and the roles on them. */
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { registerSubject } from '../liveness/liveness.ts';
import {
  defaultFeedTerms,
  type Resource,
  type ResourceScope,
  type SystemResource,
  systemResources,
} from '../resources/resource.ts';
import type { Role } from '../resources/role.ts';
import { findSystemRole, insertRole, updateRole } from '../resources/role-store.ts';
import { audienceTaken, findSystemResource, insertResource, updateResource } from '../resources/store.ts';
import type { Tx } from '../store/database.ts';
import { guardScopes, serviceResource, serviceScopes } from '../web/service.ts';
import { adminResource, adminScopes, auditorScopes, guardScope, operatorScopes, ownerScopes } from './scopes.ts';

type Api = SystemResource;

/** The server's own APIs: an audience for each. */
const apis: Record<Api, { name: string; identifier(config: { issuer: string }): string; scopes: ResourceScope[] }> = {
  admin: { name: 'Bailiwick admin API', identifier: adminResource, scopes: described(adminScopes) },
  service: { name: 'Bailiwick API for agents', identifier: serviceResource, scopes: described(serviceScopes) },
};

function described(scopes: Readonly<Record<string, string>>): ResourceScope[] {
  return Object.entries(scopes).map(([name, description]) => ({ name, description }));
}

const roles: { name: string; description: string; gives: Partial<Record<Api, readonly string[]>> }[] = [
  {
    name: 'operator',
    description: 'Everything that an administrator can do, in every organization',
    gives: { admin: operatorScopes },
  },
  {
    name: 'guard',
    description: 'What being registered as a guard gives',
    gives: { admin: [guardScope], service: guardScopes },
  },
  {
    name: 'auditor',
    description: 'Sees everything of its organization, and changes nothing',
    gives: { admin: auditorScopes },
  },
  {
    name: 'owner',
    description: 'Sees and stops the agents that whoever answers for this identity answers for',
    gives: { admin: ownerScopes },
  },
  {
    name: 'signal-receiver',
    description: 'Has streams of security signals about its organization (SSF)',
    gives: { service: ['ssf.read', 'ssf.manage'] },
  },
  {
    name: 'orchestrator',
    description: 'Opens tasks for the agents of its organization',
    gives: { service: ['tasks:open'] },
  },
];

export interface BuiltIn {
  resources: Record<Api, Resource>;
  operator: Role;
}

/**
 * Makes what is missing of it and brings what is there up to date with this version of the program.
 * @returns whether anything was changed, which the caller must say to the registry
 * @throws Error when a resource of the data has claimed what identifies ours
 */
export async function ensureBuiltIn(tx: Tx, deps: Deps, org: string): Promise<BuiltIn & { changed: boolean }> {
  const now = deps.clock.now();
  const admin = await ensureResource(tx, deps, org, 'admin');
  const service = await ensureResource(tx, deps, org, 'service');
  let changed = admin.changed || service.changed;
  const resources = { admin: admin.resource, service: service.resource };
  for (const { name, description, gives } of roles) {
    const permissions = systemResources.flatMap((api) => {
      const scopes = gives[api];
      return scopes ? [{ resource: resources[api].id, scopes: [...scopes] }] : [];
    });
    const known = await findSystemRole(tx, name);
    if (!known) {
      const id = newId(deps, 'role');
      const made = {
        id,
        org,
        name,
        description,
        permissions,
        inherits: [],
        system: true,
        createdAt: now,
        updatedAt: now,
      };
      if (!(await insertRole(tx, made)))
        throw new Error(`the built-in role ${name} can not be made: another role of the organization has its name`);
      await registerSubject(tx, { id, kind: 'role', parent: org, now });
      changed = true;
    } else if (JSON.stringify(known.permissions) !== JSON.stringify(permissions)) {
      await updateRole(tx, { ...known, permissions, updatedAt: now });
      changed = true;
    }
  }
  const operator = await findSystemRole(tx, 'operator');
  if (!operator) throw new Error('the built-in role operator is missing');
  return { resources, operator, changed };
}

async function ensureResource(
  tx: Tx,
  deps: Deps,
  org: string,
  api: Api,
): Promise<{ resource: Resource; changed: boolean }> {
  const now = deps.clock.now();
  const { name, scopes } = apis[api];
  const known = await findSystemResource(tx, api);
  if (known) {
    if (JSON.stringify(known.scopes) === JSON.stringify(scopes)) return { resource: known, changed: false };
    const resource = { ...known, scopes, updatedAt: now };
    await updateResource(tx, resource);
    return { resource, changed: true };
  }
  const identifier = apis[api].identifier(deps.config);
  const resource: Resource = {
    id: newId(deps, 'resource'),
    org,
    identifier,
    name,
    scopes,
    operations: [],
    detailsTypes: [],
    token: { alg: 'ES256', typ: 'at+jwt', dangerously_bearer: false },
    feed: defaultFeedTerms,
    servedBy: [],
    status: 'active',
    system: api,
    createdAt: now,
    updatedAt: now,
  };
  const taken = await audienceTaken(tx, { audience: identifier, by: resource.id, org, identifies: true });
  if (taken || !(await insertResource(tx, resource))) {
    throw new Error(
      `The ${name} can not be known as ${identifier}: a resource of this data has claimed that, as its identifier or as the audience of its tokens.`,
    );
  }
  await registerSubject(tx, { id: resource.id, kind: 'resource', parent: org, now });
  return { resource, changed: true };
}

/** The identifiers that the server's own APIs have under this configuration. */
export const ownIdentifiers = (config: { issuer: string }): Record<Api, string> => ({
  admin: apis.admin.identifier(config),
  service: apis.service.identifier(config),
});
