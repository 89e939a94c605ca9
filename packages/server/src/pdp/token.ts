/** What a token shows that the asking side holds in its hands: verified here, and not believed because somebody says so. */
import { type AccessTokenClaims, actorsOf, contextRefusal, linkTag, transactionTyp } from '@bailiwick/protocol';
import type { Instance } from '../agents/instance.ts';
import { findInstance } from '../agents/instance-store.ts';
import { presenterOf, seenPlace } from '../decide/place.ts';
import { agentsAmong } from '../decide/registered.ts';
import type { Deps } from '../deps.ts';
import type { Counter } from '../liveness/liveness.ts';
import type { PolicyContext } from '../policy/request.ts';
import type { Resource } from '../resources/resource.ts';
import { taskOpen } from '../tasks/standing.ts';
import { findTask } from '../tasks/store.ts';
import { audienceOf } from '../tokens/claims.ts';
import { standingOf } from '../tokens/introspect.ts';

/** A living token of the agent that a question is about, presented from where it may be used. */
export interface ShownToken {
  claims: AccessTokenClaims;
  scope: ReadonlySet<string>;
  instance: Instance | undefined;
  task: PolicyContext['task'];
  /** Ids of the agents that acted before its holder, the nearest first; undefined where the holder acts for itself. */
  chain: readonly string[] | undefined;
  /** For whom it acts, where that is a person of ours. */
  person: string | undefined;
}

export interface TokenToCheck {
  token: string;
  /** Whose it has to be. */
  agent: string;
  org: string;
  /** What it has to be for, where that is registered here. */
  resource: Resource | undefined;
  /** Where it was presented, if the asking side says so. */
  address: string | undefined;
  /** Milliseconds. */
  now: number;
}

/**
 * @returns why it shows nothing, in words for the log: it isn't ours, has ended, is somebody else's, for something else,
 *   or may not be used from there
 */
export async function shownBy(deps: Deps, asOf: Counter, check: TokenToCheck): Promise<ShownToken | string> {
  const standing = await standingOf(deps, check.token, asOf);
  if (standing.state !== 'alive')
    return standing.state === 'foreign' ? 'the token is not one of ours' : `the token has ${standing.state}`;
  const { claims, typ } = standing;
  if (typ === transactionTyp) return 'the token is a transaction token, and no access token';
  if (claims.client_id !== check.agent || claims.org !== check.org) return 'the token is not this agent’s';
  const { resource, address, now } = check;
  if (resource && (claims.aud !== audienceOf(resource) || !claims.links.includes(linkTag(resource.id)))) {
    return 'the token is for another resource';
  }
  const instance = claims.instance === undefined ? undefined : await findInstance(deps.db, claims.instance);
  const outside = contextRefusal(claims.ctx, presenterOf(seenPlace(deps, address, instance), now));
  if (outside) return `the token may not be used from there (ctx.${outside})`;
  const task = await taskOf(deps, claims, now);
  if (typeof task === 'string') return task;
  const { act, sub, sub_profile: profile, scope } = claims;
  return {
    claims,
    scope: new Set(scope ? scope.split(' ') : []),
    instance,
    task,
    chain: act && (await agentsAmong(deps, asOf.version, check.org, actorsOf(act.act))),
    person: act && profile === 'user' ? sub : undefined,
  };
}

/** @returns the words for the log if what the token was for has ended */
async function taskOf(
  deps: Deps,
  { task: claimed }: AccessTokenClaims,
  now: number,
): Promise<PolicyContext['task'] | 'the task has ended'> {
  if (!claimed) return undefined;
  const task = await findTask(deps.db, claimed.id);
  if (!task || !(await taskOpen(deps.db, task, now))) return 'the task has ended';
  const { id, workflow, step, environment, purpose } = task;
  return { provenance: 'orchestrated', id, workflow, step, environment, purpose };
}
