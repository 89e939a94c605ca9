// What an operator writes into the registry, in the words of the tests, by the admin API that every operator has.
import type { Algorithm, Client, Key } from './craft.ts';

/** Calls the admin API as the operator and answers its JSON; throws when it refuses. */
export type Admin = <Body>(method: string, path: string, body?: unknown) => Promise<Body>;

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
  /** Answers the role's id. */
  role(name: string, resources: Registered[], scopes: string[]): Promise<string>;
  /** Answers the client_id. */
  agent(spec: AgentSpec): Promise<string>;
  /** An agent that may introspect the tokens for a resource. Answers its client_id. */
  guard(name: string, resource: Registered, jwk: Record<string, unknown>): Promise<string>;
  /** Gives an agent one resource more, and a role that gives these scopes on it. */
  widen(client: Client, resource: Registered, scopes: string[]): Promise<void>;
  suspend(client: Client): Promise<void>;
  resume(client: Client): Promise<void>;
  retire(client: Client): Promise<void>;
  removeKeys(client: Client): Promise<void>;
  retireResource(resource: Registered): Promise<void>;
  rotateKeys(alg: Algorithm): Promise<void>;
}

interface Thing {
  id: string;
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

const time = (seconds: number): string => new Date(seconds * 1000).toISOString();

/** Everything is owned by one team, which is made here. */
export async function registryOf(admin: Admin): Promise<Registry> {
  const team = await admin<Thing>('POST', '/teams', { name: 'support', display_name: 'Support' });
  return {
    async resource({ identifier, scopes, alg = 'ES256', bearer = false }) {
      const { id } = await admin<Thing>('POST', '/resources', {
        identifier,
        name: identifier,
        scopes: scopes.map((name) => ({ name })),
        token: { alg, dangerously_bearer: bearer },
      });
      return { id, identifier };
    },
    async role(name, resources, scopes) {
      const permissions = resources.map(({ id }) => ({ resource: id, scopes }));
      return (await admin<Thing>('POST', '/roles', { name, permissions })).id;
    },
    async agent({ name, jwk, resources, roles, grants, expiresAt, keyExpiresAt }) {
      const { id } = await admin<Thing>('POST', '/agents', {
        name,
        kind: 'ai_agent',
        owner: team.id,
        resources: resources.map((each) => ({ ...each, resource: each.resource.id })),
        grants,
        ...(expiresAt !== undefined && { expires_at: time(expiresAt) }),
      });
      const until = keyExpiresAt === undefined ? {} : { expires_at: time(keyExpiresAt) };
      await admin('POST', '/credentials', { agent: id, jwk, ...until });
      for (const role of roles) await admin('PUT', `/agents/${id}/roles/${role}`);
      return id;
    },
    async guard(name, resource, jwk) {
      return (await admin<{ agent: string }>('POST', '/guards', { name, resource: resource.id, owner: team.id, jwk }))
        .agent;
    },
    async widen({ id }, resource, scopes) {
      const { resources } = await admin<{ resources: object[] }>('GET', `/agents/${id}`);
      await admin('PATCH', `/agents/${id}`, { resources: [...resources, { resource: resource.id }] });
      const permissions = [{ resource: resource.id, scopes }];
      const role = await admin<Thing>('POST', '/roles', { name: `on-${resource.id.slice(-8)}`, permissions });
      await admin('PUT', `/agents/${id}/roles/${role.id}`);
    },
    resume: ({ id }) => admin('POST', `/agents/${id}/resume`),
    suspend: ({ id }) => admin('POST', `/agents/${id}/suspend`),
    retire: ({ id }) => admin('POST', `/agents/${id}/retire`),
    async removeKeys({ id }) {
      const { items } = await admin<{ items: Thing[] }>('GET', `/credentials?agent=${id}`);
      for (const credential of items) await admin('DELETE', `/credentials/${credential.id}`);
    },
    retireResource: ({ id }) => admin('POST', `/resources/${id}/retire`),
    rotateKeys: (alg) => admin('POST', '/keys/rotate', { alg }),
  };
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
