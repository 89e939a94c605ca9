// A server with everyone who appears in the tests, registered as an operator would register them.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { databases as all, startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { type Algorithm, type Client, type Key, makeKey, makeRequest, type Setting } from './craft.ts';
import { type Admin, agentIn, type Registered, type Registry, registryOf } from './registry.ts';
import type { Scene } from './rejections/row.ts';
import { send } from './send.ts';

export type DatabaseName = 'sqlite' | 'postgres';
export const databases: readonly DatabaseName[] = all;

export interface World {
  issuer: string;
  tokenEndpoint: string;
  jwksUri: string;
  /** One agent for each algorithm, all with the same rights. */
  agents: Record<Algorithm, Client>;
  /** The one that asks when nobody else is said. */
  client: Client;
  /** Identifiers: two ordinary ones, and one for each algorithm that tokens can be signed with. */
  resources: Record<'tickets' | 'open' | Algorithm, string>;
  registry: Registry;
  /** Two of the resources, as they are registered. */
  given: Record<'tickets' | 'open', Registered>;
  /** The operator's own agent, and its tokens for the admin API. */
  operator: Operator;
  /** Seconds, by the server's clock. */
  now(): number;
  /** Lets seconds pass. */
  advance(seconds: number): void;
  /** Seconds from our clock to the server's, for clients that look at their own. */
  clockSkew(): number;
  /** The setting of the next request: a second later, with a nonce that is good now. */
  scene(): Promise<Scene>;
  rotateKeys(alg: Algorithm): Promise<void>;
  close(): Promise<void>;
}

export interface Operator {
  admin: Admin;
  /** Calls any URL of the admin API as the operator, and answers whatever comes. */
  fetch(url: string, init?: RequestInit): Promise<Response>;
}

export interface WorldOptions {
  /** A path behind the issuer's host, as in `/tenants/one`. */
  path?: string;
}

const keys = new Map<string, Key>();

/** Keys are made once for all worlds of a test file: RSA takes its time, and nobody's secret is at stake. */
function keyOf(name: string, alg: Algorithm): Key {
  const key = keys.get(name) ?? makeKey(alg);
  keys.set(name, key);
  return key;
}

/** Starts a server and registers everyone. Close it. */
export async function openWorld(database: DatabaseName, { path = '' }: WorldOptions = {}): Promise<World> {
  const server = await startServer({
    database,
    config: path === '' ? {} : await below(path),
  });
  try {
    return await populate(server);
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** The port stands in the issuer, so it has to be known before the server starts. */
async function below(path: string): Promise<{ port: number; issuer: string }> {
  const probe = createServer().listen(0);
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return { port, issuer: `http://localhost:${port}${path}` };
}

async function populate(server: TestServer): Promise<World> {
  const { issuer, clock } = server;
  const now = () => Math.floor(clock.now() / 1000);
  const registry = await registryOf(server.admin);
  const base = `https://${randomBytes(4).toString('hex')}.example`;

  const scopes = ['tickets:read', 'tickets:write', 'tickets:delete'];
  const tickets = await registry.resource({ identifier: `${base}/api`, scopes });
  const open = await registry.resource({ identifier: `${base}/open`, scopes, bearer: true });
  const foreign = await registry.resource({ identifier: `${base}/foreign`, scopes });
  const closed = await registry.resource({ identifier: `${base}/closed`, scopes });
  const resources = { tickets: tickets.identifier, open: open.identifier } as World['resources'];
  const given = [tickets, open, closed];
  for (const alg of ['ES256', 'EdDSA', 'PS256', 'RS256'] as const) {
    const resource = await registry.resource({ identifier: `${base}/${alg.toLowerCase()}`, scopes, alg });
    resources[alg] = resource.identifier;
    given.push(resource);
  }
  const role = await registry.role('clerk', given, ['tickets:read', 'tickets:write']);
  const agent = agentIn(registry, { resources: given, roles: [role], default: tickets, scope: ['tickets:read'] });

  const agents = {} as World['agents'];
  for (const alg of ['ES256', 'EdDSA', 'PS256', 'RS256'] as const) {
    agents[alg] = await agent(
      `asks-with-${alg.toLowerCase()}`,
      keyOf(`agent ${alg}`, alg),
      keyOf(`binding ${alg}`, 'ES256'),
    );
  }
  const someone = (name: string, more: Parameters<typeof agent>[3] = {}) =>
    agent(name, keyOf(name, 'ES256'), keyOf(`binding of ${name}`, 'ES256'), more);
  const people = {
    other: await someone('other'),
    suspended: await someone('suspended'),
    retired: await someone('retired'),
    expired: await someone('expired', { expiresAt: now() + 1800 }),
    keyless: await someone('keyless'),
    staleKey: await someone('stale-key', { keyExpiresAt: now() + 1800 }),
    grantless: await someone('grantless', { grants: [] }),
    aimless: await someone('aimless', { aimless: true }),
  };
  await registry.suspend(people.suspended);
  await registry.retire(people.retired);
  await registry.removeKeys(people.keyless);
  await registry.retireResource(closed);

  const tokenEndpoint = `${issuer}/oauth2/token`;
  const client = agents.ES256;
  const setting = (nonce: string): Setting => ({
    issuer,
    tokenEndpoint,
    now: now(),
    nonce,
    client,
    resource: tickets.identifier,
    scope: 'tickets:read',
  });
  const freshNonce = async () => {
    const reply = await send(tokenEndpoint, makeRequest(setting('none'), { proof: { claims: { nonce: undefined } } }));
    const nonce = reply.headers['dpop-nonce'];
    if (nonce === undefined) throw new Error(`no nonce: ${reply.status} ${reply.body}`);
    return nonce;
  };

  const staleNonce = await freshNonce();
  const first = await send(tokenEndpoint, makeRequest(setting(staleNonce)));
  const accessToken = first.json?.access_token;
  if (typeof accessToken !== 'string') throw new Error(`no first token: ${first.status} ${first.body}`);
  // still good now, and remembered by the server as such
  for (const who of [people.expired, people.staleKey]) {
    const reply = await send(tokenEndpoint, makeRequest(setting(staleNonce), { client: who }));
    if (reply.status !== 200) throw new Error(`${who.id} should still have got a token: ${reply.body}`);
  }
  clock.advance(3_600_000); // whose time was to be up, it is now

  let nonce = { value: '', at: Number.NEGATIVE_INFINITY };
  return {
    issuer,
    tokenEndpoint,
    jwksUri: `${issuer}/oauth2/jwks`,
    agents,
    client,
    resources,
    registry,
    given: { tickets, open },
    operator: { admin: server.admin, fetch: (url, init) => server.agent.fetch(url, init) },
    now,
    advance: (seconds) => clock.advance(seconds * 1000),
    clockSkew: () => now() - Math.floor(Date.now() / 1000),
    async scene() {
      clock.advance(1000);
      if (now() - nonce.at > 60) nonce = { value: await freshNonce(), at: now() };
      return {
        ...setting(nonce.value),
        ...people,
        rsa: agents.PS256,
        strangerKey: keyOf('stranger', 'ES256'),
        accessToken,
        foreignResource: foreign.identifier,
        retiredResource: closed.identifier,
        staleNonce,
      };
    },
    rotateKeys: (alg) => registry.rotateKeys(alg),
    close: () => server.close(),
  };
}
