/** What is not an agent's own: roles, resources, organizations, people and teams, signing keys. How each is revoked. */
import type { JwsAlgorithm, PrivateJwk } from '@bailiwick/protocol';
import { selectAgents } from '../agents/store.ts';
import { newSigningKey } from '../keys/keys.ts';
import { type KeyToRevoke, keyToRevoke, revokeSigningKey } from '../keys/revoke.ts';
import { isId } from '../lib/ids.ts';
import { belongingOf, endSubject, narrowSubject, suspendSubject } from '../liveness/liveness.ts';
import type { Organization, Person, Team } from '../people/people.ts';
import { findOrganization, findPerson, findTeam, selectPeople, selectTeams } from '../people/store.ts';
import { adminScopesOfRole } from '../resources/power.ts';
import type { Resource } from '../resources/resource.ts';
import type { Role } from '../resources/role.ts';
import { findRole, selectRoles } from '../resources/role-store.ts';
import { findResource, findResourceByIdentifier, findSystemResource, selectResources } from '../resources/store.ts';
import type { Queries, Tx } from '../store/database.ts';
import { type Order, type Revocable, type RevocationEvent, type Target, tokensRevoked } from './revocable.ts';
import { agents, agentTarget } from './revoke-agent.ts';

export const roles: Revocable<Role> = {
  effects: ['tokens', 'end'],
  namedBy: 'name',
  locksOut: 'anybody',
  async find(q, reference, org) {
    const role = isId('role', reference)
      ? await findRole(q, reference)
      : (await selectRoles(q, { org, name: reference, limit: 1 }))[0];
    if (!role) return undefined;
    const { id, name, system } = role;
    return { id, name, org: role.org, builtIn: system, over: role.status === 'retired', thing: role };
  },
  power: async (q, { thing }) => adminScopesOfRole(q, thing),
  async run(tx, _deps, target, { effect, reason, by, now }) {
    const change = { id: target.id, reason, by, now };
    if (target.over) return [];
    if (effect === 'tokens') {
      await narrowSubject(tx, change);
      return [tokensRevoked(target, 'role', reason)];
    }
    if ((await endSubject(tx, change)) === undefined) return [];
    return [{ type: 'role.retired', org: target.org, target: target.id, details: { reason } }];
  },
};

export const resources: Revocable<Resource> = {
  effects: ['tokens', 'end'],
  namedBy: 'identifier or name',
  locksOut: 'nobody',
  async find(q, reference, org) {
    const resource = isId('resource', reference)
      ? await findResource(q, reference)
      : await resourceNamed(q, reference, org);
    if (!resource) return undefined;
    const { id, name, system } = resource;
    const builtIn = system !== undefined;
    return { id, name, org: resource.org, builtIn, over: resource.status === 'retired', thing: resource };
  },
  async run(tx, _deps, target, { effect, reason, by, now }) {
    const change = { id: target.id, reason, by, now };
    if (target.over) return [];
    if (effect === 'tokens') {
      await narrowSubject(tx, change);
      return [tokensRevoked(target, 'resource', reason)];
    }
    if ((await endSubject(tx, change)) === undefined) return [];
    return [{ type: 'resource.retired', org: target.org, target: target.id, details: { reason } }];
  },
};

/** What is named by an identifier is one thing; a name that several share is none. */
async function resourceNamed(q: Queries, reference: string, org: string): Promise<Resource | undefined> {
  const identified = await findResourceByIdentifier(q, reference);
  if (identified) return identified.org === org || identified.system ? identified : undefined;
  const named = await selectResources(q, { org, name: reference, limit: 2 });
  return named.length === 1 ? named[0] : undefined;
}

export const organizations: Revocable<Organization> = {
  effects: ['suspend', 'tokens'],
  namedBy: 'name',
  everybodys: true,
  locksOut: 'anybody',
  async find(q, reference) {
    const organization = await findOrganization(q, reference);
    if (!organization) return undefined;
    const { id, name } = organization;
    return { id, name, org: id, over: organization.status === 'retired', thing: organization };
  },
  // the operator and the admin API live there: suspending it could not be undone
  async forbids(q, { id }, { effect }) {
    if (effect !== 'suspend' || (await findSystemResource(q))?.org !== id) return undefined;
    return 'is the organization that the server itself lives in';
  },
  async run(tx, _deps, target, { effect, reason, by, now }) {
    const change = { id: target.id, reason, by, now };
    if (target.over) return [];
    if (effect === 'tokens') {
      await narrowSubject(tx, change);
      return [tokensRevoked(target, 'organization', reason)];
    }
    if ((await suspendSubject(tx, change)) === undefined) return [];
    return [{ type: 'organization.suspended', org: target.id, target: target.id, details: { reason } }];
  },
};

/** Everything that acts for them; with `agents` also what they answer for, to which `effect` is done. */
export const people: Revocable<Person> = {
  effects: ['tokens', 'suspend', 'end'],
  namedBy: 'address',
  locksOut: 'anybody',
  async find(q, reference, org) {
    const [first, second] = isId('person', reference)
      ? [await findPerson(q, reference)]
      : await selectPeople(q, { org, email: reference, limit: 2 });
    // an address that two share names neither
    if (!first || second) return undefined;
    return { id: first.id, name: first.name, org: first.org, over: first.status === 'erased', thing: first };
  },
  power: powerOverOwned,
  forbids: async (_q, _target, { effect, agents: theirs }) =>
    effect !== 'tokens' && !theirs ? 'can be revoked in this way only with agents: true' : undefined,
  async run(tx, deps, target, order) {
    const { reason, by, now } = order;
    if (target.over) return [];
    await narrowSubject(tx, { id: target.id, reason, by, now });
    const event = tokensRevoked(target, 'person', reason);
    return [event, ...(order.agents ? await revokeOwned(tx, deps, target, order) : [])];
  },
};

/** A team does nothing by itself: what is revoked are the agents that it answers for. */
export const teams: Revocable<Team> = {
  effects: ['suspend', 'end', 'tokens'],
  namedBy: 'name',
  locksOut: 'anybody',
  async find(q, reference, org) {
    const team = isId('team', reference)
      ? await findTeam(q, reference)
      : (await selectTeams(q, { org, name: reference, limit: 1 }))[0];
    if (!team) return undefined;
    return { id: team.id, name: team.name, org: team.org, over: team.status === 'retired', thing: team };
  },
  power: (q, target, order) => powerOverOwned(q, target, { ...order, agents: true }),
  run: (tx, deps, target, order) => revokeOwned(tx, deps, target, order),
};

const ownedAtOnce = 500;

/** The agents that somebody answers for and that have not been retired, oldest first. */
export async function* ownedAgents(q: Queries, { id, org }: Pick<Target, 'id' | 'org'>) {
  for (let after: string | undefined; ; ) {
    const page = await selectAgents(q, { org: org as string, owner: id, after, limit: ownedAtOnce });
    for (const agent of page) if (agent.status !== 'retired') yield agent;
    after = page.at(-1)?.id;
    if (page.length < ownedAtOnce) return;
  }
}

async function revokeOwned(
  tx: Tx,
  deps: Parameters<typeof agents.run>[1],
  target: Target,
  order: Order,
): Promise<RevocationEvent[]> {
  const events: RevocationEvent[] = [];
  for await (const agent of ownedAgents(tx, target)) {
    events.push(...(await agents.run(tx, deps, agentTarget(agent), order)));
  }
  return events;
}

async function powerOverOwned(q: Queries, target: Target, order: Pick<Order, 'effect' | 'agents'>): Promise<string[]> {
  if (!order.agents || order.effect === 'suspend') return [];
  const scopes = new Set<string>();
  for await (const agent of ownedAgents(q, target)) {
    for (const scope of (await agents.power?.(q, agentTarget(agent), order)) ?? []) scopes.add(scope);
  }
  return [...scopes];
}

/** The key is withdrawn from the key set at once, a successor signs, and nothing that it signed is believed any more. */
export const keys: Revocable<KeyToRevoke | undefined> = {
  effects: ['end'],
  everybodys: true,
  locksOut: 'nobody',
  async find(q, kid) {
    const key = await keyToRevoke(q, kid);
    if (key) return { id: kid, name: `${key.alg} ${kid}`, org: undefined, over: false, thing: key };
    const { kind } = await belongingOf(q, kid);
    return kind === 'key' ? { id: kid, name: kid, org: undefined, over: true, thing: undefined } : undefined;
  },
  prepare: async (_deps, { thing }) => thing && newSigningKey(thing.alg as JwsAlgorithm),
  async run(tx, deps, { id, thing }, { reason, by, now, prepared }) {
    if (!thing) return [];
    const revoked = await revokeSigningKey(tx, deps, { id, reason, by, now }, prepared as PrivateJwk);
    if (!revoked) return [];
    const changed = { alg: thing.alg, signs: revoked.signs };
    return [{ type: 'key.revoked', org: undefined, target: id, changed, details: { reason } }];
  },
};
