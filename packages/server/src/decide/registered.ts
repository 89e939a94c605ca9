/** What the registry knows of agents and their roles, read once for each of its versions. */
import { ProtocolError, parseSpiffeId } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { findInstanceBySpiffeId } from '../agents/instance-store.ts';
import { findAgent, selectAgents } from '../agents/store.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { rememberedPer } from '../lib/remember.ts';
import type { HeldRole } from '../resources/role.ts';
import { rolesOf } from '../resources/store.ts';

const agents = rememberedPer<Agent>(100_000);
const agentNames = rememberedPer<Agent>(100_000);
const held = rememberedPer<HeldRole[]>(100_000);

/** The registry at one version. */
export type Registry = Pick<Deps, 'db' | 'config'>;

/** The agent with this id, of whatever organization. */
export const agentById = ({ db }: Registry, version: number, id: string): Promise<Agent | undefined> =>
  agents(db).get(version, id, () => findAgent(db, id));

const agentNamed = ({ db }: Registry, version: number, org: string, name: string): Promise<Agent | undefined> =>
  agentNames(db).get(version, `${org} ${name}`, async () => (await selectAgents(db, { org, name, limit: 1 }))[0]);

/** An agent that a question is about, and the running copy of it where that is named. */
export interface FoundAgent {
  agent: Agent;
  instance: Instance | undefined;
}

/**
 * The organization's agent that goes by this name: its id, its name, its SPIFFE ID or that of an instance of it. Nobody
 * elsewhere is found.
 */
export async function agentCalled(
  deps: Registry,
  version: number,
  org: string,
  called: string,
): Promise<FoundAgent | undefined> {
  if (called.startsWith('spiffe://')) return agentAt(deps, version, org, called);
  const agent = isId('agent', called)
    ? await agentById(deps, version, called)
    : await agentNamed(deps, version, org, called);
  if (!agent || agent.org !== org) return undefined;
  return { agent, instance: undefined };
}

async function agentAt(
  deps: Registry,
  version: number,
  org: string,
  spiffeId: string,
): Promise<FoundAgent | undefined> {
  const [orgName, name, ...below] = pathIn(deps, spiffeId);
  if (name === undefined) return undefined;
  const agent = await agentNamed(deps, version, org, name);
  if (!agent || agent.orgName !== orgName) return undefined;
  if (below.length === 0) return { agent, instance: undefined };
  const instance = await findInstanceBySpiffeId(deps.db, spiffeId);
  return instance?.agent === agent.id ? { agent, instance } : undefined;
}

function pathIn({ config }: Registry, spiffeId: string): readonly string[] {
  try {
    const { trustDomain, path } = parseSpiffeId(spiffeId);
    return trustDomain === config.trust_domain ? path : [];
  } catch (error) {
    if (error instanceof ProtocolError) return [];
    throw error;
  }
}

/**
 * Ids of those actors that are agents of the organization, in their order. Whom another issuer names is none of ours, whatever it is called; and no token
 * calls an agent by its name alone: whoever is called as an agent is named, a person say, is none.
 */
export async function agentsAmong(
  deps: Registry,
  version: number,
  org: string,
  actors: readonly { sub: string; iss?: string | undefined }[],
): Promise<string[]> {
  const ids: string[] = [];
  for (const { sub, iss } of actors) {
    if (iss !== deps.config.issuer || !(sub.startsWith('spiffe://') || isId('agent', sub))) continue;
    const found = await agentCalled(deps, version, org, sub);
    if (found) ids.push(found.agent.id);
  }
  return ids;
}

/** The roles that an agent holds now. */
export async function rolesHeld({ db }: Registry, version: number, agent: string): Promise<readonly HeldRole[]> {
  return (await held(db).get(version, agent, () => rolesOf(db, agent))) ?? [];
}
