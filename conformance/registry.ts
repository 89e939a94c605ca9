// What an operator writes into the registry, in the words of the tests.
import { registerSubject, endSubject, suspendSubject, touchRegistry } from '../packages/server/src/liveness/liveness.ts';
import { insertAgent } from '../packages/server/src/agents/store.ts';
import { insertCredential } from '../packages/server/src/credentials/store.ts';
import { insertResource } from '../packages/server/src/resources/store.ts';
import { insertRole, insertRoleGrant } from '../packages/server/src/resources/role-store.ts';
import { insertOrganization, insertTeam } from '../packages/server/src/people/store.ts';
import { ensureSigningKey, newSigningKey, rotateSigningKey } from '../packages/server/src/keys/keys.ts';
import { newId } from '../packages/server/src/lib/ids.ts';
import type { TestServer } from '../packages/server/src/testing/harness.ts';
import type { Algorithm, Client, Key } from './craft.ts';
import type { JwsAlgorithm } from '@bailiwick/protocol';

export interface Registered {
  id: string;
  identifier: string;
}

export interface AgentSpec {
  name: string;
  /** Public, with its kid and alg. */
  jwk: Record<string, unknown>;
  resources: { resource: Registered; default: boolean; scope: string[] }[];
  roles: string[];
  grants: string[];
  /** Seconds since the epoch. */
  expiresAt?: number;
  keyExpiresAt?: number;
}

export interface Registry {
  resource(spec: { identifier: string; scopes: string[]; alg?: Algorithm; bearer?: boolean }): Promise<Registered>;
  role(name: string, resources: Registered[], scopes: string[]): Promise<string>;
  agent(spec: AgentSpec): Promise<string>;
  suspend(client: Client): Promise<void>;
  retire(client: Client): Promise<void>;
  removeKeys(client: Client): Promise<void>;
  suspendResource(resource: Registered): Promise<void>;
  rotateKeys(alg: Algorithm): Promise<void>;
}

interface Common {
  resources: Registered[];
  roles: string[];
  default: Registered;
  scope: string[];
}

interface More {
  grants?: string[];
  expiresAt?: number;
  keyExpiresAt?: number;
  /** No resource is its default. */
  aimless?: boolean;
}

/** Registers agents that have most things in common. */
export function agentIn(registry: Registry, common: Common) {
  return async (name: string, key: Key, bindingKey: Key, { aimless = false, ...more }: More = {}): Promise<Client> => {
    const id = await registry.agent({
      name,
      jwk: key.jwk,
      roles: common.roles,
      grants: ['client_credentials'],
      resources: common.resources.map((resource) => ({
        resource,
        default: resource === common.default && !aimless,
        scope: common.scope,
      })),
      ...more,
    });
    return { id, key, bindingKey };
  };
}

export async function registryOf({ deps }: TestServer): Promise<Registry> {
  const now = () => deps.clock.now();
  const org = newId(deps, 'organization');
  const team = newId(deps, 'team');
  const credentials = new Map<string, string>();
  await deps.db.transaction(async (tx) => {
    await insertOrganization(tx, { id: org, name: 'acme', displayName: 'Acme', createdAt: now() });
    await registerSubject(tx, { id: org, kind: 'organization', now: now() });
    await insertTeam(tx, { id: team, org, name: 'support', displayName: 'Support', createdAt: now() });
    await registerSubject(tx, { id: team, kind: 'team', now: now() });
  });
  return {
    async resource({ identifier, scopes, alg = 'ES256', bearer = false }) {
      const id = newId(deps, 'resource');
      const fresh = await newSigningKey(alg);
      await deps.db.transaction(async (tx) => {
        await ensureSigningKey(tx, deps, alg, fresh);
        await insertResource(tx, {
          id, org, identifier, name: identifier, scopes: scopes.map((name) => ({ name, description: name })), operations: [],
          token: { alg, typ: 'at+jwt', dangerously_bearer: bearer }, system: false, createdAt: now(), updatedAt: now(),
        } as never);
        await registerSubject(tx, { id, kind: 'resource', parent: org, now: now() });
      });
      return { id, identifier };
    },
    async role(name, resources, scopes) {
      const id = newId(deps, 'role');
      await deps.db.transaction(async (tx) => {
        await insertRole(tx, { id, org, name, description: '', permissions: resources.map((r) => ({ resource: r.id, scopes })), system: false, createdAt: now(), updatedAt: now() });
        await registerSubject(tx, { id, kind: 'role', parent: org, now: now() });
      });
      return id;
    },
    async agent(spec) {
      const id = newId(deps, 'agent');
      const credential = newId(deps, 'credential');
      credentials.set(id, credential);
      await deps.db.transaction(async (tx) => {
        await insertAgent(tx, {
          id, org, name: spec.name, kind: 'ai_agent', owner: team, purpose: 'to be refused', environment: 'test', grants: spec.grants,
          resources: spec.resources.map((r) => ({ resource: r.resource.id, default: r.default, scope: r.scope })), limits: {},
          ...(spec.expiresAt && { expiresAt: spec.expiresAt * 1000 }), createdAt: now(), updatedAt: now(),
        } as never);
        await registerSubject(tx, { id, kind: 'agent', parent: org, now: now() });
        await insertCredential(tx, { id: credential, agent: id, org, kind: 'public_key', thumbprint: spec.jwk.kid, kid: spec.jwk.kid, alg: spec.jwk.alg, jwk: spec.jwk, label: '', createdAt: now(), ...(spec.keyExpiresAt && { expiresAt: spec.keyExpiresAt * 1000 }) } as never);
        await registerSubject(tx, { id: credential, kind: 'credential', parent: id, now: now() });
        for (const role of spec.roles) {
          const grant = newId(deps, 'grant');
          await insertRoleGrant(tx, { id: grant, org, agent: id, role, createdAt: now() });
          await registerSubject(tx, { id: grant, kind: 'grant', parent: id, now: now() });
        }
        await touchRegistry(tx);
      });
      return id;
    },
    suspend: async (client) => { await deps.db.transaction((tx) => suspendSubject(tx, { id: client.id, reason: 't', by: 't', now: now() })); },
    retire: async (client) => { await deps.db.transaction((tx) => endSubject(tx, { id: client.id, reason: 't', by: 't', now: now() })); },
    removeKeys: async (client) => { await deps.db.transaction((tx) => endSubject(tx, { id: credentials.get(client.id) as string, reason: 't', by: 't', now: now() })); },
    suspendResource: async (resource) => { await deps.db.transaction((tx) => suspendSubject(tx, { id: resource.id, reason: 't', by: 't', now: now() })); },
    rotateKeys: async (alg) => { const fresh = await newSigningKey(alg); await deps.db.transaction((tx) => rotateSigningKey(tx, deps, alg, fresh)); },
  };
}
