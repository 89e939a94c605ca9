/**
 * Roles are the hard bound: nothing is granted that no role of the agent gives, whatever policy says. Scopes are given by name; a
 * detail (RFC 9396) by a bound that it is within; a named operation by either, or by all that it takes.
 */
import {
  type AuthorizationDetail,
  asOperationDetail,
  detailOf,
  isWithin,
  type Operation,
  type OperationDetail,
  operationType,
  parameterNames,
  parametersIn,
  type Sensitivity,
} from '@bailiwick/protocol';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Resource } from '../resources/resource.ts';
import { givenToAll, type HeldRole, heldBy } from '../resources/role.ts';
import type { TokenPlan } from './plan.ts';
import { sensitivityOf } from './sensitivity.ts';

export interface Given {
  /** The roles that give what is asked for, the first for each scope and detail. */
  giving: HeldRole[];
  /** Ids of all that they rest on. */
  links: string[];
  /** The highest among the operations that what is asked for reaches. */
  sensitivity: Sensitivity;
}

/**
 * By which roles a plan's scopes and details are given.
 * @throws OAuthError `invalid_scope` or `invalid_authorization_details` when something is given by none
 */
export function givenByRoles(
  { resource, scope, details }: Pick<TokenPlan, 'resource' | 'scope' | 'details'>,
  held: readonly HeldRole[],
): Given {
  const giving = new Set<HeldRole>();
  for (const one of scope) {
    if (givenToAll(resource, one)) continue;
    const role = roleGivingScope(resource, held, one);
    if (!role) throw new OAuthError('invalid_scope', `no role of this agent gives ${one} on this resource`);
    giving.add(role);
  }
  for (const [index, detail] of details.entries()) {
    const field = `authorization_details[${index}]`;
    for (const role of rolesGivingDetail(resource, held, detail, field)) giving.add(role);
  }
  const links = new Set<string>();
  for (const role of giving) for (const id of heldBy(role)) links.add(id);
  return { giving: [...giving], links: [...links], sensitivity: sensitivityOf(resource, scope, details) };
}

/** The first role that gives a scope of the resource. A scope that the resource has no more is given by none. */
function roleGivingScope(resource: Resource, held: readonly HeldRole[], scope: string): HeldRole | undefined {
  const role = held.find(({ permissions }) =>
    permissions.some((each) => each.resource === resource.id && each.scopes.includes(scope)),
  );
  return role && resource.scopes.some(({ name }) => name === scope) ? role : undefined;
}

/** The first role with a bound that this detail is within. */
function roleBounding(
  resource: Resource,
  held: readonly HeldRole[],
  detail: AuthorizationDetail,
): HeldRole | undefined {
  return held.find(({ permissions }) =>
    permissions.some(
      (each) =>
        each.resource === resource.id &&
        each.details?.some((bound) => isWithin(resource.detailsTypes, detail, bound)) === true,
    ),
  );
}

/** @throws OAuthError `invalid_authorization_details`: the same for an operation that there isn't and one that no role gives */
function rolesGivingDetail(
  resource: Resource,
  held: readonly HeldRole[],
  detail: AuthorizationDetail,
  field: string,
): HeldRole[] {
  if (detail.type !== operationType) {
    const role = roleBounding(resource, held, detail);
    if (!role) throw notGiven(field);
    return [role];
  }
  const named = asOperationDetail(detail, field);
  return named.actions.flatMap((action) => {
    const operation = resource.operations.find(({ name }) => name === action);
    const roles = operation && rolesGivingOperation(resource, held, operation, named);
    if (!roles) throw notGiven(field);
    const known = parameterNames(operation);
    const unknown = Object.keys(named.parameters ?? {}).some((name) => known?.includes(name) === false);
    if (unknown) throw refused(`${field}.parameters must be parameters of each operation that it names`);
    return roles;
  });
}

/** The roles that give a single operation with these parameters: by a bound that names it, or by all that it takes. */
function rolesGivingOperation(
  resource: Resource,
  held: readonly HeldRole[],
  operation: Operation,
  { parameters }: OperationDetail,
): HeldRole[] | undefined {
  const single = { type: operationType, actions: [operation.name], ...(parameters && { parameters }) };
  const bounding = roleBounding(resource, held, single);
  if (bounding) return [bounding];
  const roles = operation.scope.map((scope) => roleGivingScope(resource, held, scope));
  const needed = operation.details === undefined ? [] : detailsNeeded(operation.details, parameters ?? {});
  for (const detail of needed ?? []) roles.push(roleBounding(resource, held, detail));
  if (needed === undefined || !roles.every((role) => role !== undefined)) return undefined;
  // what takes nothing is given by having been given the resource at all: by any role on it
  if (roles.length > 0) return roles;
  const any = held.find(({ permissions }) => permissions.some((each) => each.resource === resource.id));
  return any && [any];
}

/** More combinations of values than this are more than one request should name. */
const mostCombinations = 1000;

/**
 * All that an operation's details can come to with these values. A parameter that isn't bounded may have any value, so what depends on it
 * is left out: only a bound that says nothing about it gives that. Undefined if there are too many.
 */
function detailsNeeded(
  template: AuthorizationDetail,
  parameters: Readonly<Record<string, readonly string[]>>,
): AuthorizationDetail[] | undefined {
  let combinations: Record<string, string>[] = [Object.create(null)];
  for (const name of parametersIn(template)) {
    const values = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (values === undefined) continue;
    if (combinations.length * values.length > mostCombinations) return undefined;
    combinations = combinations.flatMap((known) =>
      values.map((value) => Object.assign(Object.create(null), known, { [name]: value })),
    );
  }
  return combinations.map((values) => detailOf(template, values));
}

/**
 * What a child of an instance may have of details: `allowed` names scopes alone, so operations that take only these.
 * @throws OAuthError `invalid_authorization_details`
 */
export function detailsWithinInstance({
  client: { instance },
  resource,
  details,
}: Pick<TokenPlan, 'client' | 'resource' | 'details'>): void {
  if (instance?.allowed === undefined || details.length === 0) return;
  const allowed = instance.allowed.find((each) => each.resource === resource.id)?.scope ?? [];
  for (const [index, detail] of details.entries()) {
    const field = `authorization_details[${index}]`;
    const operations = detail.type === operationType ? asOperationDetail(detail, field).actions : undefined;
    const covered = operations?.every((action) => {
      const operation = resource.operations.find(({ name }) => name === action);
      const takes = operation?.scope ?? [];
      return operation?.details === undefined && takes.length > 0 && takes.every((scope) => allowed.includes(scope));
    });
    if (!covered) throw refused(`${field} is more than this instance was given on this resource`);
  }
}

const notGiven = (field: string) => refused(`${field} is given by no role of this agent on this resource`);
const refused = (message: string) => new OAuthError('invalid_authorization_details', message);
