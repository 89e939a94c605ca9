/** What an instance would be: planned from what was asked, never more than its agent's template and its parent allow. */
import type { Agent } from '../agents/agent.ts';
import type { Instance, InstanceTemplate } from '../agents/instance.ts';
import type { Client } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { spiffeId } from '../tokens/claims.ts';
import type { Attributes } from './attributes.ts';
import { longestLifeSeconds, type Wanted } from './body.ts';
import type { ProvenKey } from './proof.ts';

/** Generations of children below one, where the template doesn't say. */
const usualDepth = 1;

/** Children, their children and so on, that one may have at once. */
const belowAtMost = 100;

/** How many may live at once below one that the agent enrolled: not so many that none of the others finds a place. */
export const livingBelowAtMost = (living: number): number => Math.max(1, Math.min(belowAtMost, Math.floor(living / 2)));

/** How many instances of the agent may live at once. */
export const livingAtMost = (deps: Deps, { instances }: Agent): number =>
  instances.live_at_most ?? deps.config.instances.live_at_most;

/**
 * When an instance ends that begins, or renews, at `now` (ms): never after its agent, the credential that enrolled it, or
 * its parent. Renewing takes nothing away: tokens and children rest on the end that it had.
 * @throws OAuthError `invalid_request` for a longer life than the template allows; `unauthorized_client` if it had none
 */
export function endOf(
  deps: Deps,
  now: number,
  wanted: Wanted,
  { client, parent, before }: { client: Client; parent: Instance | undefined; before?: Instance },
): number {
  const { agent, credentialEndsAt, provenUntil } = client;
  const longest = agent.instances.lifetime_seconds ?? deps.config.instances.lifetime_seconds;
  const seconds = wanted.lifetime_seconds ?? longest;
  if (seconds > longest) {
    throw new OAuthError('invalid_request', `lifetime_seconds must be at most ${longest} for this agent`);
  }
  const end = Math.min(
    Math.max(now + Math.min(seconds, longestLifeSeconds) * 1000, before?.expiresAt ?? 0),
    agent.expiresAt ?? Number.POSITIVE_INFINITY,
    credentialEndsAt ?? Number.POSITIVE_INFINITY,
    provenUntil ?? Number.POSITIVE_INFINITY,
    parent?.expiresAt ?? Number.POSITIVE_INFINITY,
  );
  if (end <= now) throw new OAuthError('unauthorized_client', 'what this instance would rest on has ended');
  return end;
}

/** A new instance, as it would be inserted. */
export function newInstance(
  deps: Deps,
  now: number,
  planned: {
    client: Client;
    key: ProvenKey;
    attributes: Attributes;
    expiresAt: number;
    child?: { parent: Instance; name: string; allowed: Instance['allowed'] } | undefined;
  },
): Instance {
  const { client, key, child } = planned;
  const { agent, asOf } = client;
  const id = newId(deps, 'instance');
  return {
    id,
    org: agent.org,
    agent: agent.id,
    parent: child?.parent.id,
    ancestors: child ? [child.parent.id, ...child.parent.ancestors] : [],
    name: child?.name,
    spiffeId: `${spiffeId(deps.config, agent)}/${id}`,
    credential: client.credential,
    restsUntil: child ? child.parent.restsUntil : client.provenUntil,
    thumbprint: key.thumbprint,
    alg: key.alg,
    jwk: key.jwk,
    attributes: planned.attributes,
    allowed: child?.allowed,
    rev: asOf.rev,
    createdAt: now,
    renewedAt: now,
    expiresAt: planned.expiresAt,
  };
}

/** @throws OAuthError `unauthorized_client` for one that the template, as it is now, would not let its parent have */
export function mayStillBe(template: InstanceTemplate, { ancestors }: Instance): void {
  const depth = template.depth ?? usualDepth;
  if (ancestors.length > depth) throw tooDeep(depth);
}

/** @throws OAuthError `unauthorized_client` where the template wants no more generations */
export function mayHaveChildren(template: InstanceTemplate, parent: Instance): void {
  const depth = template.depth ?? usualDepth;
  if (parent.ancestors.length < depth) return;
  throw tooDeep(depth);
}

function tooDeep(depth: number): OAuthError {
  const message = depth === 0 ? 'instances of this agent have no children' : `children go ${depth} deep at most`;
  return new OAuthError('unauthorized_client', message);
}
