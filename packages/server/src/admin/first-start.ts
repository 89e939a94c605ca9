/**
 * What the first start makes: the default organization, the team that answers for the operator, the admin API as a
 * resource with its roles, and the operator: an agent like any other, whose private key is written once to
 * `<data>/operator.json`. And how who holds the data gets a new key for it.
 */
import { generateJwk, type PrivateJwk, publicJwk, thumbprint } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import { findAgent, insertAgent, selectAgents, updateAgent } from '../agents/store.ts';
import { appendEvent, type Sealing, sealingFor } from '../audit/audit.ts';
import { credentialIds, insertCredential } from '../credentials/store.ts';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import {
  asOf,
  endSubject,
  registerSubject,
  resumeSubject,
  setSubjectEnd,
  touchRegistry,
} from '../liveness/liveness.ts';
import { findOrganization, insertOrganization, insertTeam, selectTeams } from '../people/store.ts';
import { writeStarterPolicies } from '../policy/starter.ts';
import { organizationsWithoutPolicies } from '../policy/store.ts';
import { type Resource, systemResources } from '../resources/resource.ts';
import type { Role } from '../resources/role.ts';
import { insertRoleGrant, rolesOf } from '../resources/role-store.ts';
import { agentsOfGuards, findSystemResource, renameSystemResource } from '../resources/store.ts';
import type { Tx } from '../store/database.ts';
import { guardScopes } from '../web/service.ts';
import { ensureBuiltIn, ownIdentifiers } from './built-in.ts';
import { moveOperatorFile, operatorFile, writeOperatorFile } from './operator-file.ts';
import { adminResource, operatorScopes } from './scopes.ts';

/** The organization that the server itself lives in. */
export const defaultOrganization = 'default';
const operatorTeam = 'operators';
const operatorName = 'operator';

/**
 * Makes all that a first start makes, if this is one; else adds what this version of the program has in addition.
 * Safe when several nodes start at once: one makes it, in one transaction, and writes the file before the commit. After
 * a crash in between, the next start makes it anew.
 * @throws Error when the data was made under another issuer
 */
export async function firstStart(deps: Deps): Promise<{ created: boolean; operatorFile: string }> {
  const file = operatorFile(deps.config);
  const known = await findSystemResource(deps.db);
  if (known) {
    await underThisIssuer(deps, known);
    await bringUpToDate(deps);
    return { created: false, operatorFile: file };
  }
  const ids = { org: newId(deps, 'organization'), team: newId(deps, 'team'), agent: newId(deps, 'agent') };
  const jwk = await generateJwk('ES256');
  const sealing = await sealingFor(deps, (await asOf(deps.db)).version, ids.team);
  const created = await deps.db.transaction(async (tx) => {
    if (await findSystemResource(tx)) return false; // another node was faster
    await makeEverything(tx, deps, ids, jwk, sealing);
    writeOperatorFile(deps.config, { issuer: deps.config.issuer, client_id: ids.agent, jwk });
    return true;
  });
  return { created, operatorFile: file };
}

/**
 * Tokens, key files and verifiers all carry the issuer: what was made under another one would work for nobody.
 * @throws Error that says what to set
 */
function sameIssuer(deps: Deps, identifier: string): void {
  if (identifier === adminResource(deps.config)) return;
  const before = issuerOf(identifier);
  throw new Error(
    `The data was made under the issuer ${before}, and the server is configured as ${deps.config.issuer}: set issuer to ${before} (BAILIWICK_ISSUER=${before}), or use other data.`,
  );
}

const issuerOf = (identifier: string): string => identifier.replace(/\/admin$/, '');

/**
 * A server on a developer's machine may move from port to port, since nobody else knows it: the operator's file moves
 * along. Any other must stay what it was, and none moves to where a resource has tokens made for.
 * @throws Error that says what to set
 */
async function underThisIssuer(deps: Deps, known: Resource): Promise<void> {
  const identifier = adminResource(deps.config);
  if (known.identifier === identifier) return;
  const [before, now] = [issuerOf(known.identifier), deps.config.issuer];
  if (!isDevelopment(before) || !isDevelopment(now)) return sameIssuer(deps, known.identifier);
  await deps.db.transaction(async (tx) => {
    const identifiers = ownIdentifiers(deps.config);
    for (const api of systemResources) {
      const own = await findSystemResource(tx, api);
      if (!own) continue; // made anew below, by what every start makes sure of
      const renamed = { ...own, identifier: identifiers[api], updatedAt: deps.clock.now() };
      if (await renameSystemResource(tx, renamed)) continue;
      throw new Error(
        `The server can not be known as ${now}: a resource of this data has claimed ${identifiers[api]}, as its identifier or as the audience of its tokens. Start on another port, or set issuer to ${before} (BAILIWICK_ISSUER=${before}).`,
      );
    }
    await touchRegistry(tx);
    moveOperatorFile(deps.config, before, now);
  });
  deps.log.warn({ before, now }, 'this server is known by another issuer from now on: its earlier tokens have ended');
}

/** Plain http is for this machine alone (`config.ts` sees to that). */
const isDevelopment = (issuer: string): boolean => issuer.startsWith('http://');

async function makeEverything(
  tx: Tx,
  deps: Deps,
  ids: { org: string; team: string; agent: string },
  jwk: PrivateJwk,
  sealing: Sealing,
): Promise<void> {
  const now = deps.clock.now();
  const { org, team } = ids;
  await insertOrganization(tx, {
    id: org,
    name: defaultOrganization,
    displayName: 'Default',
    timeZone: 'UTC',
    createdAt: now,
  });
  await registerSubject(tx, { id: org, kind: 'organization', now });
  await writeStarterPolicies(tx, deps, org);
  await insertTeam(tx, { id: team, org, name: operatorTeam, displayName: 'Operators', createdAt: now });
  await registerSubject(tx, { id: team, kind: 'team', parent: org, now });
  const { resources, operator } = await ensureBuiltIn(tx, deps, org);
  await makeOperator(tx, deps, { id: ids.agent, name: operatorName, org, owner: team, resource: resources.admin.id });
  await giveOperator(tx, deps, { id: ids.agent, org }, operator);
  await addKey(tx, deps, { id: ids.agent, org }, jwk, 'made at the first start');
  await touchRegistry(tx);
  await appendEvent(tx, deps, sealing, {
    type: 'operator.created',
    outcome: 'allowed',
    org,
    target: ids.agent,
    reason: 'first start',
    decided_on: { thumbprint: thumbprint(jwk), issuer: deps.config.issuer },
    personal: { owner: team },
  });
}

async function bringUpToDate(deps: Deps): Promise<void> {
  const organization = await findOrganization(deps.db, defaultOrganization);
  if (!organization) return;
  await deps.db.transaction(async (tx) => {
    const older = await organizationsWithoutPolicies(tx); // than policies are
    for (const org of older) await writeStarterPolicies(tx, deps, org);
    const { resources, changed } = await ensureBuiltIn(tx, deps, organization.id);
    if (changed) {
      const operator = (await selectAgents(tx, { org: organization.id, name: operatorName, limit: 1 }))[0];
      if (operator) await updateAgent(tx, withAdminApi(operator, resources.admin.id, deps.clock.now()));
    }
    const widened = changed && (await widenGuards(tx, resources.service.id, deps.clock.now()));
    if (changed || widened || older.length > 0) await touchRegistry(tx);
  });
}

/** Guards of an earlier version may do what a guard of this one does. Answers whether there were any. */
async function widenGuards(tx: Tx, service: string, now: number): Promise<boolean> {
  let widened = false;
  for (const id of await agentsOfGuards(tx)) {
    const agent = await findAgent(tx, id);
    if (!agent) continue;
    const others = agent.resources.filter((entry) => entry.resource !== service);
    const resources = [...others, { resource: service, default: false, scope: [...guardScopes] }];
    if (JSON.stringify(resources) === JSON.stringify(agent.resources)) continue;
    await updateAgent(tx, { ...agent, resources, updatedAt: now });
    widened = true;
  }
  return widened;
}

const adminEntry = (resource: string) => ({ resource, default: true, scope: [...operatorScopes] });

/** The agent with the admin API as its default resource, all scopes included. */
function withAdminApi(agent: Agent, resource: string, now: number): Agent {
  const others = agent.resources.filter((entry) => entry.resource !== resource);
  const resources = [...others.map((entry) => ({ ...entry, default: false })), adminEntry(resource)];
  return { ...agent, resources, updatedAt: now };
}

async function makeOperator(
  tx: Tx,
  deps: Deps,
  wanted: { id: string; name: string; org: string; owner: string; resource: string },
): Promise<void> {
  const now = deps.clock.now();
  const { id, name, org, owner, resource } = wanted;
  const made = await insertAgent(tx, {
    id,
    org,
    name,
    kind: 'workload',
    owner,
    purpose: 'Administers this server',
    environment: 'production',
    grants: ['client_credentials'],
    resources: [adminEntry(resource)],
    limits: {},
    instances: {},
    context: {},
    createdAt: now,
    updatedAt: now,
  });
  if (!made) throw new Error(`the name ${name} is taken by another agent`);
  await registerSubject(tx, { id, kind: 'agent', parent: org, now });
}

async function giveOperator(tx: Tx, deps: Deps, agent: { id: string; org: string }, role: Role): Promise<void> {
  if ((await rolesOf(tx, agent.id)).some((held) => held.role === role.id && held.via === undefined)) return;
  const now = deps.clock.now();
  const grant = { id: newId(deps, 'grant'), org: agent.org, agent: agent.id, role: role.id, createdAt: now };
  await insertRoleGrant(tx, grant);
  await registerSubject(tx, { id: grant.id, kind: 'grant', parent: agent.id, now });
}

async function addKey(tx: Tx, deps: Deps, agent: { id: string; org: string }, jwk: PrivateJwk, label: string) {
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
    label,
    createdAt: now,
  });
  await registerSubject(tx, { id, kind: 'credential', parent: agent.id, now });
}

export interface Recovered {
  operatorFile: string;
  client_id: string;
  /** How many of its earlier keys were ended. */
  ended: number;
}

/**
 * Gives the operator a new key, for those who hold the server's data and have lost the old one. Whatever stopped the
 * operator (suspended, expired, without its role) is undone; one that was retired gets a successor of another name.
 * @param options.endOthers ends all keys that it had, and the tokens that were got with them
 * @throws Error when there was no first start yet
 */
export async function recoverOperator(deps: Deps, options: { endOthers: boolean }): Promise<Recovered> {
  const organization = await findOrganization(deps.db, defaultOrganization);
  if (!organization) throw new Error('This data has no operator yet: the first start makes one.');
  const known = await findSystemResource(deps.db);
  if (known) sameIssuer(deps, known.identifier); // a key file that names another issuer would open nothing
  const team = (await selectTeams(deps.db, { org: organization.id, name: operatorTeam, limit: 1 }))[0];
  const jwk = await generateJwk('ES256');
  const owner = team?.id ?? organization.id;
  const sealing = await sealingFor(deps, (await asOf(deps.db)).version, owner);
  return deps.db.transaction(async (tx) => {
    const now = deps.clock.now();
    const { resources, operator: role } = await ensureBuiltIn(tx, deps, organization.id);
    const agent = await usableOperator(tx, deps, { org: organization.id, owner, resource: resources.admin.id });
    await giveOperator(tx, deps, agent, role);
    let ended = 0;
    if (options.endOthers) {
      for (const id of await credentialIds(tx, agent.id)) {
        const rev = await endSubject(tx, { id, reason: 'operator recovered', by: agent.id, now });
        if (rev !== undefined) ended += 1;
      }
    }
    await addKey(tx, deps, agent, jwk, 'made by operator recover');
    await touchRegistry(tx);
    await appendEvent(tx, deps, sealing, {
      type: 'operator.recovered',
      outcome: 'allowed',
      org: organization.id,
      target: agent.id,
      reason: 'by somebody who holds the data of the server',
      decided_on: { thumbprint: thumbprint(jwk), ended },
      personal: { owner },
    });
    const file = writeOperatorFile(deps.config, { issuer: deps.config.issuer, client_id: agent.id, jwk });
    return { operatorFile: file, client_id: agent.id, ended };
  });
}

/** The operator, able to act again; a new one where it was retired. */
async function usableOperator(
  tx: Tx,
  deps: Deps,
  wanted: { org: string; owner: string; resource: string },
): Promise<Agent> {
  const now = deps.clock.now();
  for (let n = 1; ; n++) {
    const name = n === 1 ? operatorName : `${operatorName}-${n}`;
    const known = (await selectAgents(tx, { org: wanted.org, name, limit: 1 }))[0];
    if (known?.status === 'retired') continue;
    if (!known) {
      const id = newId(deps, 'agent');
      await makeOperator(tx, deps, { id, name, ...wanted });
      return (await findAgent(tx, id)) as Agent;
    }
    const { expiresAt: _, ...agent } = withAdminApi(known, wanted.resource, now);
    await updateAgent(tx, { ...agent, grants: [...new Set([...agent.grants, 'client_credentials'])] });
    await setSubjectEnd(tx, { id: known.id, endsAt: undefined, now });
    await resumeSubject(tx, { id: known.id, now });
    return known;
  }
}
