/** What is asked for in effect, whichever way it was said: that is what policies decide about. */
import { type AuthorizationDetail, type Operation, operationType } from '@bailiwick/protocol';

/** What is asked for, or what a token carries. */
export interface Said {
  scope: readonly string[];
  details: readonly AuthorizationDetail[];
}

/** The same as policies see it: scopes, and types of details. */
export interface InEffect {
  scope: readonly string[];
  details: readonly string[];
}

/**
 * Whoever names an operation (RFC 9396, type `operation`) gets by it what its scopes and details would give, so these count as
 * asked for too: otherwise a policy on a scope would be avoided by naming what the scope is for.
 * @param operations of the resource
 * @param beside what is asked for anyway, such as all that one operation takes
 * @returns each scope and type once; the very list that was given where nothing comes to it
 */
export function inEffect(
  operations: readonly Operation[],
  { scope, details }: Said,
  beside: InEffect = takenBy([]),
): InEffect {
  const taken = takenBy(operationsNamed(operations, details));
  const types = details.map(({ type }) => type);
  return {
    scope: together(scope, [...taken.scope, ...beside.scope]),
    details: together([...new Set(types)], [...taken.details, ...beside.details]),
  };
}

/** The operations that details of the type `operation` name. */
export function operationsNamed(
  operations: readonly Operation[],
  details: readonly AuthorizationDetail[],
): readonly Operation[] {
  if (details.length === 0) return [];
  const names = new Set(
    details.flatMap(({ type, actions }) => (type === operationType && Array.isArray(actions) ? actions : [])),
  );
  return operations.filter(({ name }) => names.has(name));
}

/** Of a resource with these operations: which types of details one gives beside its own, by the operations that it names. */
export const typesBehind =
  (operations: readonly Operation[]) =>
  (detail: AuthorizationDetail): readonly string[] =>
    takenBy(operationsNamed(operations, [detail])).details;

/** All that these operations take. */
export const takenBy = (operations: readonly Operation[]): InEffect => ({
  scope: operations.flatMap(({ scope }) => scope),
  details: operations.flatMap(({ details }) => (details === undefined ? [] : [details.type])),
});

function together(given: readonly string[], more: readonly string[]): readonly string[] {
  const lacking = [...new Set(more)].filter((one) => !given.includes(one));
  return lacking.length > 0 ? [...given, ...lacking] : given;
}
