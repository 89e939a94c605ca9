import { compileOperations, linkTag, type Operation, type OperationMatcher } from '@bailiwick/protocol';
import { Unavailable } from './json-client.ts';

/** How tokens for a resource look. Equal profiles are one object, so that a change is seen by comparing references. */
export interface TokenProfile {
  typ: string;
  audience: string;
  /** The tag of the resource's id, which every token for it links: others may share the audience. Undefined if the id isn't known. */
  tag?: string | undefined;
  /** Tokens that are bound to no key are accepted, too. */
  dangerouslyBearer: boolean;
}

/** What a resource is registered as: all that it lets be done. */
export interface Registration {
  name?: string;
  scopes: readonly string[];
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
  token?: { typ?: string; audience?: string; dangerouslyBearer?: boolean };
}

/** @throws ProtocolError `bad_operation` naming the operation that is wrong */
export function registrationOf(resource: string, input: RegistrationInput, previous?: Registration): Registration {
  const { id, name, operations, token = {} } = input;
  const { typ = 'at+jwt', audience = resource, dangerouslyBearer = false } = token;
  const tag = id === undefined ? undefined : linkTag(id);
  const profile = sameProfile(previous?.profile, { typ, audience, tag, dangerouslyBearer });
  const scopes = input.scopes ?? [...new Set(operations.flatMap((operation) => operation.scope))];
  const byName = new Map(operations.map((operation) => [operation.name, operation]));
  const byTool = new Map(operations.map((operation) => [operation.tool, operation]));
  byTool.delete(undefined);
  return {
    ...(name === undefined ? {} : { name }),
    scopes,
    profile,
    operationFor: compileOperations(operations),
    operationNamed: (named) => byName.get(named),
    operationOfTool: (tool) => byTool.get(tool),
  };
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
  const { id, identifier, name, scopes, operations, token, status = 'active' } = registered;
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
        token: {
          ...(typeof typ === 'string' ? { typ } : {}),
          ...(typeof audience === 'string' ? { audience } : {}),
          dangerouslyBearer: dangerously_bearer === true,
        },
      },
      previous,
    );
    return status === 'active' ? registration : { ...registration, closed: String(status) };
  } catch (error) {
    throw unusable(`can't be used: ${(error as Error).message}`);
  }
}

function scopeName(scope: unknown): string {
  return typeof scope === 'string' ? scope : String((scope as { name?: unknown } | null)?.name);
}

function readOperation(value: unknown): Operation {
  const { name, method, path, tool, scope, sensitivity } = value as Record<string, unknown>;
  if (typeof name !== 'string') throw new Error('an operation has no name');
  // An operation whose scopes can't be read must not become one that needs none.
  if (!Array.isArray(scope) || !scope.every((one) => typeof one === 'string')) {
    throw new Error(`operation ${name} has no list of scopes`);
  }
  return {
    name,
    ...(typeof method === 'string' ? { method } : {}),
    ...(typeof path === 'string' ? { path } : {}),
    ...(typeof tool === 'string' ? { tool } : {}),
    scope,
    sensitivity: sensitivity === 'low' || sensitivity === 'medium' ? sensitivity : 'high',
  };
}

function unusable(why: string): Unavailable {
  return new Unavailable(`The registration of this guard ${why}`);
}
