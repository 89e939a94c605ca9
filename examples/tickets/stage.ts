/** What the demo plays on: a server in a temporary folder, the ticket API, and two agents, all registered over the admin API. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Agent, createAgent } from '@bailiwick/agent';
import { createGuard, type DecisionRecord } from '@bailiwick/guard';
import { generateJwk, type PrivateJwk, publicJwk } from '@bailiwick/protocol';
import { loadConfig, start } from '@bailiwick/server';
import { registration, ticketApi } from './tickets.ts';

/** A registered identity with its key file's contents. */
export interface Identity {
  issuer: string;
  client_id: string;
  jwk: PrivateJwk;
}

/** One line of the identity provider's log. */
export interface AuditRecord {
  id: string;
  type: string;
  outcome: 'allowed' | 'refused';
  agent?: string;
  target?: string;
  jti?: string;
  reason?: string;
}

export interface Stage {
  issuer: string;
  /** The ticket API's address, and its identifier. */
  api: string;
  /** May read and write tickets. */
  triage: Agent;
  /** May read tickets. */
  reporter: Agent;
  /** Everything that the guard decided, newest last. */
  decisions: DecisionRecord[];
  /** Asks the admin API, as the operator. @throws Error with what it answered when it refuses */
  admin<Body>(method: string, path: string, body?: unknown): Promise<Body>;
  /** The newest record of the log with these members. */
  newestRecord(wanted: Partial<AuditRecord>): Promise<AuditRecord | undefined>;
  close(): Promise<void>;
}

export async function setStage(): Promise<Stage> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-demo-'));
  const overrides = {
    port: 0,
    data: path.join(folder, 'data'),
    log_level: 'silent' as const,
    shutdown_grace_seconds: 1,
  };
  const server = await start(loadConfig({ cwd: folder, env: {}, overrides }));
  const api = `http://localhost:${await freePort()}`;
  const { issuer } = server;
  const admin = adminOf(JSON.parse(readFileSync(server.operatorFile, 'utf8')) as Identity);
  const { triage, reporter, guard: credential } = await register({ issuer, api, admin });
  const decisions: DecisionRecord[] = [];
  const guard = createGuard({ resource: api, credential, onDecision: (decision) => decisions.push(decision) });
  const app = await ticketApi(guard);
  await app.listen({ port: Number(new URL(api).port), host: 'localhost' });

  return {
    issuer,
    api,
    triage: agentOf(triage),
    reporter: agentOf(reporter),
    decisions,
    admin,
    async newestRecord({ agent, type, jti, target }) {
      const filters = Object.entries({ agent, type, jti, target }).filter(([, value]) => value !== undefined);
      const query = new URLSearchParams({ ...(Object.fromEntries(filters) as Record<string, string>), limit: '1' });
      const { items } = await admin<{ items: AuditRecord[] }>('GET', `/events?${query}`);
      return items[0];
    },
    async close() {
      await app.close();
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The admin API in the hands of an operator. */
export function adminOf(identity: Identity): Stage['admin'] {
  const operator = agentOf(identity);
  return async <Body>(method: string, target: string, body?: unknown) => {
    const headers = { 'content-type': 'application/json' };
    const content = body === undefined ? {} : { body: JSON.stringify(body), headers };
    const response = await operator.fetch(`${identity.issuer}/admin/v1${target}`, { method, ...content });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${target}: ${response.status} ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as Body;
  };
}

/** Registers the API with its guard, two roles, and two agents that hold one each. */
export async function register({ issuer, api, admin }: Pick<Stage, 'issuer' | 'api' | 'admin'>) {
  const team = await admin<{ id: string }>('POST', '/teams', { name: 'support', display_name: 'Support' });
  await admin('POST', '/resources', { identifier: api, ...registration });

  async function keyed(make: (jwk: unknown) => Promise<string>): Promise<Identity> {
    const jwk = await generateJwk('ES256'); // stays here; the public half travels
    return { issuer, client_id: await make(publicJwk(jwk)), jwk };
  }

  async function agent(name: string, purpose: string, scopes: string[]): Promise<Identity> {
    const permissions = [{ resource: api, scopes }];
    const role = await admin<{ id: string }>('POST', '/roles', { name: `${name}-role`, permissions });
    return keyed(async (jwk) => {
      const resources = [{ resource: api, default: true, scope: scopes }];
      const body = { name, kind: 'ai_agent', owner: team.id, purpose, resources };
      const { id } = await admin<{ id: string }>('POST', '/agents', body);
      await admin('PUT', `/agents/${id}/roles/${role.id}`);
      await admin('POST', '/credentials', { agent: id, jwk });
      return id;
    });
  }

  return {
    triage: await agent('triage', 'Answers and closes tickets', ['tickets:read', 'tickets:write']),
    reporter: await agent('reporter', 'Writes the weekly report', ['tickets:read']),
    guard: await keyed(async (jwk) => {
      const body = { name: 'tickets-guard', resource: api, owner: team.id, jwk };
      return (await admin<{ agent: string }>('POST', '/guards', body)).agent;
    }),
  };
}

function agentOf({ issuer, client_id: clientId, jwk: key }: Identity): Agent {
  return createAgent({ issuer, clientId, key });
}

/** A port that was free a moment ago: the API's address is part of its registration. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject).listen(0, 'localhost', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
