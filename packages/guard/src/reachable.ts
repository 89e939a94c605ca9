import {
  type AuthorizationDetail,
  grantsOperation,
  type Operation,
  type OperationDetail,
  type OperationParameters,
  operationType,
  parametersIn,
} from '@bailiwick/protocol';
import { grantedBy, reaches } from './allow.ts';
import type { Core } from './decide.ts';
import { Unavailable } from './json-client.ts';
import { Refusal } from './refusal.ts';
import type { Verified } from './verify.ts';

/** As many as travel to the decision point in one request. The next are asked about once these are answered, so that one caller's list leaves room for others. */
const atOnce = 100;

/**
 * Which of these operations a caller may do at this moment, with some parameters at least: the token reaches it and, where it is one that is asked
 * about, the decision point says yes. A no, a not-yet and no answer are all false, for that operation alone. Never throws.
 * @param operations undefined for what the resource doesn't list
 */
export async function reachable(
  core: Core,
  verified: Verified,
  operations: readonly (Operation | undefined)[],
): Promise<boolean[]> {
  const answers: boolean[] = [];
  for (let from = 0; from < operations.length; from += atOnce) {
    const some = operations.slice(from, from + atOnce);
    answers.push(...(await Promise.all(some.map((operation) => isReachable(core, verified, operation)))));
  }
  return answers;
}

async function isReachable(core: Core, verified: Verified, operation: Operation | undefined): Promise<boolean> {
  try {
    if (operation === undefined || !reaches(core, verified, operation)) return false;
    await core.continuous?.(verified, { operation, parameters: () => sample(verified, operation), demands: [] });
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) report(core, error);
    return false;
  }
}

function report(core: Core, error: unknown): void {
  const what = error instanceof Unavailable ? error.message : String(error);
  core.runtime.report(`It can't be known which operations a caller may do, and those are not shown: ${what}`);
}

/**
 * Parameters with which the token carries an operation, since nobody has said yet which they will be: those that its details name. None where it
 * carries the operation with any.
 */
function sample(verified: Verified, operation: Operation): OperationParameters {
  const granted = grantedBy(verified);
  const candidates = [{}, ...granted.details.map((detail) => parametersOf(operation, detail))];
  return candidates.find((parameters) => grantsOperation(operation, granted, () => parameters)) ?? {};
}

/** Every value lies within itself, by whatever rule its type compares. */
function parametersOf({ details: template }: Operation, detail: AuthorizationDetail): OperationParameters {
  if (detail.type !== operationType) return template === undefined ? {} : taken(template, detail);
  const { parameters = {} } = detail as OperationDetail;
  return Object.fromEntries(
    Object.entries(parameters).flatMap(([name, values]) => (Array.isArray(values) ? [[name, values[0]]] : [])),
  );
}

/** What stands in a detail where its template has parameters. */
function taken(template: unknown, value: unknown): OperationParameters {
  if (typeof template === 'string') {
    const [name] = parametersIn(template);
    return name === undefined || value === undefined ? {} : { [name]: value };
  }
  if (typeof template !== 'object' || template === null || typeof value !== 'object' || value === null) return {};
  const members = Object.entries(template).map(([member, of]) =>
    taken(of, Object.hasOwn(value, member) ? (value as Record<string, unknown>)[member] : undefined),
  );
  return Object.assign({}, ...members);
}
