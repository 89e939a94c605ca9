/** How far a revocation would reach: what hangs on its subject, who would hear of it, and what nobody can call back. */
import { findAgent } from '../agents/store.ts';
import type { Deps } from '../deps.ts';
import type { TrustedIssuer } from '../federation/trusted-issuer.ts';
import { longestTokenMs } from '../keys/schedule.ts';
import { reachOf } from '../liveness/liveness.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { treeBelow } from '../mandates/tree.ts';
import { rolesInheriting } from '../resources/role-store.ts';
import { findResource, selectGuards } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';
import { longestJwtSvidMs } from '../svid/jwt-svid.ts';
import { countCredentials, countInstances, countMandates, countTasks, livingAgents } from './reach-store.ts';
import { type LivingTokens, tokensOf } from './reach-tokens.ts';
import type { Effect, Target } from './revocable.ts';
import { ownedAgents } from './revoke-registry.ts';
import type { IssuedToken } from './store.ts';
import type { RevocableKind } from './subjects.ts';

export interface Reach {
  /** Agents that it stops or narrows; `more` where there are more than were counted. */
  agents: { count: number; more: boolean; names: string[] };
  /** What ends with it. */
  instances: number;
  tasks: number;
  /** Mandates that can't be used without it. */
  mandates: number;
  credentials: number;
  /** Unexpired tokens, `more` where there was no time to count all; undefined where no single log tells. `until`: the last of them ends (ms). */
  tokens: { count: number; more: boolean; until?: number } | undefined;
  /** Whose guards would hear of it. */
  resources: { id: string; name: string; identifier: string; guards: { id: string; name: string }[] }[];
  /** What can't be called back, in sentences, and until when (ms) it lives by itself. */
  gaps: { what: string; until?: number }[];
}

const agentsAtMost = 200;
const mandatesAtMost = 1_000;

/** @throws never for what hangs on nothing: then there is nothing to count */
export async function reachOfRevocation(
  deps: Deps,
  { kind, target }: { kind: RevocableKind; target: Target },
  { effect, agents: theirs = false }: { effect: Effect; agents?: boolean },
): Promise<Reach> {
  const { db } = deps;
  const now = deps.clock.now();
  const agents = await agentsOf(db, kind, target, theirs);
  const stopped = effect === 'tokens' ? [] : await endingWith(db, kind, target, agents.all, now);
  const instances = stopped.reduce((sum, one) => sum + one.instances, 0);
  const last = Math.max(0, ...stopped.map((one) => one.last ?? 0));
  const resources = await heardBy(db, kind, target, agents.all, now);
  const tokens = await tokensOf(
    deps,
    { kind, target },
    agents.all.map(({ id }) => id),
  );
  return {
    agents: { count: agents.all.length, more: agents.more, names: agents.all.slice(0, 10).map(({ name }) => name) },
    instances,
    tasks: stopped.reduce((sum, one) => sum + one.tasks, 0),
    mandates: await mandatesOn(db, { kind, target, agents: agents.all, now }),
    credentials: effect === 'end' ? stopped.reduce((sum, one) => sum + one.credentials, 0) : 0,
    tokens: tokens && shownTokens(tokens),
    resources,
    gaps: gapsOf(deps, { kind, instances, last, resources, tokens, now }),
  };
}

const shownTokens = ({ count, more, lastByResource }: LivingTokens) => ({
  count,
  more,
  ...(count > 0 && !more && { until: Math.max(...lastByResource.values()) }),
});

type Named = { id: string; name: string };

async function agentsOf(q: Queries, kind: RevocableKind, target: Target, theirs: boolean) {
  const found: Named[] = [];
  const { org } = target;
  if (kind === 'agent') found.push({ id: target.id, name: target.name });
  else if (kind === 'mandate') found.push(...(await agentsOnMandate(q, target.thing as Mandate)));
  else if (kind === 'trusted_issuer') found.push(...(await agentsLetBy(q, target.thing as TrustedIssuer | undefined)));
  else if (org === undefined) return { all: found, more: false };
  else if (kind === 'organization') found.push(...(await livingAgents(q, { org, limit: agentsAtMost + 1 })));
  else if (kind === 'resource')
    found.push(...(await livingAgents(q, { org, resource: target.id, limit: agentsAtMost + 1 })));
  else if (kind === 'role') {
    for (const role of [target.id, ...(await rolesInheriting(q, target.id)).map(({ id }) => id)]) {
      found.push(...(await livingAgents(q, { org, role, limit: agentsAtMost + 1 })));
    }
  } else if (kind === 'team' || (kind === 'person' && theirs)) {
    for await (const { id, name } of ownedAgents(q, target)) if (found.push({ id, name }) > agentsAtMost) break;
  }
  const all = [...new Map(found.map((one) => [one.id, one])).values()];
  return { all: all.slice(0, agentsAtMost), more: all.length > agentsAtMost };
}

/** Who acts on it, and on what was passed on of it. */
async function agentsOnMandate(q: Queries, mandate: Mandate): Promise<Named[]> {
  const { mandates } = await treeBelow(q, mandate, mandatesAtMost);
  return agentsNamed(q, new Set(mandates.map(({ agent }) => agent)));
}

/** Whom its rules let act, whether they do or not. */
const agentsLetBy = (q: Queries, issuer: TrustedIssuer | undefined): Promise<Named[]> =>
  agentsNamed(q, new Set(issuer?.rules.flatMap(({ agents }) => agents)));

async function agentsNamed(q: Queries, ids: ReadonlySet<string>): Promise<Named[]> {
  const agents: Named[] = [];
  for (const id of ids) {
    const agent = await findAgent(q, id);
    if (agent && agent.status !== 'retired') agents.push({ id, name: agent.name });
    if (agents.length > agentsAtMost) break;
  }
  return agents;
}

async function mandatesOn(
  q: Queries,
  of: { kind: RevocableKind; target: Target; agents: readonly Named[]; now: number },
): Promise<number> {
  const { kind, target, agents, now } = of;
  if (kind === 'mandate') {
    const { mandates } = await treeBelow(q, target.thing as Mandate, mandatesAtMost);
    return mandates.filter(({ endsAt, endedAt }) => endsAt > now && endedAt === undefined).length;
  }
  if (kind === 'organization') return countMandates(q, { column: 'org', id: target.id, now });
  let count = kind === 'person' ? await countMandates(q, { column: 'person', id: target.id, now }) : 0;
  if (kind !== 'agent' && kind !== 'team' && kind !== 'person') return count;
  for (const { id } of agents) count += await countMandates(q, { column: 'agent', id, now });
  return count;
}

interface Ending {
  instances: number;
  last: number | undefined;
  tasks: number;
  credentials: number;
}

async function endingWith(
  q: Queries,
  kind: RevocableKind,
  target: Target,
  agents: readonly Named[],
  now: number,
): Promise<Ending[]> {
  const { id } = target;
  if (kind === 'organization') {
    const { count, last } = await countInstances(q, { column: 'org', id, now });
    const tasks = await countTasks(q, { column: 'org', id, now });
    return [{ instances: count, last, tasks, credentials: await countCredentials(q, { column: 'org', id }) }];
  }
  if (kind === 'credential') {
    const { count, last } = await countInstances(q, { column: 'credential', id, now });
    return [{ instances: count, last, tasks: 0, credentials: 1 }];
  }
  if (kind === 'instance') {
    const { expiresAt } = target.thing as { expiresAt: number };
    return expiresAt > now ? [{ instances: 1, last: expiresAt, tasks: 0, credentials: 0 }] : [];
  }
  if (kind === 'task') return [{ instances: 0, last: undefined, tasks: 1, credentials: 0 }];
  if (kind !== 'agent' && kind !== 'team' && kind !== 'person') return [];
  const endings: Ending[] = [];
  for (const agent of agents) {
    const { count, last } = await countInstances(q, { column: 'agent', id: agent.id, now });
    const worksOn = await countTasks(q, { column: 'agent', id: agent.id, now });
    const opened = await countTasks(q, { column: 'orchestrator', id: agent.id, now });
    const credentials = await countCredentials(q, { column: 'agent', id: agent.id });
    endings.push({ instances: count, last, tasks: worksOn + opened, credentials });
  }
  return endings;
}

async function heardBy(
  q: Queries,
  kind: RevocableKind,
  target: Target,
  agents: readonly Named[],
  now: number,
): Promise<Reach['resources']> {
  const ids = new Set<string>();
  const owned = kind === 'team' || kind === 'person' ? agents.map(({ id }) => id) : [];
  if (kind === 'token' && (target.thing as IssuedToken).endsAt > now) ids.add((target.thing as IssuedToken).resource);
  for (const id of [target.id, ...owned]) for (const each of await reachOf(q, id, now)) ids.add(each);
  const heard: Reach['resources'] = [];
  for (const id of ids) {
    const resource = await findResource(q, id);
    if (!resource || resource.system || (target.org !== undefined && resource.org !== target.org)) continue;
    const guards = await selectGuards(q, { org: resource.org, resource: id, limit: agentsAtMost });
    const living = guards
      .filter(({ status }) => status === 'active')
      .map((guard) => ({ id: guard.id, name: guard.name }));
    heard.push({ id, name: resource.name, identifier: resource.identifier, guards: living });
  }
  return heard;
}

function gapsOf(
  deps: Deps,
  reach: {
    kind: RevocableKind;
    instances: number;
    last: number;
    resources: Reach['resources'];
    tokens: LivingTokens | undefined;
    now: number;
  },
): Reach['gaps'] {
  const { kind, instances, last, resources, tokens, now } = reach;
  // by what was counted; what was not may live as long as any
  const counted = tokens && !tokens.more ? tokens.lastByResource : undefined;
  const gaps: Reach['gaps'] = [];
  if (instances > 0) {
    const whose =
      instances === 1
        ? 'The certificate (X.509-SVID) of an instance is'
        : `The certificates (X.509-SVIDs) of ${instances} instances are`;
    gaps.push({
      what: `${whose} believed by outside verifiers, which ask nobody, until the end that stands in them`,
      until: last,
    });
    const until = Math.min(last, now + longestJwtSvidMs);
    gaps.push({ what: 'JWT-SVIDs are believed by outside verifiers for five minutes at most', until });
  }
  const unguarded = resources.filter(({ id, guards }) => guards.length === 0 && counted?.has(id) !== false);
  if (unguarded.length > 0) {
    const names = unguarded.map(({ name }) => name).join(', ');
    const until = Math.max(...unguarded.map(({ id }) => counted?.get(id) ?? now + longestTokenMs));
    gaps.push({
      what: `No guard is registered for ${names}: who verifies its tokens without asking believes them until they expire`,
      until,
    });
  }
  if (kind === 'key') {
    const until = now + deps.config.keys.jwks_max_age_seconds * 1000;
    gaps.push({ what: 'Verifiers that are no guards of ours know the key until they fetch the key set anew', until });
  }
  return gaps;
}
