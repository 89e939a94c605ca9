/**
 * May it, here, now: everything that a plan rests on is alive, the agent's roles give all that it asks for, its task and its place
 * allow it, and policy agrees. The default is no.
 */
import type { Agent } from '../agents/agent.ts';
import type { Deps } from '../deps.ts';
import { longestTokenMs } from '../keys/schedule.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Resource } from '../resources/resource.ts';
import { take } from './budget.ts';
import { delegationEndsAt, narrowedBy, withinDelegation } from './delegated.ts';
import { boundPlace, narrowedOrDenied, placeOf } from './place.ts';
import type { Client, DecidedPlan, Narrowing, RequestContext, TokenPlan } from './plan.ts';
import { allowedByPolicy, type PolicySay } from './policy.ts';
import { rolesHeld } from './registered.ts';
import { detailsWithinInstance, type Given, givenByRoles } from './roles.ts';
import { sensitivityOf } from './sensitivity.ts';
import { withinInstance } from './within-instance.ts';
import { taskEndsAt, taskLinks, withinTask } from './within-task.ts';

/**
 * Decides a plan: allows it, narrowed in time to what it rests on, or refuses it.
 * @throws OAuthError with a sentence for the client and a reason for the log
 */
export async function decide(deps: Deps, plan: TokenPlan, request: RequestContext): Promise<DecidedPlan> {
  const { agent, asOf } = plan.client;
  const now = deps.clock.now();
  mayAct(agent, now);
  mayBeReached(plan.resource, agent);
  isBound(plan);
  const held = await rolesHeld(deps, asOf.version, agent.id);
  const { giving, links, sensitivity } = plan.transaction ? givenToServe(plan) : givenByRoles(plan, held); // nothing that no role gives
  withinInstance(plan);
  detailsWithinInstance(plan);
  withinTask(plan);
  const given = withinDelegation(plan); // nothing that who lets it act doesn't allow
  const place = placeOf(deps, plan, request); // from where, and where to
  const say = await allowedByPolicy(deps, plan, { held, sensitivity, seen: place.seen, now }); // now, and for this
  const context = narrowedOrDenied(place.context, say.limits.context);
  const expiresAt = Math.min(endOf(deps, plan, now), policyEnd(say, now));
  return {
    ...plan,
    context,
    expiresAt,
    links: [
      plan.client.credential,
      ...enrollingOf(plan.client),
      plan.resource.id,
      ...links,
      ...taskLinks(plan),
      ...given,
      ...(plan.delegation?.links ?? []),
    ],
    policy: say.policy,
    reasons: [...giving.map(({ roleName }) => `role ${roleName}`), ...say.reasons],
    decidedOn: say.decidedOn,
    personal: say.personal,
    observed: say.observed,
    narrowed: narrowings(deps, plan, { expiresAt, say, now }),
  };
}

/** What is told of a chain's token beyond its claims: nothing where an agent acts for itself. */
function narrowings(
  deps: Deps,
  plan: TokenPlan,
  { expiresAt, say, now }: { expiresAt: number; say: PolicySay; now: number },
): readonly Narrowing[] | undefined {
  const { delegation, resource, client } = plan;
  if (!delegation) return undefined;
  const { agent, instance } = client;
  return narrowedBy(
    { ...plan, delegation },
    {
      expiresAt,
      usual: now + (resource.token.lifetime_seconds ?? deps.config.token.lifetime_seconds) * 1000,
      ends: [['policy', policyEnd(say, now)]],
      places: [
        ['registration', agent.context],
        ['instance', instance && boundPlace(deps, agent, instance)],
        ['policy', say.limits.context],
      ],
    },
  );
}

/** Until when policy lets a token live at most. */
const policyEnd = ({ limits }: PolicySay, now: number): number =>
  now + (limits.lifetimeSeconds ?? Number.POSITIVE_INFINITY) * 1000;

/**
 * Counts a request of this agent, whatever comes of it.
 * @throws OAuthError `temporarily_unavailable` with status 429, when the agent has asked too often
 */
export function withinBudget(deps: Deps, agent: Agent): void {
  const perMinute = agent.limits.tokens_per_minute ?? deps.config.limits.tokens_per_minute;
  const retryAfter = take(deps.budgets, agent.id, perMinute, deps.clock.now());
  if (retryAfter === undefined) return;
  throw new OAuthError('temporarily_unavailable', `this agent may ask for ${perMinute} tokens a minute`, {
    status: 429,
    retryAfter,
  });
}

/**
 * Disabled means disabled.
 * @throws OAuthError `unauthorized_client`
 */
export function mayAct(agent: Agent, now: number): void {
  if (agent.orgStatus !== 'active') throw refused(`the organization of this agent is ${agent.orgStatus}`);
  if (agent.status !== 'active') throw refused(`this agent is ${agent.status}; its owner can say why`);
  if (agent.expiresAt !== undefined && agent.expiresAt <= now) throw refused('this agent has expired');
}

/** @throws OAuthError `invalid_target` */
export function mayBeReached(resource: Resource, agent: Agent): void {
  if (resource.org !== agent.org && !resource.system)
    throw new OAuthError('invalid_target', 'this agent was not given such a resource');
  if (resource.status !== 'active') throw new OAuthError('invalid_target', `this resource is ${resource.status}`);
}

/** Who serves a resource opens transactions for whoever called, whose roles have bounded what it was called with: it needs none itself. */
const givenToServe = ({ resource, scope }: TokenPlan): Given => ({
  giving: [],
  links: [],
  sensitivity: sensitivityOf(resource, scope, []),
});

/**
 * Tokens are bound to a key unless the resource chose otherwise. A transaction token goes from service to service, and is never bound.
 * @throws OAuthError `invalid_request`
 */
export function isBound({ binding, resource, transaction }: TokenPlan): void {
  if (binding || transaction || resource.token.dangerously_bearer) return;
  throw new OAuthError('invalid_request', 'tokens for this resource are bound to a key: send a DPoP proof (RFC 9449)', {
    reason: 'no proof of possession',
  });
}

/** What an instance rests on, beside the agent: what enrolled it, where something else has proven it now, and its ancestors. */
function enrollingOf({ instance, credential }: Client): string[] {
  if (!instance) return [];
  return [...(instance.credential === credential ? [] : [instance.credential]), ...instance.ancestors];
}

/** A transaction token is for one call and those that it calls for: whoever finds one can use it. */
const longestTransactionMs = 5 * 60_000;

/** Nothing outlives what it rests on, nor fifteen minutes. */
function endOf(deps: Deps, plan: TokenPlan, now: number): number {
  const { client, resource } = plan;
  const { agent, credentialEndsAt, instance } = client;
  const lifetimes = [
    resource.token.lifetime_seconds ?? deps.config.token.lifetime_seconds,
    agent.limits.token_lifetime_seconds ?? Number.POSITIVE_INFINITY,
  ].map((seconds) => now + seconds * 1000);
  return Math.min(
    ...lifetimes,
    now + (plan.transaction ? longestTransactionMs : longestTokenMs),
    agent.expiresAt ?? Number.POSITIVE_INFINITY,
    credentialEndsAt ?? Number.POSITIVE_INFINITY,
    instance?.expiresAt ?? Number.POSITIVE_INFINITY,
    taskEndsAt(plan),
    delegationEndsAt(plan),
  );
}

const refused = (message: string) => new OAuthError('unauthorized_client', message);
