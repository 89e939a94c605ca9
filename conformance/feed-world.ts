/** Guards of one resource at a real server, and who calls it: what the tests of the feed share. */
import { createAgent } from '@bailiwick/agent';
import { generateJwk, type PrivateJwk, publicJwk } from '@bailiwick/protocol';
import { createGuard, type Guard, type GuardOptions, type GuardRequest } from '../packages/guard/src/index.ts';
import { systemClock } from '../packages/server/src/lib/clock.ts';
import { type databases, startServer, type TestServer } from '../packages/server/src/testing/harness.ts';

const identifier = 'https://tickets.example/api';

/** A resource of a server, with agents that may call it and guards. */
export interface Guarded {
  /** The resource's id. */
  resource: string;
  /** A token of a fresh agent, with a request that shows it. */
  caller(): Promise<{ agent: string; token: string; request: GuardRequest }>;
  guard(options?: Partial<GuardOptions>, through?: string): Promise<Guard>;
  revoke(subject: object): Promise<{ rev: number; acknowledgement: { complete: boolean } }>;
  setWhenLost(whenLost: 'introspect' | 'refuse'): Promise<unknown>;
  /** Closes its guards. */
  close(): Promise<void>;
}

/** Registers one by the admin API. @param address where its guards go */
export async function guarded(server: Pick<TestServer, 'issuer' | 'admin'>, address: string): Promise<Guarded> {
  const post = (path: string, body: object) => server.admin<{ id: string; agent: string }>('POST', path, body);
  const { id: resource } = await post('/resources', {
    identifier,
    name: 'Tickets',
    scopes: [{ name: 'tickets:read' }],
    operations: [{ name: 'read', method: 'GET', path: '/tickets', scope: ['tickets:read'], sensitivity: 'low' }],
    token: { dangerously_bearer: true },
  });
  const role = await post('/roles', { name: 'reader', permissions: [{ resource, scopes: ['tickets:read'] }] });
  const team = await post('/teams', { name: 'support' });
  const guards: Guard[] = [];
  let count = 0;
  const keyed = async () => {
    const jwk = await generateJwk('ES256');
    return { jwk, name: `x-${++count}` };
  };

  return {
    resource,
    async caller() {
      const { jwk, name } = await keyed();
      const agent = await post('/agents', {
        name,
        kind: 'workload',
        owner: team.id,
        resources: [{ resource, default: true, scope: ['tickets:read'] }],
      });
      await post('/credentials', { agent: agent.id, jwk: publicJwk(jwk) });
      await server.admin('PUT', `/agents/${agent.id}/roles/${role.id}`);
      const token = await tokenOf(server.issuer, agent.id, jwk);
      return { agent: agent.id, token, request: bearer(token) };
    },
    async guard(options = {}, through = address) {
      const { jwk, name } = await keyed();
      const guard = await post('/guards', { name, resource, owner: team.id, jwk: publicJwk(jwk) });
      const made = createGuard({
        issuer: server.issuer,
        resource: identifier,
        credential: { client_id: guard.agent, jwk },
        fetch: via(server.issuer, through),
        report: () => {},
        ...options,
      });
      guards.push(made);
      return made;
    },
    revoke: (subject) => server.admin('POST', '/revocations', { ...subject, reason: 'a test', wait_seconds: 20 }),
    setWhenLost: (when_lost) =>
      server.admin('PATCH', `/resources/${resource}`, { feed: { lease_seconds: 2, when_lost } }),
    async close() {
      for (const guard of guards) await guard.close();
    },
  };
}

export interface FeedWorld extends Guarded {
  server: TestServer;
  /** Where guards go that are of another node, where there is one. */
  other: TestServer;
}

/** A resource of a server in this process, in the real time. */
export async function feedWorld(database: (typeof databases)[number]): Promise<FeedWorld> {
  const clock = { ...systemClock, advance: () => {} };
  const server = await startServer({ database, clock });
  const other = database === 'postgres' ? await startServer({ joins: server, clock }) : server;
  const at = await guarded(server, other.address);
  return {
    ...at,
    server,
    other,
    async close() {
      await at.close();
      if (other !== server) await other.close();
      await server.close();
    },
  };
}

/** Everything that is for the issuer goes to one of its nodes, or to what stands before it. */
export const via =
  (issuer: string, address: string): typeof fetch =>
  (url, init) =>
    fetch(String(url).replace(issuer, address), init);

export const bearer = (token: string): GuardRequest => ({
  method: 'GET',
  url: '/api/tickets',
  headers: { authorization: [`Bearer ${token}`] },
  remoteAddress: '127.0.0.1',
});

/** Bound to nothing: whoever has it shows it. */
async function tokenOf(issuer: string, clientId: string, key: PrivateJwk): Promise<string> {
  const agent = createAgent({ issuer, clientId, key, resource: identifier, fetch: withoutProof });
  return (await agent.token()).dangerouslyExposeToken();
}

const withoutProof: typeof fetch = (url, init) => {
  const headers = new Headers(init?.headers);
  headers.delete('dpop');
  return fetch(url, { ...init, headers });
};

/** What is answered to a request: 200 for one that goes on. */
export const statusOf = async (guard: Guard, request: GuardRequest) => {
  const decision = await guard.decide(request);
  return decision.allowed ? 200 : decision.status;
};

/** How a guard stands with the feed. */
export const stateOf = (guard: Guard) => guard.status().feed?.state;
