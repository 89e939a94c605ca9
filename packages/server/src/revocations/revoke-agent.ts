/** Agents, and what hangs on one of them: how each is revoked. There is no second way. */
import type { Agent } from '../agents/agent.ts';
import { endInstance } from '../agents/instance-end.ts';
import { type ListedInstance, selectInstances } from '../agents/instance-store.ts';
import { findAgent, selectAgents } from '../agents/store.ts';
import type { Credential } from '../credentials/credential.ts';
import { credentialIds, findCredential } from '../credentials/store.ts';
import { isId } from '../lib/ids.ts';
import { belongingOf, endSubject, narrowSubject, suspendSubject } from '../liveness/liveness.ts';
import { adminScopesOf, adminScopesOfRole } from '../resources/power.ts';
import {
  deleteRoleGrant,
  findRole,
  findRoleGrant,
  grantsOf,
  type RoleGrant,
  selectRoleGrants,
} from '../resources/role-store.ts';
import { findGuardOfAgent } from '../resources/store.ts';
import type { Queries, Tx } from '../store/database.ts';
import { endTask } from '../tasks/standing.ts';
import { findTask } from '../tasks/store.ts';
import type { Task } from '../tasks/task.ts';
import { type Reason, type Revocable, type Target, tokensRevoked } from './revocable.ts';

const holder = async (q: Queries, id: string): Promise<{ id: string; owner: string }> => {
  const agent = await findAgent(q, id);
  if (!agent) throw new Error(`${id} was never registered`);
  return { id, owner: agent.owner };
};

export const agentTarget = (agent: Agent): Target<Agent> => ({
  id: agent.id,
  name: agent.name,
  org: agent.org,
  agent: { id: agent.id, owner: agent.owner },
  over: agent.status === 'retired',
  thing: agent,
});

/** Ends an agent for good, with everything that rests on it. */
export async function endAgent(tx: Tx, agent: string, change: Reason): Promise<void> {
  const guard = await findGuardOfAgent(tx, agent);
  const resting = [
    ...(await credentialIds(tx, agent)),
    ...(await grantsOf(tx, { agent })),
    ...(guard ? [guard.id] : []),
  ];
  for (const id of [agent, ...resting]) await endSubject(tx, { ...change, id });
}

export const agents: Revocable<Agent> = {
  effects: ['suspend', 'end', 'tokens'],
  namedBy: 'name',
  byOwners: true,
  locksOut: 'agent',
  async find(q, reference, org) {
    const agent = isId('agent', reference)
      ? await findAgent(q, reference)
      : (await selectAgents(q, { org, name: reference, limit: 1 }))[0];
    return agent && agentTarget(agent);
  },
  // stopping somebody mightier is allowed: it gives nothing, can be undone, and may be urgent. Ending them can't be undone; and whoever took
  // their tokens again and again would keep them from all that they may do, the last operator included
  power: async (q, { id }, { effect }) => (effect === 'suspend' ? [] : adminScopesOf(q, id)),
  async run(tx, _deps, target, { effect, reason, by, now }) {
    const change = { id: target.id, reason, by, now };
    if (target.over) return [];
    if (effect === 'tokens') {
      await narrowSubject(tx, change);
      return [tokensRevoked(target, 'agent', reason)];
    }
    const event = { org: target.org, target: target.id, details: { reason } };
    if (effect === 'suspend') {
      return (await suspendSubject(tx, change)) === undefined ? [] : [{ type: 'agent.suspended', ...event }];
    }
    await endAgent(tx, target.id, change);
    return [{ type: 'agent.retired', ...event }];
  },
};

// As with a suspension, ending the instances and tasks of somebody mightier is allowed: it gives nothing, and may be urgent.

export const instances: Revocable<ListedInstance> = {
  effects: ['end', 'tokens'],
  byOwners: true,
  locksOut: 'nobody',
  async find(q, reference) {
    const [instance] = await selectInstances(q, { id: reference, now: Number.MIN_SAFE_INTEGER, limit: 1 });
    if (!instance) return undefined;
    return {
      id: instance.id,
      name: instance.spiffeId,
      org: instance.org,
      agent: await holder(q, instance.agent),
      over: instance.status === 'ended',
      thing: instance,
    };
  },
  async run(tx, _deps, target, { effect, reason, by, now }) {
    const { thing: instance } = target;
    if (effect === 'tokens') {
      if (target.over || instance.expiresAt <= now) return [];
      await narrowSubject(tx, { id: target.id, reason, by, now });
      return [tokensRevoked(target, 'instance', reason)];
    }
    const ended = await endInstance(tx, instance, { reason, by, now });
    if (ended.length === 0) return [];
    const changed = { agent: instance.agent, children: ended.slice(1) };
    return [{ type: 'instance.ended', org: instance.org, target: instance.id, changed }];
  },
};

export const tasks: Revocable<Task> = {
  effects: ['end', 'tokens'],
  byOwners: true,
  locksOut: 'nobody',
  async find(q, reference) {
    const task = await findTask(q, reference);
    if (!task) return undefined;
    return {
      id: task.id,
      name: task.step === undefined ? task.workflow : `${task.workflow}, ${task.step}`,
      org: task.org,
      agent: await holder(q, task.agent),
      over: task.endedAt !== undefined,
      thing: task,
    };
  },
  async run(tx, _deps, target, { effect, reason, by, now }) {
    const { thing: task } = target;
    if (effect === 'tokens') {
      if (target.over || task.endsAt <= now) return [];
      await narrowSubject(tx, { id: task.id, reason, by, now });
      return [tokensRevoked(target, 'task', reason)];
    }
    if (!(await endTask(tx, task, { reason, by, now }))) return [];
    const changed = { for: task.agent, orchestrator: task.orchestrator };
    return [{ type: 'task.ended', org: task.org, target: task.id, changed, unremembered: true }];
  },
};

export const credentials: Revocable<Credential> = {
  effects: ['end', 'tokens'],
  byOwners: true,
  locksOut: 'agent',
  async find(q, reference) {
    const credential = await findCredential(q, reference);
    if (!credential) return undefined;
    return {
      id: credential.id,
      name: credential.label || credential.kind,
      org: credential.org,
      agent: await holder(q, credential.agent),
      over: credential.status === 'removed',
      thing: credential,
    };
  },
  power: async (q, { thing }) => adminScopesOf(q, thing.agent),
  async run(tx, _deps, target, { effect, reason, by, now }) {
    const change = { id: target.id, reason, by, now };
    const { agent, kind, thumbprint } = target.thing;
    if (target.over) return [];
    if (effect === 'tokens') {
      await narrowSubject(tx, change);
      return [tokensRevoked(target, 'credential', reason)];
    }
    if ((await endSubject(tx, change)) === undefined) return [];
    // the hash of a name is as good as the name: it isn't in the leaf
    const named = kind === 'certificate_subject' || kind === 'spiffe_id';
    const changed = { agent, kind, ...(!named && { thumbprint }) };
    return [{ type: 'credential.ended', org: target.org, target: target.id, changed }];
  },
};

export const roleGrants: Revocable<RoleGrant | undefined> = {
  effects: ['end', 'tokens'],
  namedBy: 'agent and role, as AGENT+ROLE',
  locksOut: 'agent',
  async find(q, reference, org) {
    const grant = isId('grant', reference) ? await findRoleGrant(q, reference) : await grantNamed(q, reference, org);
    if (grant)
      return { ...(await ofGrant(q, grant.agent)), id: grant.id, name: grant.roleName, over: false, thing: grant };
    if (!isId('grant', reference)) return undefined;
    const { kind, agent } = await belongingOf(q, reference);
    if (kind !== 'grant' || agent === null) return undefined;
    return { ...(await ofGrant(q, agent)), id: reference, name: reference, over: true, thing: undefined };
  },
  // as giving it does: what somebody mightier lost to a narrow administrator, that one could not give back
  async power(q, { thing }) {
    const role = thing ? await findRole(q, thing.role) : undefined;
    return role ? adminScopesOfRole(q, role) : [];
  },
  async run(tx, _deps, target, { effect, reason, by, now }) {
    const { id, org, thing: grant } = target;
    if (!grant) return [];
    if (effect === 'tokens') {
      await narrowSubject(tx, { id, reason, by, now });
      return [tokensRevoked(target, 'role_grant', reason)];
    }
    if ((await deleteRoleGrant(tx, grant.agent, grant.role)) === undefined) return [];
    await endSubject(tx, { id, reason, by, now });
    const changed = { role: grant.role, grant: id };
    return [{ type: 'role.withdrawn', org, target: grant.agent, changed }];
  },
};

async function ofGrant(q: Queries, id: string) {
  const agent = await findAgent(q, id);
  if (!agent) throw new Error(`${id} was never registered`);
  return { org: agent.org, agent: { id, owner: agent.owner } };
}

/** `AGENT+ROLE`, each by id or name. */
async function grantNamed(q: Queries, reference: string, org: string): Promise<RoleGrant | undefined> {
  const [agentName = '', roleName = '', ...rest] = reference.split('+');
  if (rest.length > 0) return undefined;
  const agent = await agents.find(q, agentName, org);
  if (!agent) return undefined;
  const held = await selectRoleGrants(q, { agent: agent.id, limit: 1000 });
  return held.find(({ role, roleName: name }) => role === roleName || name === roleName);
}
