import {
  type ComparedType,
  compileOperations,
  isJsonObject,
  linkTag,
  type Operation,
  type OperationMatcher,
  ProtocolError,
  readDetail,
} from '@bailiwick/protocol';
import { Unavailable } from './json-client.ts';

/** How tokens for a resource look. Equal profiles are one object, so that a change is seen by comparing references. */
export interface TokenProfile {
  typ: string;
  audience: string;
  /** The tag of the resource's id, which every token for it links: others may share the audience. Undefined if the id isn't known. */
  tag?: string | undefined;
  /** Tokens that are bound to no key are accepted, too. */
  dangerouslyBearer: boolean;
  /** They are transaction tokens. */
  isTransaction?: boolean;
}

/** What a resource is registered as: all that it lets be done. */
export interface Registration {
  /** The resource's id (`res_…`), where it is known. */
  id?: string;
  /** What the resource chose for guards that can't know what was revoked. */
  whenLost?: 'introspect' | 'refuse';
  name?: string;
  scopes: readonly string[];
  /** Types of `authorization_details`, beside the built-in `operation`. */
  detailsTypes: readonly ComparedType[];
  profile: TokenProfile;
  /** Why nothing is let in at all: the resource was suspended or retired. */
  closed?: string;
  operationFor: OperationMatcher;
  operationNamed(name: string): Operation | undefined;
  operationOfTool(tool: string): Operation | undefined;
}

/** A registration given in code. */
export interface RegistrationInput {
  /** The resource's id (`res_…`). */
  id?: string;
  name?: string;
  scopes?: readonly string[];
  operations: readonly Operation[];
  detailsTypes?: readonly ComparedType[];
  token?: { typ?: string; audience?: string; dangerouslyBearer?: boolean };
}

/** @throws ProtocolError `bad_operation` or `bad_details`, naming what is wrong */
export function registrationOf(resource: string, input: RegistrationInput, previous?: Registration): Registration {
  const { id, name, operations, detailsTypes = [], token = {} } = input;
  const { typ = 'at+jwt', audience = resource, dangerouslyBearer = false } = token;
  const tag = id === undefined ? undefined : linkTag(id);
  const profile = sameProfile(previous?.profile, { typ, audience, tag, dangerouslyBearer });
  const scopes = input.scopes ?? [...new Set(operations.flatMap((operation) => operation.scope))];
  const byName = indexed(operations, 'name');
  const byTool = indexed(operations, 'tool');
  for (const operation of operations) checkDetails(operation, detailsTypes);
  return {
    ...(id === undefined ? {} : { id }),
    ...(name === undefined ? {} : { name }),
    scopes,
    detailsTypes,
    profile,
    operationFor: compileOperations(operations),
    operationNamed: (named) => byName.get(named),
    operationOfTool: (tool) => byTool.get(tool),
  };
}

/** Details name operations, and MCP names tools: what has a name of two would be granted as one and done as the other. */
function indexed(operations: readonly Operation[], by: 'name' | 'tool'): Map<string, Operation> {
  const found = new Map<string, Operation>();
  for (const operation of operations) {
    const key = operation[by];
    if (key === undefined) continue;
    if (found.has(key))
      throw new ProtocolError('bad_operation', `operation ${operation.name} has the ${by} of another`);
    found.set(key, operation);
  }
  return found;
}

/** Details of a type that nobody can compare would refuse everybody for ever: better said at once. */
function checkDetails({ name, details }: Operation, types: readonly ComparedType[]): void {
  if (details === undefined) return;
  const { type } = readDetail(details, `details of the operation ${name}`);
  if (types.some((known) => known.type === type)) return;
  throw new ProtocolError(
    'bad_operation',
    `operation ${name} needs details of the type ${type}, which isn't registered`,
  );
}

function sameProfile(previous: TokenProfile | undefined, next: TokenProfile): TokenProfile {
  const { typ, audience, tag, dangerouslyBearer } = next;
  const same =
    previous?.typ === typ &&
    previous.audience === audience &&
    previous.tag === tag &&
    previous.dangerouslyBearer === dangerouslyBearer;
  return same ? previous : next;
}

/**
 * Reads the answer of `GET <issuer>/admin/v1/guards/self`.
 * @throws Unavailable when it is no registration, or another resource's
 */
export function readRegistration(resource: string, answer: unknown, previous?: Registration): Registration {
  const registered = (answer as { resource?: unknown } | null)?.resource as Record<string, unknown> | undefined;
  if (typeof registered !== 'object' || registered === null) throw unusable('has no resource');
  const { id, identifier, name, scopes, operations, details_types, token, feed, status = 'active' } = registered;
  if (identifier !== resource) {
    throw unusable(`is of ${JSON.stringify(identifier)}, but this guard is configured for ${JSON.stringify(resource)}`);
  }
  // Without it tokens for another resource of the same audience could not be told apart.
  if (typeof id !== 'string' || id === '') throw unusable('has no id of its resource');
  if (!Array.isArray(operations)) throw unusable('has no operations');
  const { typ, audience, dangerously_bearer } = (token ?? {}) as Record<string, unknown>;
  try {
    const registration = registrationOf(
      resource,
      {
        id,
        ...(typeof name === 'string' ? { name } : {}),
        ...(Array.isArray(scopes) ? { scopes: scopes.map(scopeName) } : {}),
        operations: operations.map(readOperation),
        detailsTypes: readTypes(details_types),
        token: {
          ...(typeof typ === 'string' ? { typ } : {}),
          ...(typeof audience === 'string' ? { audience } : {}),
          dangerouslyBearer: dangerously_bearer === true,
        },
      },
      previous,
    );
    const whenLost = whenLostIn(feed);
    const read = whenLost === undefined ? registration : { ...registration, whenLost };
    return status === 'active' ? read : { ...read, closed: String(status) };
  } catch (error) {
    throw unusable(`can't be used: ${(error as Error).message}`);
  }
}

/** A choice that is unknown here is taken for the strictest. */
function whenLostIn(feed: unknown): Registration['whenLost'] {
  if (feed === undefined) return undefined; // of a server that has no feed yet
  return (feed as { when_lost?: unknown } | null)?.when_lost === 'introspect' ? 'introspect' : 'refuse';
}

function scopeName(scope: unknown): string {
  return typeof scope === 'string' ? scope : String((scope as { name?: unknown } | null)?.name);
}

function readOperation(value: unknown): Operation {
  const { name, method, path, tool, scope, details, definition, sensitivity } = value as Record<string, unknown>;
  if (typeof name !== 'string') throw new Error('an operation has no name');
  // An operation whose scopes can't be read must not become one that needs none.
  if (!Array.isArray(scope) || !scope.every((one) => typeof one === 'string')) {
    throw new Error(`operation ${name} has no list of scopes`);
  }
  // Nor one whose details can't be read one that needs none, nor a tool that somebody has looked at one that may say anything.
  if (definition !== undefined && typeof definition !== 'string') {
    throw new Error(`operation ${name} has a definition that is no string`);
  }
  return {
    name,
    ...(details === undefined ? {} : { details: readDetail(details, `details of the operation ${name}`) }),
    ...(definition === undefined ? {} : { definition }),
    ...(typeof method === 'string' ? { method } : {}),
    ...(typeof path === 'string' ? { path } : {}),
    ...(typeof tool === 'string' ? { tool } : {}),
    scope,
    sensitivity: sensitivity === 'low' || sensitivity === 'medium' ? sensitivity : 'high',
  };
}

/** A rule that is unknown here compares as `equal`, the strictest. */
function readTypes(value: unknown): ComparedType[] {
  if (value === undefined) return []; // of a server that knows none yet
  if (!Array.isArray(value)) throw new Error('details_types is no list');
  return value.map((each) => {
    const { type, compare = {} } = (each ?? {}) as Record<string, unknown>;
    if (typeof type !== 'string' || !isJsonObject(compare))
      throw new Error('a type of details has no name or no rules');
    return { type, compare: compare as ComparedType['compare'] };
  });
}

function unusable(why: string): Unavailable {
  return new Unavailable(`The registration of this guard ${why}`);
}
