/** What a question is about: something that is registered here, or an object that only the asking side knows. */
import type { Operation } from '@bailiwick/protocol';
import { type InEffect, takenBy } from '../decide/in-effect.ts';
import type { Registry } from '../decide/registered.ts';
import { sensitivityOfAll } from '../decide/sensitivity.ts';
import type { PolicyResource } from '../policy/request.ts';
import type { Resource } from '../resources/resource.ts';
import type { AskedEntity } from './question.ts';
import { resourceCalled } from './registered.ts';

/** Types of resources that stand for what is registered here. All others are the asking side's own. */
export const registeredTypes = ['api', 'operation', 'tool'] as const;
export type RegisteredType = (typeof registeredTypes)[number];

/** Whether a type of AuthZEN's resources stands for what is registered here. */
export const isRegisteredType = (type: string): type is RegisteredType =>
  (registeredTypes as readonly string[]).includes(type);

/** The name of the action on anything that is registered here: for its operations, their own name says the same. */
export const accessAction = 'access';

/** Something that may be asked about. */
export type Asked =
  | { registered: Resource; operation: Operation | undefined; policy: PolicyResource }
  | { registered: undefined; operation: undefined; policy: Extract<PolicyResource, { type: 'Object' }> };

/**
 * Finds what is asked about. An operation of an API is named by itself (`<identifier>#<name>`), or by the API and the
 * action.
 * @returns undefined for what isn't registered, or isn't listed there: nobody may do that
 */
export async function askedAbout(
  deps: Registry,
  version: number,
  org: string,
  { type, id, properties }: AskedEntity,
  action: string,
): Promise<Asked | undefined> {
  if (!isRegisteredType(type))
    return { registered: undefined, operation: undefined, policy: { type: 'Object', kind: type, id, properties } };
  const identifier = identifierIn({ type, id });
  const name = id === identifier ? undefined : id.slice(identifier.length + 1);
  const resource = await resourceCalled(deps, version, org, identifier);
  if (!resource) return undefined;
  if (type === 'api') return action === accessAction ? wholeApi(resource) : listed(resource, undefined, action);
  return name === undefined || (action !== accessAction && action !== name) ? undefined : listed(resource, type, name);
}

/** An API as a whole: as sensitive as the most sensitive thing that it lets be done. */
export const wholeApi = (resource: Resource): Asked => ({
  registered: resource,
  operation: undefined,
  policy: {
    type: 'Api',
    identifier: resource.identifier,
    name: resource.name,
    sensitivity: sensitivityOfAll(resource),
  },
});

/** One of its operations. */
export const oneOperation = (resource: Resource, operation: Operation): Asked => ({
  registered: resource,
  operation,
  policy: {
    type: typeOf(operation) === 'tool' ? 'Tool' : 'Operation',
    identifier: resource.identifier,
    name: operation.name,
    sensitivity: operation.sensitivity,
  },
});

/** What it takes to do what is asked about, in scopes and types of details: of an API as a whole, all that it has. */
export function takenOf({ registered, operation }: Asked): InEffect {
  if (!registered) return takenBy([]);
  if (operation) return takenBy([operation]);
  return { scope: registered.scopes.map(({ name }) => name), details: registered.detailsTypes.map(({ type }) => type) };
}

/** The type by which an operation is asked about. */
export const typeOf = ({ tool }: Operation): 'operation' | 'tool' => (tool === undefined ? 'operation' : 'tool');

/** How an operation is named in questions and answers. */
export const operationId = ({ identifier }: Resource, { name }: Operation): string => `${identifier}#${name}`;

function listed(resource: Resource, type: RegisteredType | undefined, name: string): Asked | undefined {
  const operation = resource.operations.find((each) => each.name === name);
  if (!operation || (type !== undefined && typeOf(operation) !== type)) return undefined;
  return oneOperation(resource, operation);
}

/** Of which API or server something registered is: identifiers have no fragment, so the first `#` ends one. @see RFC 8707 §2 */
export function identifierIn({ type, id }: Pick<AskedEntity, 'type' | 'id'>): string {
  const at = type === 'api' ? -1 : id.indexOf('#');
  return at < 0 ? id : id.slice(0, at);
}
