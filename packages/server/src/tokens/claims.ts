/** What a token says. @see RFC 9068 §2.2 */
import { type AccessTokenClaims, boundedCache, type Confirmation, linkTag } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import { type Instance, vouchedZone } from '../agents/instance.ts';
import type { Binding, DecidedPlan } from '../decide/plan.ts';
import { numericDate } from '../lib/clock.ts';
import type { StatusClaim } from '../status-lists/allocate.ts';
import type { Task } from '../tasks/task.ts';

/** How the actor profile calls our kinds of agents. @see draft-mcguinness-oauth-actor-profile */
export const subProfiles: Record<Agent['kind'], string> = {
  ai_agent: 'ai_agent',
  workload: 'service',
  device: 'device',
};

/** The name that an agent keeps for ever. @see SPIFFE-ID §2 */
export function spiffeId(config: { trust_domain: string }, agent: { orgName: string; name: string }): string {
  return `spiffe://${config.trust_domain}/${agent.orgName}/${agent.name}`;
}

/** The `aud` that a resource's tokens carry: always one. */
export const audienceOf = (resource: { identifier: string; token: { audience?: string } }): string =>
  resource.token.audience ?? resource.identifier;

const tags = boundedCache<string>(50_000);

/** The tag of an id. Agents, roles and resources come again with every token: each is hashed once. */
function tagOf(id: string): string {
  let tag = tags.get(id);
  if (tag === undefined) {
    tag = linkTag(id);
    tags.set(id, tag);
  }
  return tag;
}

/** @param made `now` in milliseconds */
export function claimsOf(
  config: { issuer: string },
  plan: DecidedPlan,
  made: { jti: string; now: number; status?: StatusClaim | undefined },
): AccessTokenClaims {
  const { agent, instance } = plan.client;
  const { delegation } = plan;
  return {
    iss: config.issuer,
    sub: plan.subject,
    sub_profile: delegation?.subjectProfile ?? subProfiles[agent.kind],
    aud: audienceOf(plan.resource),
    client_id: agent.id,
    org: agent.org,
    exp: numericDate(plan.expiresAt),
    iat: numericDate(made.now),
    jti: made.jti,
    scope: plan.scope.join(' '),
    ...(instance && { instance: instance.id }),
    ...(plan.task?.provenance === 'orchestrated' && { task: taskClaim(plan.task.task) }),
    ...(plan.context && { ctx: plan.context }),
    ...zoneClaim(instance),
    ...(delegation?.act && { act: delegation.act }),
    ...(delegation?.mandate !== undefined && { mandate: delegation.mandate }),
    ...(delegation?.rule && { issuer_rule: { ...delegation.rule } }),
    ...(plan.mayAct && { may_act: plan.mayAct }),
    ...(plan.details.length > 0 && { authorization_details: plan.details }),
    ...(plan.binding && { cnf: confirmation(plan.binding) }),
    rev: plan.client.asOf.rev,
    links: delegation ? [...new Set([...plan.links.map(tagOf), ...delegation.tags])] : plan.links.map(tagOf),
    ...(made.status && { status: made.status }),
  };
}

/** Where its instance is vouched to be, for those who can't tell by the address. */
function zoneClaim(instance: Instance | undefined): { zone?: string } {
  const zone = instance && vouchedZone(instance);
  return zone === undefined ? {} : { zone };
}

/** Names, and nothing that a person or a model wrote freely: the purpose stays in the log. */
const taskClaim = ({ id, workflow, step, environment }: Task): NonNullable<AccessTokenClaims['task']> => ({
  id,
  workflow,
  ...(step !== undefined && { step }),
  ...(environment !== undefined && { env: environment }),
});

/** A new object for each token: every member stands in the order in which it was always written. */
const confirmation = ({ jkt, x5t }: Binding): Confirmation => ({
  ...(jkt !== undefined && { jkt }),
  ...(x5t !== undefined && { 'x5t#S256': x5t }),
});
