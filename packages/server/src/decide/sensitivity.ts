import {
  type AuthorizationDetail,
  boundedCache,
  type Operation,
  operationType,
  type Sensitivity,
  sensitivities,
} from '@bailiwick/protocol';
import type { Resource } from '../resources/resource.ts';
import { operationsNamed, takenBy } from './in-effect.ts';

/** A resource is read anew for each version of the registry, so this is as fresh as it. */
const remembered = new WeakMap<Resource, ReturnType<typeof boundedCache<Sensitivity>>>();

/** What an operation is unless it says otherwise, and so what is taken by no operation that is listed here. */
const unlisted = 'medium' satisfies Sensitivity;

/**
 * The highest sensitivity among the operations that scopes and details reach, whatever their parameters. A scope or a type of details
 * that no listed operation takes counts as `medium`, since somebody has it for something, and so does a resource that lists nothing
 * (its guard knows the operations); `low` if what is asked for reaches nothing by itself.
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
  const named = new Set(operationsNamed(operations, details));
  const isReached = (operation: Operation) =>
    named.has(operation) ||
    (operation.scope.every((one) => scopes.has(one)) &&
      (operation.details === undefined || types.has(operation.details.type)));
  return highestOf(operations.filter(isReached), isAllListed(operations, scopes, types));
}

function isAllListed(operations: readonly Operation[], scopes: ReadonlySet<string>, types: ReadonlySet<string>) {
  if (operations.length === 0) return false;
  const taken = takenBy(operations);
  return (
    [...scopes].every((one) => taken.scope.includes(one)) &&
    [...types].every((one) => one === operationType || taken.details.includes(one))
  );
}

/** An API as a whole: as sensitive as the most sensitive thing that it lets be done, listed or not. */
export function sensitivityOfAll({ operations, scopes, detailsTypes }: Resource): Sensitivity {
  const types = new Set(detailsTypes.map(({ type }) => type));
  return highestOf(operations, isAllListed(operations, new Set(scopes.map(({ name }) => name)), types));
}

const highestOf = (operations: readonly Operation[], listed: boolean): Sensitivity =>
  sensitivities.findLast(
    (each) => (each === unlisted && !listed) || operations.some(({ sensitivity }) => sensitivity === each),
  ) ?? 'low';
