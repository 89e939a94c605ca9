import { OAuthError } from '../lib/oauth-error.ts';
import type { TokenPlan } from './plan.ts';

/**
 * A child of an instance can only do what its parent let it have.
 * @throws OAuthError `invalid_scope`
 */
export function withinInstance({
  client: { instance },
  resource,
  scope,
}: Pick<TokenPlan, 'client' | 'resource' | 'scope'>): void {
  if (instance?.allowed === undefined) return;
  const allowed = instance.allowed.find((each) => each.resource === resource.id)?.scope ?? [];
  const beyond = scope.filter((each) => !allowed.includes(each));
  if (beyond.length > 0) {
    throw new OAuthError('invalid_scope', `this instance was not given ${beyond.join(' ')} on this resource`);
  }
}
