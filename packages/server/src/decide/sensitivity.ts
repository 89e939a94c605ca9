import {
  type AuthorizationDetail,
  boundedCache,
  type Operation,
  operationType,
  type Sensitivity,
  sensitivities,
} from '@bailiwick/protocol';
import type { Resource } from '../resources/resource.ts';

/** A resource is read anew for each version of the registry, so this is as fresh as it. */
const remembered = new WeakMap<Resource, ReturnType<typeof boundedCache<Sensitivity>>>();

/**
 * The highest sensitivity among the operations that scopes and details reach, whatever their parameters; `low` if they reach none.
 * Agents ask for the same scopes again and again, so that is worked out once.
 */
export function sensitivityOf(
  resource: Resource,
  scope: readonly string[],
  details: readonly AuthorizationDetail[],
): Sensitivity {
  if (details.length > 0) return highest(resource, scope, details);
  let known = remembered.get(resource);
  if (!known) {
    known = boundedCache(1000);
    remembered.set(resource, known);
  }
  const key = scope.join(' ');
  let sensitivity = known.get(key);
  if (sensitivity === undefined) {
    sensitivity = highest(resource, scope, details);
    known.set(key, sensitivity);
  }
  return sensitivity;
}

function highest(
  { operations }: Resource,
  scope: readonly string[],
  details: readonly AuthorizationDetail[],
): Sensitivity {
  const scopes = new Set(scope);
  const types = new Set(details.map(({ type }) => type));
  const named = new Set(
    details.flatMap(({ type, actions }) => (type === operationType && Array.isArray(actions) ? actions : [])),
  );
  const isReached = (operation: Operation) =>
    named.has(operation.name) ||
    (operation.scope.every((one) => scopes.has(one)) &&
      (operation.details === undefined || types.has(operation.details.type)));
  const most = operations.reduce(
    (rank, operation) => (isReached(operation) ? Math.max(rank, sensitivities.indexOf(operation.sensitivity)) : rank),
    0,
  );
  return sensitivities[most] ?? 'high';
}
