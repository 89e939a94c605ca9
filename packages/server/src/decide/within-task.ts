/** A token of a task is for nothing but the task, ends with it, and rests on whoever opened it. */
import { areWithin } from '@bailiwick/protocol';
import { OAuthError } from '../lib/oauth-error.ts';
import type { TokenPlan } from './plan.ts';

/**
 * Holds a plan against what its task is for. What an agent declares itself bounds nothing.
 * @throws OAuthError `invalid_target`, `invalid_scope`, `invalid_authorization_details`
 */
export function withinTask({
  task: planned,
  resource,
  scope,
  details,
}: Pick<TokenPlan, 'task' | 'resource' | 'scope' | 'details'>): void {
  if (planned?.provenance !== 'orchestrated' || planned.task.resources === undefined) return;
  const { resources } = planned.task;
  const bound = resources.find((each) => each.resource === resource.id);
  if (!bound) throw new OAuthError('invalid_target', 'the task is not for this resource');
  const beyond = scope.filter((each) => !bound.scope.includes(each));
  if (beyond.length > 0)
    throw new OAuthError('invalid_scope', `the task is not for ${beyond.join(' ')} on this resource`);
  if (!areWithin(resource.detailsTypes, details, bound.details)) {
    throw new OAuthError('invalid_authorization_details', 'the task is for less than these authorization_details');
  }
}

/** When the plan's task ends, in milliseconds; never, if it has none. */
export function taskEndsAt({ task }: Pick<TokenPlan, 'task'>): number {
  return task?.provenance === 'orchestrated' ? task.task.endsAt : Number.POSITIVE_INFINITY;
}

/** Ids of what opened the plan's task: when one ends, the token ends. The task itself is named by the token. */
export function taskLinks({ task }: TokenPlan): readonly string[] {
  return task?.provenance === 'orchestrated' ? task.links : [];
}
